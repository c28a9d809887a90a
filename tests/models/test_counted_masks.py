"""A fixed number of masks: the mean of independent masks, by quadrature over all random numbers, and less variance."""

import functools
import itertools

import jax
import numpy as np
import pytest

from catgen.interfaces import EventSpec, InputError
from catgen.models import MODELS
from catgen.models.diffusion.bound import continuous_bound
from catgen.models.diffusion.counted import counted_bound, masks, nats_of
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts import exact
from tests.models.stubs import keys_of, spec_of, table, whole, zeros

K, D = 2, 2
EVENTS, STATES = exact.events(K, D), exact.events(K + 1, D)
TABLE = table(K + 1, K, seed=3)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
V, OF_V = (_NODES + 1) / 2, _WEIGHTS / 2


def timed(params, x_t, time):
  return params[x_t[:, ::-1]] * (1 + time)[:, None, None]


def independent(schedule: str) -> np.ndarray:
  """The mean bound of every event with independent masks, float64: over what is lost, with the time that it is lost."""
  grid = np.linspace(0, 1, 200_001)
  times = np.interp(V, SCHEDULES[schedule].make().lost(grid, np), grid)
  nats = np.zeros(len(EVENTS))
  for lost, weight, time in zip(V, OF_V, times, strict=True):
    logits = np.float64(TABLE)[STATES[:, ::-1]] * (1 + time)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    for row, x in enumerate(EVENTS):
      for state, each in zip(STATES, log_p, strict=True):
        if np.all((state == K) | (state == x)):
          number = (state == K).sum()
          q_over_lost = lost ** (number - 1.0) * (1 - lost) ** (D - number) if number else 0.0
          nats[row] += weight * q_over_lost * np.where(state == K, each[np.arange(D), x], 0.0).sum()
  return nats


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_mean_is_that_of_independent_masks(schedule):
  """All random numbers: n in 1..D, and which of two scores is the larger, with the smaller one a share of it.

  Of larger and share the scores are a map with the slope `larger`, whose mean is the half that either order has.
  """
  rows = [
    (x, (number + 0.5) / D, scores, of_m * of_share * larger / D)
    for x in EVENTS
    for number in range(D)
    for (larger, of_m), (share, of_share) in itertools.product(zip(V, OF_V, strict=True), repeat=2)
    for scores in ((larger, larger * share), (larger * share, larger))
  ]
  x, uniforms, scores, weights = (np.array(part) for part in zip(*rows, strict=True))
  spec = spec_of(timed, num_classes=K, process="absorbing", schedule=schedule, num_steps=0)
  found = jax.jit(functools.partial(nats_of, spec))(TABLE, whole(x), np.float32(uniforms), np.float32(scores))
  nats = (np.asarray(found, np.float64) * weights).reshape(len(EVENTS), -1).sum(1)
  np.testing.assert_allclose(weights.reshape(len(EVENTS), -1).sum(1), 1.0, rtol=1e-12)
  np.testing.assert_allclose(nats, independent(schedule), rtol=2e-5)


def test_every_number_and_choice_of_valid_positions_is_equally_likely():
  valid = np.array([True, False, True, True])
  orders = np.array(list(itertools.permutations((0.2, 0.4, 0.6, 0.8))), np.float32)
  uniforms = np.repeat(np.float32([0.1, 0.5, 0.99]), len(orders))
  scores = np.tile(orders, (3, 1))
  masked, lost, weight = (
    np.asarray(each) for each in jax.jit(masks)(uniforms, scores, np.broadcast_to(valid, scores.shape))
  )
  numbers = masked.sum(1)
  np.testing.assert_array_equal(numbers, np.repeat([1, 2, 3], len(orders)))
  np.testing.assert_allclose(weight, 3 / numbers)
  assert not masked[:, 1].any()
  np.testing.assert_array_equal(lost, np.where(masked, scores, 0.0).max(1))  # the time of the latest of them
  assert np.all(np.where(masked | ~valid, 1.0, scores).min(1) >= lost)
  for number in (1, 2, 3):
    np.testing.assert_allclose(masked[numbers == number].mean(0), valid * number / 3)


def test_without_a_prediction_every_draw_is_the_same_and_examples_count_their_own_positions():
  spec, random = spec_of(zeros, shape=(6,), num_classes=5, process="absorbing", num_steps=0), np.random.default_rng(0)
  batch = whole(random.integers(0, 5, (70, 6)))._replace(valid=np.arange(6) < np.arange(70)[:, None] % 7)
  strata = np.float32((np.arange(70) + 0.5) / 70)

  @jax.jit
  def draw(batch, keys, strata):
    told = {"state": {}, "train": True, "strata": strata}
    others = batch._replace(x=(batch.x + ~batch.valid) % 5)
    counted = [counted_bound(spec, 5, each, keys, **told) for each in (batch, others)]
    return *counted, continuous_bound(spec, "uniform", 5, batch, keys, **told)

  counted, others, independent = draw(batch, keys_of(batch), strata)
  np.testing.assert_allclose(counted.nats, -np.log(5) * (np.arange(70) % 7), rtol=1e-5)
  np.testing.assert_array_equal(counted.nats, others.nats)
  assert np.asarray(independent.nats)[6::7].std() > 1.0


@pytest.mark.parametrize("options", [{"process": "uniform", "num_steps": 0}, {"process": "absorbing", "num_steps": 8}])
def test_it_is_refused_where_no_masks_can_be_counted(options):
  made = {**options, "process": PROCESSES[options["process"]]()}
  with pytest.raises(InputError, match=r"time_sampler 'fixed_count'.*set process to 'absorbing' and num_steps to 0"):
    MODELS["diffusion"].make(EventSpec((2,), 3), network=TRUNKS["transformer"](), time_sampler="fixed_count", **made)
