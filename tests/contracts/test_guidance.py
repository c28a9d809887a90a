"""Guidance by labels: the law of guided samples, enumerated; what a single position follows; what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.batches import batch_of
from catgen.distributions import categorical
from catgen.interfaces import InputError, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks.conditions import Conditions
from catgen.processes import SCHEDULES
from tests.contracts import blocks, exact
from tests.contracts.making import events_of
from tests.contracts.parts import transformer
from tests.contracts.test_given import (
  LABELS,
  PAIR,
  K,
  Member,
  T,
  autoregressive,
  block_diffusion,
  constant,
  diffusion,
  numbers_of,
)

STRENGTH, SAMPLES, NOT_GIVEN = 4.0, 4000, LABELS[-1]
INTERVAL = (0.3, 1.0)  # of the times 0, 1/4, 1/2, 3/4 the last two


def guided(log_given: np.ndarray, log_not_given: np.ndarray, strength: float) -> np.ndarray:
  found = np.exp(np.float64(log_given)) ** strength * np.exp(np.float64(log_not_given)) ** (1 - strength)
  return np.log(found / found.sum(-1, keepdims=True))


def law_of_diffusion(member: Member, process: str, schedule: str, label: int, options: SampleOptions) -> np.ndarray:
  spec = member.model.sample.args[0]

  @jax.jit
  def log_x0(states, time, given):
    told = Conditions(given=given, time=jnp.full(len(states), time))
    return jax.nn.log_softmax(spec.network(member.params, states, told))

  def predict(states, t):
    time = np.float32((t - 1) / T)
    first, last = (log_x0(states, time, constant(each, len(states))) for each in (label, NOT_GIVEN))
    inside = options.guidance_interval[0] <= time <= options.guidance_interval[1]
    return guided(first, last, options.guidance if inside else 1.0)

  return exact.diffusion(process, K, 2, SCHEDULES[schedule].make().table(T).keep, predict)


def law_of_autoregression(member: Member, label: int, options: SampleOptions) -> np.ndarray:
  apply, events = jax.jit(member.model.sample.args[0]), events_of(PAIR)

  def log_probs(each):
    return jax.nn.log_softmax(apply(member.params, events, Conditions(given=constant(each, len(events)))))

  log_p = guided(log_probs(label), log_probs(NOT_GIVEN), options.guidance)
  return np.exp(np.take_along_axis(log_p, events[..., None], -1).sum((1, 2)))


def law_of_blocks(member: Member, label: int, options: SampleOptions) -> np.ndarray:
  """Of one block of two positions, in both orders."""
  spec, events = member.model.bound.args[0], events_of(PAIR)

  def log_probs(each, visible):
    batch = batch_of(events)._replace(given=constant(each, len(events)))
    masked = np.broadcast_to(~np.array(visible), events.shape)
    return blocks.say(spec, member.params, batch, masked)

  along = []
  for order in ((0, 1), (1, 0)):
    total = 0.0
    for place, visible in ((order[0], (False, False)), (order[1], np.arange(2) == order[0])):
      log_p = guided(log_probs(label, visible), log_probs(NOT_GIVEN, visible), options.guidance)
      total += np.take_along_axis(log_p, events[..., None], axis=-1)[:, place, 0]
    along.append(total)
  return np.exp(along).mean(axis=0)


MASKED, UNIFORM = ("absorbing", "linear"), ("uniform", "cosine")
CASES = {
  "masked": (diffusion, MASKED, SampleOptions(guidance=STRENGTH)),
  "masked for a while": (diffusion, MASKED, SampleOptions(guidance=STRENGTH, guidance_interval=INTERVAL)),
  "uniform": (diffusion, UNIFORM, SampleOptions(guidance=STRENGTH)),
  "autoregressive": (autoregressive, (), SampleOptions(guidance=STRENGTH)),
  "block_diffusion": (block_diffusion, (), SampleOptions(guidance=STRENGTH)),
}
SLOW = {"masked", "uniform", "block_diffusion"}


@functools.cache
def made(make, arguments) -> Member:
  return make(*arguments)


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]
)
def test_guided_samples_follow_the_law_of_guided_predictions(name):
  make, arguments, options = CASES[name]
  member, label = made(make, arguments), 1
  laws = {autoregressive: law_of_autoregression, block_diffusion: law_of_blocks}
  law = laws.get(make, law_of_diffusion)
  expected = law(member, *arguments, label, options)
  np.testing.assert_allclose(expected.sum(), 1.0, atol=1e-6)

  @jax.jit
  def draw(params):
    keys, given = example_keys(jax.random.key(3), jnp.arange(SAMPLES)), jnp.asarray(constant(label, SAMPLES))
    return member.model.sample(params, keys, given=given, state=member.state, options=options)

  counts = np.bincount(numbers_of(member, draw(member.params).x), minlength=K**2)
  assert scipy.stats.chisquare(counts, expected * SAMPLES).pvalue > 1e-4
  plain = member.probs[label]
  assert scipy.stats.chisquare(counts, plain / plain.sum() * SAMPLES).pvalue < 1e-4  # guidance does something
  unguided = law(member, *arguments, label, options._replace(guidance=1.0))
  np.testing.assert_allclose(unguided, plain, atol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 3.0])
def test_a_category_that_there_is_not_changes_nothing_of_the_others(strength):
  """As in a column with fewer categories than another: a power of 0 times another one is no number."""
  rng = np.random.default_rng(0)
  of_label, prior = jnp.log(rng.dirichlet(np.ones(K), size=2))
  absent = jnp.full(2, -jnp.inf)
  found = categorical.guided(jnp.append(of_label, absent), jnp.append(prior, absent), strength)
  np.testing.assert_allclose(found[:K], categorical.guided(of_label, prior, strength), rtol=1e-6)
  assert np.isneginf(found[K:]).all()


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 3.0])
def test_a_single_position_follows_bayes_rule_with_a_power_at_any_number_of_steps(strength):
  rng = np.random.default_rng(0)
  joint = rng.dirichlet(np.ones(2 * K)).reshape(2, K)  # p(y, x)
  prior, of_label = joint.sum(0), joint[0] / joint[0].sum()
  expected = prior * (joint[0] / prior) ** strength
  expected /= expected.sum()
  found = np.asarray(categorical.guided(jnp.log(of_label), jnp.log(prior), strength))
  np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
  for process, schedule in (MASKED, UNIFORM):
    for num_steps in (1, 5):
      kept = SCHEDULES[schedule].make().table(num_steps).keep
      law = exact.diffusion(process, K, 1, kept, lambda states, t: np.tile(found, (len(states), 1, 1)))
      np.testing.assert_allclose(law, expected, rtol=1e-5)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (SampleOptions(guidance=-1.0), "guidance is -1.0; it must be at least 0"),
    (SampleOptions(guidance=2.0, guidance_interval=(0.5, 0.2)), "guidance_interval is 0.5,0.2; give two times"),
    (SampleOptions(guidance=2.0), "guidance is 2.0, but no label is given"),
  ],
)
def test_what_cannot_be_guided_is_refused_in_a_line(options, message):
  model = MODELS["diffusion"].make(event=PAIR, network=transformer(), num_steps=T)
  with pytest.raises(InputError, match=message):
    model.sample({}, example_keys(jax.random.key(0), jnp.arange(2)), state={}, options=options)


def test_families_that_cannot_be_guided_say_so():
  keys, given = example_keys(jax.random.key(0), jnp.arange(2)), jnp.asarray(constant(0, 2))
  model = MODELS["discrete_flow"].make(event=PAIR, conditioner=transformer(), num_layers=2)
  with pytest.raises(InputError, match="guidance"):
    model.sample({}, keys, given=given, state={}, options=SampleOptions(guidance=2.0))
