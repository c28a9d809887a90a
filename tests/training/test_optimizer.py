import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from catgen.interfaces import InputError
from catgen.training.optimizer import kernel_mask, make_learning_rate, make_optimizer, muon_dimensions


def rates(num_steps=20, **keywords):
  rate = make_learning_rate(learning_rate=0.5, num_steps=num_steps, **keywords)
  return np.array([float(rate(step)) for step in range(num_steps)])


def test_warmup_rises_from_one_part_to_the_peak_and_the_first_update_moves():
  np.testing.assert_allclose(rates(warmup_steps=4)[:6], 0.5 * np.array([0.25, 0.5, 0.75, 1, 1, 1]), rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 5])
def test_decays_follow_their_formulas(warmup):
  step = np.arange(20.0)
  warm = np.minimum(1, (step + 1) / warmup) if warmup else np.ones(20)
  p = np.clip((step - warmup) / (20 - warmup), 0, 1)
  expected = {
    "constant": np.ones(20),
    "linear": 1 - 0.9 * p,
    "cosine": 0.1 + 0.9 * (1 + np.cos(np.pi * p)) / 2,
    "inverse_sqrt": np.sqrt(max(1, warmup) / np.maximum(step + 1, max(1, warmup))),
    "exponential": 0.8 ** np.floor(step / 6),
  }
  for decay, factor in expected.items():
    found = rates(warmup_steps=warmup, decay=decay, final_fraction=0.1, decay_rate=0.8, decay_steps=6)
    np.testing.assert_allclose(found, 0.5 * warm * factor, rtol=1e-6)


def test_the_optimizer_uses_the_rate_of_its_step():
  optimizer, rate = make_optimizer(
    name="adam", learning_rate=0.1, num_steps=10, warmup_steps=3, decay="linear", b1=0.0, b2=0.0, eps=0.0
  )
  params = {"bias": jnp.ones(3)}
  state = optimizer.init(params)
  for step in range(10):
    # Without memory Adam moves every coordinate by exactly the rate, against the sign of the gradient.
    updates, state = optimizer.update({"bias": jnp.array([1.0, -2.0, 3.0])}, state, params)
    np.testing.assert_allclose(updates["bias"], -rate(step) * np.array([1, -1, 1]), rtol=1e-5)


def network(seed=0):
  rng = np.random.default_rng(seed)

  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  return {
    "embedding": {"kernel": normal(27, 8)},
    "position_embedding": {"table": normal(16, 8)},
    "layers": {
      "attention": {"query": {"kernel": normal(3, 8, 24)}, "output": {"kernel": normal(3, 24, 8)}},
      "norm": {"scale": normal(3, 8)},
      "mlp": {"bias": normal(3, 8)},
    },
    "middle": {"kernel": normal(8, 32), "bias": normal(32)},
    "column": {"kernel": normal(8, 1)},
    "head": {"kernel": normal(8, 27)},
  }


def test_muon_takes_hidden_kernels_and_nothing_else():
  chosen = jax.tree_util.tree_leaves_with_path(
    muon_dimensions(network()), is_leaf=lambda x: isinstance(x, optax.contrib.MuonDimensionNumbers)
  )
  names = {jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in chosen}
  assert names == {"layers/attention/query/kernel", "layers/attention/output/kernel", "middle/kernel"}


def test_muon_orthogonalizes_matrices_and_each_slice_of_a_stack():
  params, grads = network(0), network(1)
  optimizer, _ = make_optimizer(name="muon", learning_rate=1.0, num_steps=10)
  updates, _ = optimizer.update(grads, optimizer.init(params), params)
  slices = [updates["middle"]["kernel"]]
  slices += [*updates["layers"]["attention"]["query"]["kernel"], *updates["layers"]["attention"]["output"]["kernel"]]
  for update in slices:
    scale = max(1.0, update.shape[1] / update.shape[0]) ** 0.5
    values = np.linalg.svd(np.asarray(update), compute_uv=False) / scale
    assert 0.6 < values.min() <= values.max() < 1.25
  for name in ("embedding", "head", "column"):
    # The first step of Adam moves every entry equally far, whatever the gradient's size: by no means orthogonal.
    moved = np.abs(updates[name]["kernel"])
    np.testing.assert_allclose(moved, moved.max(), rtol=1e-3)


def test_muon_gives_adam_its_own_rate():
  params, grads = network(0), network(1)
  moved = []
  for rate in (None, 0.25):
    optimizer, learning_rate = make_optimizer(name="muon", learning_rate=1.0, adam_learning_rate=rate, num_steps=10)
    moved.append(optimizer.update(grads, optimizer.init(params), params)[0])
    assert float(learning_rate(0)) == 1.0
  np.testing.assert_allclose(moved[1]["head"]["kernel"], 0.25 * moved[0]["head"]["kernel"], rtol=1e-5)
  np.testing.assert_array_equal(moved[1]["middle"]["kernel"], moved[0]["middle"]["kernel"])


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_weight_decay_acts_on_kernels_alone_and_is_decoupled(name):
  params = network(0)
  grads = jax.tree.map(jnp.zeros_like, params)
  optimizer, _ = make_optimizer(name=name, learning_rate=0.5, num_steps=10, weight_decay=0.2)
  updates, _ = optimizer.update(grads, optimizer.init(params), params)
  np.testing.assert_allclose(updates["middle"]["kernel"], -0.1 * params["middle"]["kernel"], rtol=1e-5)
  assert not np.any(updates["middle"]["bias"])
  assert not np.any(updates["layers"]["norm"]["scale"])
  assert not np.any(updates["position_embedding"]["table"])
  assert not kernel_mask(params)["layers"]["mlp"]["bias"]


def test_clipping_bounds_the_global_norm_before_the_optimizer_sees_it():
  params = {"a": {"bias": jnp.zeros(4)}}
  big, small = ({"a": {"bias": scale * jnp.array([3.0, 4.0, 0.0, 0.0])}} for scale in (100.0, 0.1))
  optimizer, _ = make_optimizer(name="adam", learning_rate=1.0, num_steps=5, clip_norm=1.0, eps=1.0, b1=0.0, b2=0.0)

  def update(grads):
    return optimizer.update(grads, optimizer.init(params), params)[0]["a"]["bias"]

  np.testing.assert_allclose(update(big), -np.array([0.6 / 1.6, 0.8 / 1.8, 0, 0]), rtol=1e-5)
  np.testing.assert_allclose(update(small), -np.array([0.3 / 1.3, 0.4 / 1.4, 0, 0]), rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adam", "adamax", "muon"])
def test_every_optimizer_lowers_a_quadratic(name):
  target = network(1)

  def loss(params):
    return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.square(a - b).sum(), params, target)))

  optimizer, _ = make_optimizer(name=name, learning_rate=0.05, num_steps=60, warmup_steps=5, decay="cosine")
  params = network(0)
  state = optimizer.init(params)

  @jax.jit
  def step(params, state):
    updates, state = optimizer.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state

  start = loss(params)
  for _ in range(60):
    params, state = step(params, state)
  assert loss(params) < 0.5 * start


@pytest.mark.parametrize(
  ("keywords", "named"),
  [
    ({"name": "sgd"}, "optimizer"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"decay": "step"}, "decay"),
    ({"warmup_steps": 11}, "warmup_steps"),
    ({"decay": "exponential"}, "decay_steps"),
    ({"name": "adam", "weight_decay": 0.1}, "weight_decay"),
    ({"adam_learning_rate": 0.1}, "adam_learning_rate"),
    ({"final_fraction": 2.0}, "final_fraction"),
  ],
)
def test_mistakes_are_named_in_one_line(keywords, named):
  with pytest.raises(InputError, match=named) as caught:
    make_optimizer(**({"name": "adamw", "learning_rate": 0.1, "num_steps": 10} | keywords))
  assert "\n" not in str(caught.value)
