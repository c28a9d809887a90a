"""Sampling and infilling of diffusion models: exact laws in fewer steps, chains, keys, and what is observed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.interfaces import InputError, SampleOptions
from catgen.models.diffusion.sampling import _restricted as restricted
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.processes import SCHEDULES
from tests.contracts import exact
from tests.models.stubs import keys_up_to, neighbor, own, spec_of, table
from tests.processes.test_processes import kernel

KEYS = keys_up_to(8, seed=1)
DRAWS = 8000


def draw(spec, params, keys, **options):
  return jax.jit(lambda p, k: sample(spec, p, k, state={}, options=SampleOptions(**options)))(params, keys)


FEWER = {
  "multinomial, literal, 2 of 5": ("uniform", "cosine", 5, [0, 2, 5], True),
  "masked, continuous": ("absorbing", "cosine", 0, [0, 1, 2, 3], False),
}


@pytest.mark.parametrize(("process", "schedule", "num_steps", "times", "literal"), FEWER.values(), ids=FEWER)
def test_samples_in_fewer_steps_follow_the_product_of_those_moves(process, schedule, num_steps, times, literal):
  spec = spec_of(neighbor, process=process, schedule=schedule, num_steps=num_steps, literal=literal)
  params, last = table(spec.process.num_states, 3), num_steps or times[-1]
  kept, logits = SCHEDULES[schedule].make().table(last).keep[times], np.asarray(params, np.float64)

  def predict(states, move):
    """Discrete models are told the step before over T, continuous ones the time itself."""
    told = (times[move] - 1) / last if num_steps else times[move] / last
    return logits[states[:, ::-1]] * (1 + told)

  probs = exact.diffusion(process, 3, 2, kept, lambda s, t: _log_softmax(predict(s, t)), literal)
  keys = keys_up_to(DRAWS, seed=2)
  x = np.asarray(draw(spec, params, keys, num_steps=len(times) - 1).x)
  counts = np.bincount(x @ [3, 1], minlength=9)
  assert scipy.stats.chisquare(counts, probs / probs.sum() * DRAWS).pvalue > 1e-4


def _log_softmax(logits):
  return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def test_frames_are_spread_over_the_moves_from_noise_to_sample():
  """A clock: the state after k of eight moves is k, so that a frame shows when it was kept."""

  def clock(params, x_t, time):
    category = (jnp.round(8 * (1 - time)).astype(int) % 9)[:, None]
    return 100.0 * jax.nn.one_hot(jnp.broadcast_to(category, x_t.shape), 9)

  spec = spec_of(clock, num_classes=9, num_steps=8, literal=True)
  spec = spec._replace(process=spec.process._replace(predictive=lambda x_t, log_x0, span: log_x0))
  chain = np.asarray(draw(spec, None, KEYS[:1], num_frames=5).chain)
  np.testing.assert_array_equal(chain[1:, 0, 0], [2, 4, 6, 8])


def test_what_masked_diffusion_has_revealed_stays():
  spec = spec_of(own, shape=(20,), process="absorbing", num_steps=10)
  chain = np.asarray(draw(spec, table(4, 3), KEYS, num_frames=11).chain)
  assert len(chain) == 11
  for earlier, later in itertools.pairwise(chain):
    np.testing.assert_array_equal(later[earlier < 3], earlier[earlier < 3])
  np.testing.assert_allclose((chain == 3).mean(axis=(1, 2)), np.linspace(1, 0, 11), atol=0.15)  # the linear schedule


def test_a_temperature_is_that_of_the_clean_category_where_noise_is_not_symmetric():
  """In the last move, which draws it: (prediction * q(x_1 | x_0))^2, normalized."""
  spec, x_t = spec_of(own, process="prior", num_steps=4), np.arange(3, dtype=np.int32)
  log_x0, first = np.log(np.float32([[0.2, 0.5, 0.3]] * 3)), jax.tree.map(lambda values: values[0], spec.spans)

  def move(x_t, log_x0):
    allowed = restricted(spec, x_t, log_x0, first, SampleOptions(temperature=0.5))
    return jnp.exp(spec.process.predictive(x_t, allowed, first))

  expected = (np.exp(log_x0) * kernel("prior", 0.75).T) ** 2
  np.testing.assert_allclose(jax.jit(move)(x_t, log_x0), expected / expected.sum(-1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("process", ["uniform", "absorbing"])
def test_observed_positions_are_clamped_from_the_start_or_follow_their_own_noise(process):
  """With all observed nothing is changed, with nothing observed infilling is sampling."""
  spec = spec_of(own, shape=(40,), process=process, num_steps=6)
  params, draws, options = table(spec.process.num_states, 3), make_infill(spec).draw, SampleOptions(num_frames=4)
  infill = jax.jit(lambda p, k, x, observed: draws(p, x, observed, k, state={}, options=options))
  x = np.random.default_rng(0).integers(0, 3, (8, 40), np.int32)
  half = np.broadcast_to(np.arange(40) % 2 == 0, x.shape)
  found = infill(params, KEYS, x, half)
  np.testing.assert_array_equal(np.asarray(found.x)[half], x[half])
  same = (np.asarray(found.chain)[:, half] == x[half]).mean(axis=1)
  kept = np.array([0.0, 1 / 3, 2 / 3, 1.0]) if process == "uniform" else np.ones(4)
  np.testing.assert_allclose(same, kept + (1 - kept) / 3, atol=0.15)
  np.testing.assert_array_equal(infill(params, KEYS, x, np.ones_like(half)).x, x)
  if process == "absorbing":
    nothing = infill(params, KEYS, x, np.zeros_like(half))
    np.testing.assert_array_equal(nothing.x, draw(spec, params, KEYS).x)


@pytest.mark.parametrize(
  ("num_steps", "options", "message"),
  [
    (4, {"num_steps": 5}, "use 1 to 4"),
    (4, {"num_steps": 0}, "use 1 to 4"),
    (0, {"num_steps": 0}, "use at least 1"),
    (4, {"temperature": -1.0}, "must be positive"),
    (4, {"num_frames": -2}, "at least 2"),
  ],
)
def test_options_out_of_range_are_refused_before_anything_is_drawn(num_steps, options, message):
  def never(*told):
    raise AssertionError("the network was called")

  with pytest.raises(InputError, match=message):
    sample(spec_of(never, num_steps=num_steps), None, KEYS, state={}, options=SampleOptions(**options))
