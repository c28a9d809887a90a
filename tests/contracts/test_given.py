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

from catgen.batches import batch_of, take
from catgen.given import fix_given
from catgen.interfaces import Batch, EventSpec, InputError, Model, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.models.emission import ENCODINGS
from catgen.networks.conditions import Conditions
from catgen.processes import PROCESSES, SCHEDULES
from catgen.trees import leaves
from tests.compiling import OPTIMIZED
from tests.contracts import blocks, discrete, emission, exact, flows
from tests.contracts.making import as_tree, events_of, gradient_of, initial, trained, uneven
from tests.contracts.parts import density, encoder, transformer

K, T, LABELS = 3, 4, (0, 1, 2)  # the last means "not given"
PAIR, ONE = EventSpec((2,), K, (2,)), EventSpec((1,), K, (2,))
DRAWS, EACH, EVERY, SAMPLES = 1500, 30, 3, 5000  # EACH: draws of one call; EVERY: of as many, one is a full bound


class Member(NamedTuple):
  """A labelled model, parameters away from any symmetric point, and its exact probabilities."""

  model: Model
  events: np.ndarray
  params: dict
  state: dict
  probs: np.ndarray  # [labels, events]; what is missing to one is P(invalid)
  unused: np.ndarray | None = None  # [labels]: P(invalid) by quadrature; None where it is 0, or outside all boxes


def started(model: Model) -> tuple[dict, dict]:
  """Returns parameters whose tables of labels are the largest."""
  return initial(model, scales={"given": 2.0})


def constant(label: int, number: int) -> np.ndarray:
  return np.full((number, 1), label, np.int32)


def diffusion(process: str, schedule: str) -> Member:
  chosen = {"process": PROCESSES[process](), "schedule": SCHEDULES[schedule]()}
  model = MODELS["diffusion"].make(event=PAIR, network=transformer(), num_steps=T, **chosen)
  params, state = started(model)
  spec, table = model.sample.args[0], SCHEDULES[schedule].make().table(T).keep

  @jax.jit
  def log_x0(states, time, given):
    told = Conditions(given=given, time=jnp.full(len(states), time))
    return jax.nn.log_softmax(spec.network(params, states, told))

  def predict(label, states, t):
    return log_x0(states, np.float32((t - 1) / T), constant(label, len(states)))

  probs = [exact.diffusion(process, K, 2, table, functools.partial(predict, label)) for label in LABELS]
  return Member(model, events_of(PAIR), params, state, np.stack(probs))


def learned_masking() -> Member:
  model = MODELS["learned_masking"].make(event=PAIR, network=transformer())
  params, state = started(model)
  params["rates"] = np.float32([-0.2, 0.5, 1.2])
  (spec, _), num_steps = model.sample.args[0](params), 1000

  @jax.jit
  def log_x0(params, states, time, given):
    told = Conditions(given=given, time=jnp.full(len(states), time))
    return jax.nn.log_softmax(spec.network(params, states, told))

  def predict(label, states, move):
    return log_x0(params, states, np.float32((move - 0.5) / num_steps), constant(label, len(states)))

  rates = np.broadcast_to(np.log1p(np.exp(np.float64(params["rates"]))), (2, K))
  grid = np.arange(num_steps + 1) / num_steps
  probs = [exact.rated(rates, grid, functools.partial(predict, label)) for label in LABELS]
  return Member(model, events_of(PAIR), params, state, np.stack(probs))


def autoregressive() -> Member:
  model = MODELS["autoregressive"].make(event=PAIR, network=transformer())
  params, state = started(model)
  apply, events, probs = jax.jit(model.sample.args[0]), events_of(PAIR), []
  for label in LABELS:
    logits = apply(params, events, Conditions(given=constant(label, len(events))))
    log_p = np.asarray(logits, np.float64)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    probs.append(np.exp(np.take_along_axis(log_p, events[..., None], -1).sum((1, 2))))
  return Member(model, events, params, state, np.stack(probs))


def block_diffusion() -> Member:
  model = MODELS["block_diffusion"].make(event=PAIR, network=transformer(), block_length=2)
  params, state = started(model)
  events = events_of(PAIR)
  probs = [blocks.probabilities(model.bound.args[0], params, events, constant(label, len(events))) for label in LABELS]
  return Member(model, events, params, state, np.stack(probs))


def discrete_flow(kind: str) -> Member:
  model = MODELS[kind].make(event=PAIR, conditioner=transformer(), num_layers=2)
  params, state = initial(model, scale=2.0, scales={"given": 6.0})
  density = model.bound.args[0](params).density
  probs = [discrete.probabilities(density, K, PAIR.shape, label) for label in LABELS]
  return Member(model, events_of(PAIR), params, state, np.stack(probs))


def unlike(events: np.ndarray) -> Batch:
  """Returns data of another distribution for each label."""
  parts = [uneven(events), uneven(events[::-1]), events.repeat(3, axis=0)]
  given = np.repeat(np.array(LABELS, np.int32), [len(part) for part in parts])
  return batch_of(np.concatenate(parts))._replace(given=given[:, None])


def flow(kind: str, **options) -> Member:
  model = MODELS[kind].make(event=ONE, density=density("autoregressive"), **options)
  params, state = started(model)
  events = events_of(ONE)
  params = trained(model, unlike(events), params, state)
  boxes, base = kind == "dequantized_flow", options.get("base", 0) or K

  def log_prob(v, label):
    return model.latent.log_prob(params, v, given=jnp.full((len(v), 1), label), state=state)

  compiled = jax.jit(log_prob, compiler_options=OPTIMIZED)
  labels = [functools.partial(compiled, label=label) for label in LABELS]
  codes = np.stack([flows.probabilities(each, ONE, base=base, boxes=boxes) for each in labels])
  unused = None if boxes else codes[:, K:].sum(axis=1)
  return Member(model, events, params, state, codes[:, :K], unused)


def latent_emission() -> Member:
  encoding = ENCODINGS["mixture"](num_channels=1, embedding_width=8)
  parts = {"encoding": encoding, "density": density("autoregressive", base="logistic")}
  model = MODELS["latent_emission"].make(event=ONE, **parts)
  params, state = started(model)
  events = events_of(ONE)
  params, latent = trained(model, unlike(events), params, state), model.latent
  keys = example_keys(jax.random.key(0), jnp.arange(500))

  def log_prob(v, label):
    return latent.log_prob(params, v, given=jnp.full((len(v), 1), label), state=state)

  def log_likelihood(z):
    each = [batch_of(jnp.broadcast_to(x, (len(z), 1)), jnp.ones((len(z), 1), bool)) for x in events]
    return jnp.stack([latent.log_likelihood(params, batch, z, state=state) for batch in each])

  compiled = jax.jit(log_prob, compiler_options=OPTIMIZED)
  likelihood = jax.jit(log_likelihood, compiler_options=OPTIMIZED)
  drawn = np.asarray(jax.jit(lambda params: latent.sample(params, keys, state=state)[0])(params))
  labels = [functools.partial(compiled, label=label) for label in LABELS]
  probs = np.stack([emission.probabilities(each, likelihood, drawn, events, 16) for each in labels])
  return Member(model, events, params, state, probs, np.zeros(len(LABELS)))


MEMBERS: dict[str, Callable[[], Member]] = {
  "latent_emission": latent_emission,
  "uniform": functools.partial(diffusion, "uniform", "paper_cosine"),
  "absorbing": functools.partial(diffusion, "absorbing", "linear"),
  "learned_masking": learned_masking,
  "autoregressive": autoregressive,
  "block_diffusion": block_diffusion,
  "discrete": functools.partial(discrete_flow, "discrete_flow"),
  "denoising": functools.partial(discrete_flow, "denoising_flow"),
  "argmax": functools.partial(flow, "argmax_flow", base=2, encoder=encoder()),
  "dequantized": functools.partial(flow, "dequantized_flow", encoder=None),
}


# They are told of labels as "absorbing", "autoregressive" and "argmax" are.
SLOW = {"learned_masking", "block_diffusion", "uniform", "dequantized", "discrete", "denoising", "latent_emission"}


@functools.cache
def made(name: str) -> Member:
  return MEMBERS[name]()


@pytest.fixture(
  params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in sorted(MEMBERS)]
)
def name(request) -> str:
  return request.param


@pytest.fixture
def member(name) -> Member:
  return made(name)


def of_one(chosen: str):
  """Parametrizes what does not depend on the family: the default suite sees it of one."""
  each = [pytest.param(name, marks=[] if name == chosen else [pytest.mark.slow]) for name in sorted(MEMBERS)]
  return pytest.mark.parametrize("name", each)


def labelled(member: Member, num: int) -> Batch:
  """Returns every event with every label `num` times, in the order of `Member.probs`."""
  x = np.repeat(np.tile(member.events, (len(LABELS), *[1] * (member.events.ndim - 1))), num, axis=0)
  given = np.repeat(np.array(LABELS), len(member.events) * num)[:, None]
  return batch_of(x)._replace(given=given.astype(np.int32))


@functools.cache
def program(name: str) -> Callable:
  """Returns (params, batch, seed) -> bounds, log-weights and, of some, full bounds (or None), by one program."""
  model, state = made(name).model, made(name).state

  def say(params, batch, seed):
    keys = example_keys(jax.random.key(seed), batch.index)
    some = take(batch, slice(None, None, EVERY))
    others = example_keys(jax.random.key(seed + 1), some.index)
    return (
      model.bound(params, batch, keys, state=state, train=False).nats,
      model.log_weight(params, batch, keys, state=state),
      model.full_bound and model.full_bound(params, some, others, state=state)[0].nats,
    )

  return jax.jit(say)


@functools.cache
def drawn(name: str) -> tuple[np.ndarray, ...]:
  """Returns what the model says of every event with every label: [labels, events, DRAWS], full bounds fewer."""
  member, parts = made(name), []
  batch = labelled(member, EACH)
  for first in np.arange(DRAWS // EACH) * len(batch.x):
    said = program(name)(member.params, batch._replace(index=batch.index + first), 2)
    parts.append(jax.tree.map(lambda values: np.float64(values).reshape(*member.probs.shape, -1), said))
  return jax.tree.map(lambda *values: np.concatenate(values, axis=-1), *parts)


def test_every_family_is_here():
  flows = {"argmax_flow", "dequantized_flow", "discrete_flow", "denoising_flow"}
  others = {"diffusion", "learned_masking", "autoregressive", "block_diffusion", "latent_emission"}
  assert set(MODELS) == {*others, *flows}


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


def test_bounds_lie_below_log_p_of_their_label(name, member):
  nats, log_p = drawn(name)[0], np.log(member.probs)
  assert nats.shape[-1] == DRAWS
  error = nats.std(axis=-1) / np.sqrt(DRAWS)
  assert np.all(nats.mean(axis=-1) <= log_p + 4 * error + 3e-3)
  assert np.all(nats.mean(axis=-1) >= 3 * log_p - 3)


def test_weights_average_to_the_probability_of_their_label(name, member):
  weights = np.exp(drawn(name)[1])
  error = weights.std(axis=-1) / np.sqrt(DRAWS)
  assert np.all(np.abs(weights.mean(axis=-1) - member.probs) < 4.5 * error + 2e-4)


def test_full_bounds_are_those_of_their_label():
  one, _, full = drawn("absorbing")
  error = np.sqrt((one.var(axis=-1) + EVERY * full.var(axis=-1)) / DRAWS)
  assert np.all(np.abs(full.mean(axis=-1) - one.mean(axis=-1)) < 4.5 * error + 1e-3)


def numbers_of(member: Member, x: jax.Array) -> np.ndarray:
  size = math.prod(member.model.event.shape)
  return np.asarray(x).reshape(len(x), size) @ (K ** np.arange(size)[::-1])


def test_samples_follow_the_distribution_of_their_label(member):
  given = np.repeat(np.array(LABELS, np.int32), SAMPLES)[:, None]

  @jax.jit
  def draw(params, given):  # those without a label once more by telling the model nothing
    keys = example_keys(jax.random.key(5), jnp.arange(len(given)))
    told, rest = {"state": member.state, "options": SampleOptions()}, keys[-100:]
    return member.model.sample(params, keys, given=given, **told), member.model.sample(params, rest, given=None, **told)

  samples, nothing = jax.device_get(draw(member.params, given))
  valid = samples.valid.reshape(len(given), -1).all(axis=1)
  codes = np.where(valid, numbers_of(member, samples.x), len(member.events)).reshape(len(LABELS), SAMPLES)
  for found, probs in zip(codes, member.probs, strict=True):
    counts, invalid = np.bincount(found, minlength=len(member.events) + 1), max(0.0, 1 - probs.sum())
    expected = np.append(probs, invalid) if invalid > 3e-3 else probs / probs.sum()
    assert counts[len(expected) :].sum() == 0
    assert scipy.stats.chisquare(counts[: len(expected)], expected * SAMPLES).pvalue > 1e-4
  np.testing.assert_array_equal(nothing.x, samples.x[-100:])  # None is the label "not given"


@of_one("autoregressive")
def test_a_fixed_label_is_the_model_of_that_label(name, member):
  batch = labelled(member, EACH)
  mixed = np.asarray(program(name)(member.params, batch, 6)[0]).reshape(*member.probs.shape, EACH)[1:, :, 0]
  _, *rows = np.arange(len(batch.x)).reshape(*member.probs.shape, EACH)[:, :, 0]
  batches = [take(batch, own)._replace(given=None) for own in rows]
  models = (fix_given(member.model, [1]), member.model)  # nothing given is the last label

  @jax.jit
  def bounds(params, batches):
    keys = [example_keys(jax.random.key(6), batch.index) for batch in batches]
    told = {"state": member.state, "train": False}
    return [model.bound(params, *each, **told).nats for model, *each in zip(models, batches, keys, strict=True)]

  np.testing.assert_allclose(bounds(member.params, batches), mixed, rtol=1e-4, atol=1e-5)


def test_exact_completions_follow_the_label(member):
  infill = member.model.infill
  if infill is None or not infill.exact:
    return
  first = 1
  x = np.broadcast_to(np.int32([first, 0]), (len(LABELS) * SAMPLES, 2))
  given = np.repeat(np.array(LABELS, np.int32), SAMPLES)[:, None]

  @jax.jit
  def draw(params, x, given):
    keys = example_keys(jax.random.key(7), jnp.arange(len(given)))
    return infill.draw(params, x, x == first, keys, given=given, state=member.state, options=SampleOptions())

  found = np.asarray(draw(member.params, x, given).x).reshape(len(LABELS), SAMPLES, 2)
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
  x, valid = member.events, np.ones(member.events.shape, bool)

  @jax.jit
  def predictions(params, x, valid):
    told = [jnp.asarray(constant(label, len(x))) for label in LABELS]
    return [
      member.model.denoise(params, x, valid, 0.1, given=given, state=member.state).prediction for given in [*told, None]
    ]

  *found, nothing = map(np.asarray, predictions(member.params, x, valid))
  np.testing.assert_array_equal(found[-1], nothing)
  assert np.abs(found[0] - found[1]).max() > 1e-2


@of_one("argmax")  # whose gradients are compiled anyway
def test_gradients_reach_the_labels(member):
  numbers, _ = gradient_of(member.model)(member.params, unlike(member.events), 8, member.state)
  gradient = as_tree(np.asarray(numbers), member.params)
  tables = [(path, leaf) for path, leaf in leaves(gradient) if "given" in path]
  assert tables
  for path, leaf in tables:
    assert np.all(np.isfinite(leaf)), path
    assert np.all(np.any(leaf != 0, axis=-1)), f"no gradient reaches every label of {path}"


def test_a_model_without_labels_refuses_them():
  model = MODELS["autoregressive"].make(event=PAIR._replace(given=()), network=transformer())
  params, state = initial(model)
  assert not [path for path, _ in leaves(params) if "given" in path]
  with pytest.raises(InputError, match="given"):
    jax.eval_shape(model.log_prob, params, batch_of(events_of(PAIR))._replace(given=constant(0, 9)), state=state)
