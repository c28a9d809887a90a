"""Labelled models, one of every family: a distribution for each label and one without, each proved like any other."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.given import fix_given
from catgen.interfaces import Batch, EventSpec, InputError, Model, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks.conditions import Conditions
from catgen.processes import PROCESSES, SCHEDULES
from catgen.trees import leaves
from tests.contracts import exact, flows
from tests.contracts.families import batch_of, density, encoder, events_of, trained, transformer, uneven

K, T, LABELS = 3, 4, (0, 1, 2)  # the last means "not given"
PAIR, ONE = EventSpec((2,), K, (2,)), EventSpec((1,), K, (2,))
DRAWS, SAMPLES = 1500, 5000


class Member(NamedTuple):
  """A labelled model, parameters away from any symmetric point, and its exact probabilities."""

  model: Model
  events: np.ndarray
  params: dict
  state: dict
  probs: np.ndarray  # [labels, events]; what is missing to one is P(invalid)
  unused: np.ndarray | None = None  # [labels]: P(invalid) by quadrature; None where it is 0, or outside all boxes


def perturbed(model: Model, scale: float) -> tuple[dict, dict]:
  """Returns parameters whose tables of labels are moved most."""
  params, state = jax.jit(model.init)(batch_of(events_of(model.event)), jax.random.key(0))
  tree = jax.tree.structure(params)
  keys = jax.random.split(jax.random.key(1), tree.num_leaves)
  moved = [
    leaf + (1.0 if "given" in path else scale) * jax.random.normal(key, leaf.shape)
    for (path, leaf), key in zip(leaves(params), keys, strict=True)
  ]
  return jax.tree.unflatten(tree, moved), state


def constant(label: int, number: int) -> jax.Array:
  return jnp.full((number, 1), label, jnp.int32)


def diffusion(process: str, schedule: str) -> Member:
  chosen = {"process": PROCESSES[process](), "schedule": SCHEDULES[schedule]()}
  model = MODELS["diffusion"].make(event=PAIR, network=transformer(), num_steps=T, **chosen)
  params, state = perturbed(model, 0.15)
  spec, table = model.sample.args[0], SCHEDULES[schedule].make().table(T)

  @jax.jit
  def log_x0(states, time, given):
    told = Conditions(given=given, time=jnp.full(len(states), time))
    return jax.nn.log_softmax(spec.network(params, states, told))

  def predict(label, states, t):
    return log_x0(jnp.asarray(states), jnp.float32((t - 1) / T), constant(label, len(states)))

  probs = [exact.diffusion(process, K, 2, table, functools.partial(predict, label)) for label in LABELS]
  return Member(model, events_of(PAIR), params, state, np.stack(probs))


def autoregressive() -> Member:
  model = MODELS["autoregressive"].make(event=PAIR, network=transformer())
  params, state = perturbed(model, 0.15)
  apply, events, probs = model.sample.args[0], events_of(PAIR), []
  for label in LABELS:
    logits = apply(params, jnp.asarray(events), Conditions(given=constant(label, len(events))))
    log_p = np.asarray(logits, np.float64)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    probs.append(np.exp(np.take_along_axis(log_p, events[..., None], -1).sum((1, 2))))
  return Member(model, events, params, state, np.stack(probs))


def flow(kind: str, **options) -> Member:
  model = MODELS[kind].make(event=ONE, density=density("autoregressive"), **options)
  params, state = perturbed(model, 0.05)
  events = events_of(ONE)
  data = [uneven(events), uneven(events[::-1]), events.repeat(6, axis=0)]  # other data for each label
  batch = batch_of(np.concatenate(data))
  given = np.repeat(np.array(LABELS, np.int32), [len(each) for each in data])[:, None]
  params = trained(model, batch._replace(given=jnp.asarray(given)), params, state)
  boxes, base = kind == "dequantized_flow", options.get("base", 0) or K
  codes = np.stack([
    flows.probabilities(fix_given(model, [label]), params, K, 1, base=base, boxes=boxes) for label in LABELS
  ])  # fmt: skip
  unused = None if boxes else codes[:, K:].sum(axis=1)
  return Member(model, events, params, state, codes[:, :K], unused)


MEMBERS: dict[str, Callable[[], Member]] = {
  "uniform": functools.partial(diffusion, "uniform", "paper_cosine"),
  "absorbing": functools.partial(diffusion, "absorbing", "linear"),
  "autoregressive": autoregressive,
  "argmax": functools.partial(flow, "argmax_flow", base=2, encoder=encoder()),
  "dequantized": functools.partial(flow, "dequantized_flow", encoder=None),
}


SLOW = {"uniform", "dequantized"}  # they are told of labels as "absorbing" and "argmax" are


@functools.cache
def made(name: str) -> Member:
  return MEMBERS[name]()


@pytest.fixture(
  params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in sorted(MEMBERS)]
)
def member(request) -> Member:
  return made(request.param)


def labelled(member: Member, num: int) -> Batch:
  """Returns every event with every label `num` times, in the order of `Member.probs`."""
  x = np.repeat(np.tile(member.events, (len(LABELS), *[1] * (member.events.ndim - 1))), num, axis=0)
  given = np.repeat(np.array(LABELS), len(member.events) * num)[:, None]
  return batch_of(x)._replace(given=jnp.asarray(given, jnp.int32))


def of_each(member: Member, values: jax.Array) -> np.ndarray:
  return np.asarray(values, np.float64).reshape(*member.probs.shape, -1)


def test_every_family_is_here():
  assert set(MODELS) == {"diffusion", "autoregressive", "argmax_flow", "dequantized_flow"}


def test_each_label_has_its_own_distribution(member):
  used = member.probs.sum(axis=1)
  if member.model.latent is None:
    np.testing.assert_allclose(used, 1.0, atol=1e-5)
  elif member.unused is not None:
    np.testing.assert_allclose(used + member.unused, 1.0, atol=1e-4)
  else:
    assert np.all((used > 0.0) & (used < 1.0))
  for one, other in ((0, 1), (0, 2), (1, 2)):
    assert np.abs(member.probs[one] - member.probs[other]).sum() > 0.02


def test_bounds_lie_below_log_p_of_their_label(member):
  batch = labelled(member, DRAWS)
  bound = jax.jit(lambda p, b, k: member.model.bound(p, b, k, state=member.state, train=False).nats)
  nats = of_each(member, bound(member.params, batch, example_keys(jax.random.key(2), batch.index)))
  error = nats.std(axis=-1) / np.sqrt(DRAWS)
  log_p = np.log(member.probs)
  assert np.all(nats.mean(axis=-1) <= log_p + 4 * error + 3e-3)
  assert np.all(nats.mean(axis=-1) >= 3 * log_p - 3)


def test_weights_average_to_the_probability_of_their_label(member):
  batch = labelled(member, DRAWS)
  weight = jax.jit(lambda p, b, k: member.model.log_weight(p, b, k, state=member.state))
  weights = np.exp(of_each(member, weight(member.params, batch, example_keys(jax.random.key(3), batch.index))))
  error = weights.std(axis=-1) / np.sqrt(DRAWS)
  assert np.all(np.abs(weights.mean(axis=-1) - member.probs) < 4.5 * error + 2e-4)


def test_full_bounds_are_those_of_their_label():
  member = made("absorbing")
  batch = labelled(member, 500)
  keys = example_keys(jax.random.key(4), batch.index)
  full = jax.jit(lambda p, b, k: member.model.full_bound(p, b, k, state=member.state)[0].nats)
  one = jax.jit(lambda p, b, k: member.model.bound(p, b, k, state=member.state, train=False).nats)
  means, errors = [], []
  for function in (full, one):
    nats = of_each(member, function(member.params, batch, keys))
    means.append(nats.mean(axis=-1))
    errors.append(nats.std(axis=-1) / np.sqrt(500))
  assert np.all(np.abs(means[0] - means[1]) < 4.5 * np.hypot(*errors) + 1e-3)


def numbers_of(member: Member, x: jax.Array) -> np.ndarray:
  size = math.prod(member.model.event.shape)
  return np.asarray(x).reshape(len(x), size) @ (K ** np.arange(size)[::-1])


def test_samples_follow_the_distribution_of_their_label(member):
  given = np.repeat(np.array(LABELS, np.int32), SAMPLES)[:, None]
  keys = example_keys(jax.random.key(5), jnp.arange(len(given)))
  draw = jax.jit(
    lambda p, k, given: member.model.sample(p, k, given=given, state=member.state, options=SampleOptions())
  )
  drawn = draw(member.params, keys, given)
  valid = np.asarray(drawn.valid).reshape(len(given), -1).all(axis=1)
  codes = np.where(valid, numbers_of(member, drawn.x), len(member.events)).reshape(len(LABELS), SAMPLES)
  for found, probs in zip(codes, member.probs, strict=True):
    counts, invalid = np.bincount(found, minlength=len(member.events) + 1), max(0.0, 1 - probs.sum())
    expected = np.append(probs, invalid) if invalid > 3e-3 else probs / probs.sum()
    assert counts[len(expected) :].sum() == 0
    assert scipy.stats.chisquare(counts[: len(expected)], expected * SAMPLES).pvalue > 1e-4
  nothing = draw(member.params, keys[-100:], None)
  np.testing.assert_array_equal(nothing.x, np.asarray(drawn.x)[-100:])  # None is the label "not given"


def test_a_fixed_label_is_the_model_of_that_label(member):
  batch = labelled(member, 1)
  keys = example_keys(jax.random.key(6), batch.index)

  def bound(model, batch, keys):
    return jax.jit(lambda p, b, k: model.bound(p, b, k, state=member.state, train=False).nats)(
      member.params, batch, keys
    )

  mixed, number = bound(member.model, batch, keys), len(member.events)
  for label, model in ((1, fix_given(member.model, [1])), (2, member.model)):  # nothing given is the last label
    own = slice(label * number, (label + 1) * number)
    alone = Batch(batch.x[own], batch.valid[own], batch.index[own])
    np.testing.assert_allclose(bound(model, alone, keys[own]), mixed[own], rtol=1e-4, atol=1e-5)


def test_exact_completions_follow_the_label(member):
  infill = member.model.infill
  if infill is None or not infill.exact:
    return
  first = 1
  x = jnp.broadcast_to(jnp.array([first, 0], jnp.int32), (len(LABELS) * SAMPLES, 2))
  given = np.repeat(np.array(LABELS, np.int32), SAMPLES)[:, None]
  keys = example_keys(jax.random.key(7), jnp.arange(len(given)))
  draw = jax.jit(
    lambda p, x, k, given: infill.draw(p, x, x == first, k, given=given, state=member.state, options=SampleOptions())
  )
  found = np.asarray(draw(member.params, x, keys, given).x).reshape(len(LABELS), SAMPLES, 2)
  assert np.all(found[..., 0] == first)
  if not infill.prefix_only:
    assert len({tuple(np.bincount(each[:, 1], minlength=K)) for each in found}) == len(LABELS)
    return  # in the order "observed first", which is not the mean over all orders that p(x) is
  for each, probs in zip(found, member.probs.reshape(len(LABELS), K, K), strict=True):
    counts = np.bincount(each[:, 1], minlength=K)
    assert scipy.stats.chisquare(counts, probs[first] / probs[first].sum() * SAMPLES).pvalue > 1e-4


def test_denoising_reads_the_label(member):
  if member.model.denoise is None:
    return
  x, valid = jnp.asarray(member.events), jnp.ones(member.events.shape, bool)
  found = [
    member.model.denoise(member.params, x, valid, 0.1, given=constant(label, len(x)), state=member.state).prediction
    for label in LABELS
  ]
  nothing = member.model.denoise(member.params, x, valid, 0.1, state=member.state).prediction
  np.testing.assert_array_equal(found[-1], nothing)
  assert np.abs(np.asarray(found[0] - found[1])).max() > 1e-2


def test_gradients_reach_the_labels(member):
  batch = labelled(member, 20)
  keys = example_keys(jax.random.key(8), batch.index)
  nats = jax.grad(lambda p: member.model.bound(p, batch, keys, state=member.state, train=True).nats.sum())
  tables = [(path, leaf) for path, leaf in leaves(jax.jit(nats)(member.params)) if "given" in path]
  assert tables
  for path, leaf in tables:
    assert bool(jnp.all(jnp.isfinite(leaf))), path
    assert bool(jnp.all(jnp.any(leaf != 0, axis=-1))), f"no gradient reaches every label of {path}"


def test_a_model_without_labels_refuses_them():
  model = MODELS["autoregressive"].make(event=PAIR._replace(given=()), network=transformer())
  params, state = model.init(batch_of(events_of(PAIR)), jax.random.key(0))
  assert not [path for path, _ in leaves(params) if "given" in path]
  with pytest.raises(InputError, match="given"):
    model.log_prob(params, batch_of(events_of(PAIR))._replace(given=constant(0, 9)), state=state)
