"""Noise of any law: the processes that it contains, what a constant prediction loses, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import EventSpec, InputError
from catgen.processes import PROCESSES, SCHEDULES, interpolating, make_process
from catgen.processes.interpolating import Noise
from catgen.processes.levels import Level
from catgen.processes.schedules import continuous_level, levels, spans
from tests.processes.test_processes import FORMS, divergence, kernel, make, normalized, pairs, predictions

K = 3
KEPT = SCHEDULES["cosine"].make().table(6)
GENERAL = {"uniform": Noise(np.full(K, 1 / K)), "absorbing": Noise(np.append(np.zeros(K), 1.0))}


def everything_said(process, x_t, x, log_x0, level, slope, move):
  """Returns all that a process says of states and categories."""
  return {
    "marginal": process.marginal(x, level),
    "likelihood": process.likelihood(x_t, level),
    "posterior": jnp.exp(process.posterior(x_t, x, move)),
    "predictive": jnp.exp(process.predictive(x_t, log_x0, move)),
    "prior_log_prob": process.prior_log_prob(x_t),
    "prior_kl": process.prior_kl(x, level),
    "kl": process.kl(x_t, x, log_x0, move),
    "kl_rate": process.kl_rate(x_t, x, log_x0, level, slope),
  }


@pytest.mark.parametrize("name", GENERAL)
def test_uniform_and_masked_diffusion_are_special_cases(name):
  special, general = make(name), interpolating.process(K, GENERAL[name])
  for field in ("num_states", "num_classes", "needs_zero_end", "exact_clamping"):
    assert getattr(special, field) == getattr(general, field), field
  x_t, x = (each[:, None] for each in pairs(special.num_states))
  log_x0 = predictions(len(x), K, scale=2.0)[:, None]
  said = [jax.jit(functools.partial(everything_said, process)) for process in (special, general)]
  for s, t in ((0, 1), (2, 5), (5, 6)):
    move = jax.tree.map(lambda a: np.full(len(x), a[0]), spans(KEPT, np.array([s, t])))
    slope = np.full(len(x), 0.7, np.float32)
    level = Level(*(np.full(len(x), each[min(t, 5)]) for each in levels(KEPT)))
    of_special, of_general = (each(x_t, x, log_x0, level, slope, move) for each in said)
    possible = kernel(name, KEPT.keep[t])[x, x_t][:, 0] > 0
    assert possible.any()
    for what, one in of_special.items():
      found, expected = np.asarray(of_general[what])[possible], np.asarray(one)[possible]
      np.testing.assert_allclose(found, expected, rtol=5e-6, atol=1e-6, err_msg=f"{what}, {s} -> {t}")


RHO = np.array([0.55, 0.05, 0.4])


@functools.cache
def losses(name):
  """Returns the mean losses of a prediction RHO, of each category: (spans), (levels, slopes), (level) -> [..., K]."""
  process = make(name)
  x_t, x = map(jnp.asarray, pairs(process.num_states))
  log_x0 = jnp.broadcast_to(jnp.log(jnp.asarray(RHO, jnp.float32)), (len(x), K))

  def mean(level, losses):
    weights = jnp.exp(process.marginal(jnp.arange(K), level)).T.reshape(-1)
    return (weights * losses).reshape(-1, K).sum(0)

  def of_move(move):
    return mean(move.t, process.kl(x_t, x, log_x0, move))

  def at_time(level_and_slope):
    level, slope = level_and_slope
    return mean(level, process.kl_rate(x_t, x, log_x0, level, jnp.full(x.shape, slope)))

  return jax.jit(
    lambda moves, times, last: (
      jax.lax.map(of_move, moves),
      jax.lax.map(at_time, times),
      process.prior_kl(jnp.arange(K), last),
    )
  )


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_constant_prediction_loses_exactly_its_code_length(name, schedule):
  """Of every category, in every number of steps, and in continuous time: then the model is the data's own law.

  As in training, time ends at 1 where all is masked then, and otherwise just before, where the prior's cost is taken.
  """
  chosen, num_steps = SCHEDULES[schedule].make(), 50
  table = chosen.table(num_steps)
  nodes, areas = np.polynomial.legendre.leggauss(80)
  u, last = (nodes + 1) / 2, 1.0 if make(name).needs_zero_end else 1 - 1e-4
  time, weight = np.float32(last * u**3), last * 3 * u**2 * areas / 2
  level, slope = continuous_level(chosen, jnp.asarray(time))
  end, _ = continuous_level(chosen, jnp.float32(last))
  in_steps, in_time, left = losses(name)(spans(table, np.arange(num_steps + 1)), (level, slope), end)
  np.testing.assert_allclose(np.asarray(in_steps, np.float64).sum(0), -np.log(RHO), rtol=2e-5)
  found = weight @ np.asarray(in_time, np.float64) + np.asarray(left)
  np.testing.assert_allclose(found, -np.log(RHO), rtol=1e-5)


@pytest.mark.parametrize("name", [pytest.param("prior", marks=pytest.mark.slow), "hybrid"])
def test_slopes_of_the_divergence_are_those_of_float64(name):
  process, moves = make(name), ((0, 1), (2, 3), (4, 6))
  x_t, x = pairs(process.num_states)
  logits = np.asarray(predictions(len(x), K, scale=2.0), np.float64)

  def exact(logits, s, t):
    to_s, step = kernel(name, KEPT.keep[s]), kernel(name, KEPT.keep[t] / KEPT.keep[s], since=KEPT.keep[s])
    predicted = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    q, p = to_s[x] * step[:, x_t].T, (predicted @ to_s[:K]) * step[:, x_t].T
    possible = q.sum(-1) > 0
    return np.where(possible, divergence(normalized(np.where(possible[:, None], q, 1.0)), normalized(p)), 0.0)

  slopes = jax.jit(jax.grad(lambda logits, move, u, x: process.kl(u, x, jax.nn.log_softmax(logits), move).sum()))
  for s, t in moves:
    found = slopes(np.float32(logits), jax.tree.map(lambda a: a[0], spans(KEPT, np.array([s, t]))), x_t, x)
    small = 1e-6 * np.eye(K)
    with np.errstate(invalid="ignore"):
      expected = np.stack([(exact(logits + h, s, t) - exact(logits - h, s, t)) / 2e-6 for h in small], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-6)


def test_a_hybrid_has_its_share_of_replaced_positions_where_half_is_kept():
  level = levels(SCHEDULES["linear"].make().table(4))
  law = np.exp(make("hybrid").marginal(jnp.zeros(1, int), jax.tree.map(lambda a: a[2], level)))[0]
  np.testing.assert_allclose(law, [0.5 + 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.3], rtol=1e-6)


@pytest.mark.parametrize("name", ["prior", "hybrid"])
def test_as_many_are_wrong_as_the_level_for_it_says(name):
  process, wrong = make(name), 0.1
  keep = float(process.keep_at(wrong))
  law = kernel(name, keep)[:K, :K]
  of = np.array([1, 2, 3]) / 6 if name == "prior" else np.full(K, 1 / K)
  np.testing.assert_allclose(1 - (of * np.diag(law)).sum() / (of @ law).sum(), wrong, rtol=1e-4)
  assert float(process.keep_at(0.0)) == 1.0
  assert float(process.keep_at(0.9)) == 0.0


def test_a_unigram_prior_has_the_frequencies_of_the_data():
  event = EventSpec((2,), K, frequencies=(0.5, 0.2, 0.3))
  process = make_process(PROCESSES["unigram"](), event)
  np.testing.assert_allclose(np.exp(process.prior_log_prob(jnp.arange(K))), event.frequencies, rtol=1e-6)
  assert not process.needs_zero_end
  assert make_process(PROCESSES["hybrid"](), event).num_states == K + 1


@pytest.mark.parametrize(
  ("made", "message"),
  [
    (lambda: PROCESSES["prior"](weights=(1.0, 2.0))(K), "2 weights and 3 categories"),
    (lambda: PROCESSES["prior"](weights=(1.0, 0.0, 2.0))(K), "above 0"),
    (lambda: PROCESSES["hybrid"](uniform=0.3)(K), "up to 0.25"),
    (lambda: PROCESSES["hybrid"](uniform=0.0)(K), "above 0"),
    (lambda: make_process(PROCESSES["unigram"](), EventSpec((2,), K)), "frequencies"),
  ],
)
def test_noise_that_is_no_law_is_refused(made, message):
  with pytest.raises(InputError, match=message):
    made()
