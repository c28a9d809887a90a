"""Optimizers against their papers' equations in float64: moments, bias corrections, decay, clipping, rates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.training.learning_rate import DECAYS, make_learning_rate
from catgen.training.optimizer import OPTIMIZERS, kernel_mask, muon_dimensions

CONSTANT = DECAYS["constant"]()
RATE, B1, B2, EPS, STEPS = 0.1, 0.8, 0.9, 1e-3, 5
RNG = np.random.default_rng(0)
START = {"layer": {"kernel": RNG.normal(size=(3, 2)), "bias": RNG.normal(size=2)}}
GRADS = [jax.tree.map(lambda x: RNG.normal(size=x.shape), START) for _ in range(STEPS)]


def arrays(tree):
  return jax.tree.map(lambda x: x.astype(np.float32), tree)


def path(name, grads=GRADS, start=START, **options):
  """Returns the parameters after every update."""
  defaults = {"learning_rate": RATE, "decay": CONSTANT, "b1": B1, "b2": B2, "eps": EPS}
  update, _ = OPTIMIZERS[name](**{**defaults, **options})(100)

  @jax.jit
  def step(params, state, grads):
    changes, state = update.update(grads, state, params)
    return jax.tree.map(jnp.add, params, changes), state

  params, found = arrays(start), []
  state = jax.jit(update.init)(params)
  for each in grads:
    params, state = step(params, state, arrays(each))
    found.append(jax.device_get(params))
  return found


def moved(rule, start=START, grads=GRADS):
  """Returns the same by `rule(gradients so far, parameter, is_kernel) -> change`, for every leaf, in float64."""
  params, found = start, []
  for number in range(1, len(grads) + 1):
    params = {
      "layer": {
        leaf: value + rule([each["layer"][leaf] for each in grads[:number]], value, leaf == "kernel")
        for leaf, value in params["layer"].items()
      }
    }
    found.append(params)
  return found


def adam_change(grads, value, is_kernel, weight_decay=0.0):
  """Kingma and Ba, Algorithm 1: both averages divided by what of their weights is there."""
  number = len(grads)
  weights = [(1 - b) * b ** np.arange(number)[::-1] / (1 - b**number) for b in (B1, B2)]
  first = sum(w * g for w, g in zip(weights[0], grads, strict=True))
  second = sum(w * g**2 for w, g in zip(weights[1], grads, strict=True))
  return -RATE * (first / (np.sqrt(second) + EPS) + (weight_decay * value if is_kernel else 0.0))


def adamax_change(grads, value, is_kernel):
  """Kingma and Ba, Algorithm 2."""
  number = len(grads)
  first = sum((1 - B1) * B1 ** (number - 1 - i) * g for i, g in enumerate(grads)) / (1 - B1**number)
  largest = np.max([B2 ** (number - 1 - i) * (np.abs(g) + EPS) for i, g in enumerate(grads)], axis=0)
  return -RATE * first / largest


def radam_change(grads, value, is_kernel):
  """Liu et al. (2020), Algorithm 2: momentum alone until more than four of the squares count."""
  number = len(grads)
  first = sum((1 - B1) * B1 ** (number - 1 - i) * g for i, g in enumerate(grads)) / (1 - B1**number)
  second = sum((1 - B2) * B2 ** (number - 1 - i) * g**2 for i, g in enumerate(grads)) / (1 - B2**number)
  most = 2 / (1 - B2) - 1
  count = most - 2 * number * B2**number / (1 - B2**number)
  if count < 5:
    return -RATE * first
  rectified = np.sqrt((count - 4) * (count - 2) * most / ((most - 4) * (most - 2) * count))
  return -RATE * rectified * first / (np.sqrt(second) + EPS)


CASES = {
  "adam": ("adam", {}, adam_change),
  "adamw": ("adamw", {"weight_decay": 0.3}, functools.partial(adam_change, weight_decay=0.3)),
}


@pytest.mark.parametrize(("name", "options", "rule"), CASES.values(), ids=CASES)
def test_parameters_follow_the_equations_from_the_first_update_on(name, options, rule):
  for found, expected in zip(path(name, **options), moved(rule), strict=True):
    for leaf in ("kernel", "bias"):
      np.testing.assert_allclose(found["layer"][leaf], expected["layer"][leaf], rtol=1e-4, atol=1e-6)


def test_adamax_divides_by_the_largest_gradient_that_is_slowly_forgotten():
  for found, expected in zip(path("adamax"), moved(adamax_change), strict=True):
    for leaf in ("kernel", "bias"):
      np.testing.assert_allclose(found["layer"][leaf], expected["layer"][leaf], rtol=1e-4, atol=1e-6)


def test_radam_begins_as_momentum_and_then_divides_by_the_root_of_squares():
  grads = [*GRADS, *GRADS[::-1]]  # with these averages the sixth update is the first that divides
  expected = moved(radam_change, grads=grads)
  for found, value in zip(path("radam", grads), expected, strict=True):
    for leaf in ("kernel", "bias"):
      np.testing.assert_allclose(found["layer"][leaf], value["layer"][leaf], rtol=1e-4, atol=1e-6)


def test_gradient_descent_moves_by_the_sum_of_gradients_slowly_forgotten():
  def change(grads, value, is_kernel):
    return -RATE * sum(0.7 ** (len(grads) - 1 - i) * g for i, g in enumerate(grads))

  update, _ = OPTIMIZERS["sgd"](learning_rate=RATE, decay=CONSTANT, momentum=0.7)(100)
  params, state = START, update.init(arrays(START))
  for grads, expected in zip(GRADS, moved(change), strict=True):
    changes, state = update.update(arrays(grads), state)
    params = jax.tree.map(np.add, params, changes)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), params, expected)


@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize("name", ["adam", "adamax"])
def test_the_size_of_gradients_is_no_matter_to_the_first_step(name, size):
  grads = [jax.tree.map(lambda g: size * g, GRADS[0])]
  found = path(name, grads, eps=1e-12)[0]["layer"]
  for leaf, value in START["layer"].items():
    np.testing.assert_allclose(found[leaf] - value, -RATE * np.sign(GRADS[0]["layer"][leaf]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("clip_norm", [0.5, 1e3])
def test_clipping_scales_all_leaves_alike_to_one_norm(clip_norm):
  """Seen through an optimizer that is nearly the gradient itself: no memory and an eps above everything."""
  found = path("adam", GRADS[:1], b1=0.0, b2=0.0, eps=1e6, learning_rate=1e6, clip_norm=clip_norm)[0]["layer"]
  leaves = GRADS[0]["layer"]
  norm = np.sqrt(sum((g**2).sum() for g in leaves.values()))
  scale = min(1.0, clip_norm / norm) if clip_norm else 1.0
  for leaf, value in START["layer"].items():
    np.testing.assert_allclose(value - found[leaf], scale * leaves[leaf], rtol=1e-3, atol=1e-5)


def test_a_parameter_without_gradient_stays_and_one_of_weight_decay_shrinks():
  nothing = [jax.tree.map(np.zeros_like, START)] * 3
  still = path("adam", nothing)[-1]["layer"]
  shrunk = path("adamw", nothing, weight_decay=0.5)[-1]["layer"]
  np.testing.assert_allclose(still["kernel"], START["layer"]["kernel"], rtol=1e-6)
  np.testing.assert_allclose(shrunk["kernel"], 0.95**3 * START["layer"]["kernel"], rtol=1e-5)
  np.testing.assert_allclose(shrunk["bias"], START["layer"]["bias"], rtol=1e-6)


def test_a_rate_that_falls_makes_steps_that_fall():
  """Of one gradient again and again Adam moves by the rate of each step."""
  same = [GRADS[0]] * 6
  found = path("adam", same, eps=1e-12, decay=DECAYS["exponential"](every=2, factor=0.5))
  values = np.array([START["layer"]["bias"], *(np.asarray(each["layer"]["bias"]) for each in found)])
  expected = RATE * 0.5 ** np.array([0, 0, 1, 1, 2, 2])
  np.testing.assert_allclose(np.abs(np.diff(values, axis=0)), np.broadcast_to(expected[:, None], (6, 2)), rtol=1e-3)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
@pytest.mark.parametrize("final_fraction", [0.0, 0.25, 1.0])
def test_a_decay_ends_at_its_fraction_and_stays(decay, final_fraction):
  rate = make_learning_rate(8, learning_rate=1.0, warmup_steps=2, decay=DECAYS[decay](final_fraction=final_fraction))
  np.testing.assert_allclose([float(rate(step)) for step in (8, 9, 100)], final_fraction, atol=1e-6)
  middle = float(rate(5))  # half of the way from step 2 to 8
  assert middle == pytest.approx((1 + final_fraction) / 2, rel=1e-5)


LEAVES = {
  "stack/layers/attention/query/kernel": ((2, 3, 4), True, True),
  "mlp/kernel": ((3, 4), True, True),
  "kernel": ((3, 4), True, True),
  "mlp/bias": ((4,), False, False),
  "norm/scale": ((4,), False, False),
  "token_embedding/kernel": ((5, 4), True, False),
  "position/kernel": ((5, 4), True, False),
  "logits/kernel": ((4, 5), True, False),
  "head/kernel": ((4, 5), True, False),
  "density/layers/head/kernel": ((4, 5), True, True),
  "column/kernel": ((4, 1), True, False),
  "vector/kernel": ((4,), False, False),
  "kernel_scale": ((3, 4), False, False),
}


@pytest.mark.parametrize(("name", "expected"), LEAVES.items(), ids=LEAVES)
def test_the_name_of_a_leaf_and_its_axes_decide_on_decay_and_optimizer(name, expected):
  shape, decays, by_muon = expected
  tree = jax.device_put(np.zeros(shape, np.float32))
  for part in reversed(name.split("/")):
    tree = {part: tree}
  (mask,) = jax.tree.leaves(kernel_mask(tree))
  assert mask == decays
  dimensions = jax.tree.leaves(muon_dimensions(tree))
  assert bool(dimensions) == by_muon
  if by_muon:
    assert dimensions == [len(shape) - 2, len(shape) - 1]
