"""Every process against brute force on small spaces, in float64 written out here."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from catgen.processes import PROCESSES, masking_rates
from catgen.processes.schedules import SCHEDULES, continuous_level, levels, spans
from tests.contracts import exact

K = 3
T = 6
SPECIAL = ["absorbing", "uniform"]  # with a module of their own
NAMES = [*SPECIAL, "hybrid", "kernel", "pairs", "prior"]
SIZES = [(name, size) for name in NAMES for size in ((2, 3) if name in SPECIAL else (3,))]
SIZES += [pytest.param(name, 27, marks=pytest.mark.slow) for name in SPECIAL]
# What follows from kernels and posteriors is seen of one process of each form: a prior is noise of any law as a hybrid
# is, pairs are matrices as a kernel is, and of two categories nothing else is said than of three.
FORMS = [pytest.param(name, marks=pytest.mark.slow) if name in ("prior", "pairs") else name for name in NAMES]
OTHERS = [("prior", K), ("pairs", K), *((name, size) for name in SPECIAL for size in (2, 27))]
OF_FORMS = [(name, K) for name in NAMES if (name, K) not in OTHERS]
OF_FORMS += [pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS]
MOVES = [(0, 1), (0, T), (1, 2), (2, 5), (T - 1, T)]
SCHEDULED = SCHEDULES["cosine"].make().table(T)
RATES = masking_rates.Rates(jnp.array([0.4, 1.0, 2.5]), jnp.array(1.5))


def kernel(name: str, keep: float, num_classes: int = K, since: float = 1.0) -> np.ndarray:
  """Row-stochastic matrix of one move, written from the definition."""
  return exact.kernel(name, num_classes, keep, since)


def make(name: str, num_classes: int = K):
  """Returns the process whose moves `kernel` has."""
  return PROCESSES[name](**exact.options(name, num_classes))(num_classes)


def move(name: str, s: int, t: int, num_classes: int = K) -> tuple[np.ndarray, np.ndarray]:
  """Returns the kernels from step 0 to s and from s to t."""
  kept = SCHEDULED.keep
  return kernel(name, kept[s], num_classes), kernel(name, kept[t] / kept[s], num_classes, kept[s])


def span_of(s: int, t: int):
  return jax.tree.map(lambda a: a[0], spans(SCHEDULED, np.array([s, t])))


def level_of(t: int):
  return jax.tree.map(lambda a: a[t], levels(SCHEDULED))


def table():
  return SCHEDULED


def pairs(num_states, num_classes=K):
  """Returns all (x_t, x)."""
  grid = np.array(list(itertools.product(range(num_states), range(num_classes))), np.int32)
  return grid[:, 0], grid[:, 1]


def normalized(rows: np.ndarray) -> np.ndarray:
  return rows / rows.sum(-1, keepdims=True)


def divergence(q: np.ndarray, p: np.ndarray) -> np.ndarray:
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.where(q > 0, q * np.log(q / p), 0.0).sum(-1)


def predictions(rows: int, num_classes: int, scale: float = 1.0) -> np.ndarray:
  logits = scale * np.random.default_rng(0).normal(size=(rows, num_classes))
  return scipy.special.log_softmax(logits, axis=-1).astype(np.float32)


@functools.cache
def process_of(name: str, num_classes: int = K):
  """Returns a process whose functions are compiled, once for all tests."""
  process = masking_rates.process(RATES) if name == "masking_rates" else make(name, num_classes)
  own = ("marginal", "likelihood", "posterior", "predictive", "kl", "kl_rate", "prior_kl", "prior_log_prob")
  return process._replace(**{each: jax.jit(getattr(process, each)) for each in own})


def categories(number: int) -> np.ndarray:
  return np.arange(number, dtype=np.int32)


@functools.cache
def at_time(schedule: str):
  return jax.jit(lambda time: continuous_level(SCHEDULES[schedule].make(), time))


@functools.cache
def value_and_slope(name: str):
  """Returns (logits, x_t, x, span) -> the sum of divergences and its slope by the logits of the prediction."""

  def total(logits, x_t, x, span):
    return process_of(name).kl(x_t, x, jax.nn.log_softmax(logits), span).sum()

  return jax.jit(jax.value_and_grad(total))


def test_every_process_is_here():
  assert set(PROCESSES) == {*NAMES, "unigram", "neighbors"}  # a prior and rates that are known from the data


@pytest.mark.parametrize("name", NAMES)
def test_the_likelihood_of_a_state_is_a_column_of_the_kernel(name):
  process = process_of(name)
  found = np.exp(process.likelihood(categories(process.num_states), level_of(3)))
  np.testing.assert_allclose(found, kernel(name, SCHEDULED.keep[3])[:K].T, atol=2e-7)


@pytest.mark.parametrize(("name", "num_classes"), SIZES)
def test_steps_compose_to_the_marginal(name, num_classes):
  process, product = process_of(name, num_classes), np.eye(process_of(name, num_classes).num_states)
  x = categories(num_classes)
  for t in range(1, T + 1):
    product = product @ move(name, t - 1, t, num_classes)[1]
    probs = np.exp(process.marginal(x, level_of(t)))
    np.testing.assert_allclose(probs, product[:num_classes], atol=2e-7)
    np.testing.assert_allclose(probs.sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(("name", "num_classes"), SIZES)
def test_posterior_is_bayes(name, num_classes):
  process = process_of(name, num_classes)
  x_t, x = pairs(process.num_states, num_classes)
  for s, t in MOVES:
    to_s, s_to_t = move(name, s, t, num_classes)
    joint = to_s[x] * s_to_t[:, x_t].T
    possible = joint.sum(-1) > 0  # a visible position other than x cannot occur in masked diffusion
    got = np.exp(process.posterior(x_t, x, span_of(s, t)))
    np.testing.assert_allclose(got[possible], normalized(joint[possible]), atol=3e-7, err_msg=f"{s} -> {t}")


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
def test_kl_is_that_of_the_distributions(name, num_classes):
  process = process_of(name, num_classes)
  x_t, x = pairs(process.num_states, num_classes)
  log_x0 = predictions(len(x), num_classes, scale=3.0)
  probs = normalized(np.exp(np.asarray(log_x0, np.float64)))
  for s, t in MOVES:
    to_s, s_to_t = move(name, s, t, num_classes)
    q, p = to_s[x] * s_to_t[:, x_t].T, (probs @ to_s[:num_classes]) * s_to_t[:, x_t].T
    possible = q.sum(-1) > 0
    expected = divergence(normalized(q[possible]), normalized(p[possible]))
    got = np.asarray(process.kl(x_t, x, log_x0, span_of(s, t)))[possible]
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=1e-5, err_msg=f"{s} -> {t}")


@pytest.mark.parametrize("sure", [0, 6, 12, 15])
@pytest.mark.parametrize("t", [2, 500, 999])
def test_tiny_divergences_and_rates_of_uniform_noise_keep_their_digits(t, sure):
  """At T = 1000, in float64 as sums of r - 1 - ln r; what is predicted is ever nearer to x."""
  x_t, x = pairs(K, K)
  log_x0 = predictions(len(x), K) + sure * np.eye(K)[x]
  log_x0 = scipy.special.log_softmax(log_x0, axis=-1).astype(np.float32)
  kept = SCHEDULES["cosine"].make().table(1000)
  to_s, s_to_t = kernel("uniform", kept.keep[t - 1]), kernel("uniform", kept.keep[t] / kept.keep[t - 1])
  probs = normalized(np.exp(log_x0.astype(np.float64)))
  q, p = (normalized(each * s_to_t[:, x_t].T) for each in (to_s[x], probs @ to_s))
  more = (p - q) / q
  span = jax.tree.map(lambda a: a[0], spans(kept, np.array([t - 1, t])))
  found = process_of("uniform").kl(x_t, x, log_x0, span)
  np.testing.assert_allclose(found, (q * (more - np.log1p(more))).sum(-1), rtol=4e-6, atol=1e-10)

  to_t = kernel("uniform", kept.keep[t])
  q, p = to_t[x], probs @ to_t
  of_x_t = np.arange(len(x)), x_t
  more, beyond = (p - q) / q, ((q - p) / p)[of_x_t]
  rate = ((q * (more - np.log1p(more))).sum(-1) + beyond - np.log1p(beyond)) / (K * q[of_x_t] * kept.keep[t])
  level, slope = jax.tree.map(lambda a: np.broadcast_to(a, x.shape), (span.t, np.float32(1.0)))
  found = process_of("uniform").kl_rate(x_t, x, log_x0, level, slope)
  np.testing.assert_allclose(found, rate, rtol=4e-6, atol=1e-10)


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
def test_a_perfect_prediction_has_no_divergence_and_one_of_the_data_is_bayes(name, num_classes):
  process = process_of(name, num_classes)
  x_t, x = pairs(process.num_states, num_classes)
  with np.errstate(divide="ignore"):
    certain = np.log(np.eye(num_classes, dtype=np.float32)[x])
  possible = np.isfinite(np.asarray(process.marginal(x, level_of(2)))[np.arange(len(x)), x_t])
  for s, t in ((1, 2), (2, 5)):
    span = span_of(s, t)
    np.testing.assert_allclose(np.asarray(process.kl(x_t, x, certain, span))[possible], 0.0, atol=1e-6)
    got, expected = process.predictive(x_t, certain, span), process.posterior(x_t, x, span)
    np.testing.assert_allclose(np.exp(got)[possible], np.exp(expected)[possible], atol=3e-7)


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
def test_predictive_averages_the_posterior_kernel(name, num_classes):
  process = process_of(name, num_classes)
  x_t = categories(process.num_states)
  log_x0 = predictions(len(x_t), num_classes)
  for s in (0, 2, T - 1):
    to_s, s_to_t = move(name, s, s + 1, num_classes)
    joint = (np.exp(np.asarray(log_x0, np.float64)) @ to_s[:num_classes]) * s_to_t[:, x_t].T
    if name == "absorbing":  # visible positions stay, whatever is predicted
      joint[:num_classes] = np.eye(num_classes, num_classes + 1)
    possible = joint.sum(-1) > 0  # the hybrid ends in masks alone
    got = np.exp(process.predictive(x_t, log_x0, span_of(s, s + 1)))
    np.testing.assert_allclose(got[possible], normalized(joint[possible]), atol=3e-7)


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
def test_going_back_in_one_move_or_two_is_the_same_law(name, num_classes):
  """Posteriors chain: the sum over x_s of q(x_r | x_s, x) q(x_s | x_t, x) is q(x_r | x_t, x)."""
  process = process_of(name, num_classes)
  x_t, x = pairs(process.num_states, num_classes)
  r, s, t = 1, 3, 5
  moves, shape = ((s, t), (r, s), (r, t)), (process.num_states, num_classes, process.num_states)
  laws = [np.exp(np.asarray(process.posterior(x_t, x, span_of(*ends)), np.float64)).reshape(shape) for ends in moves]
  later, earlier, both = laws
  possible = move(name, 0, t, num_classes)[1].T[:, :num_classes] > 0
  chained = np.einsum("uvs,svr->uvr", later, np.nan_to_num(earlier))
  np.testing.assert_allclose(chained[possible], both[possible], atol=1e-6)


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
@pytest.mark.parametrize("schedule", ["cosine", "paper_cosine", "linear"])
def test_prior_kl_is_that_of_the_last_marginal(name, num_classes, schedule):
  kept, process = SCHEDULES[schedule].make().table(T), process_of(name, num_classes)
  if process.needs_zero_end and kept.keep[-1] > 0:
    return  # refused where a model is built
  last = jax.tree.map(lambda a: a[-1], levels(kept))
  q = kernel(name, float(last.keep), num_classes)[:num_classes]
  prior = np.exp(np.asarray(process.prior_log_prob(categories(process.num_states)), np.float64))
  np.testing.assert_allclose(prior.sum(), 1.0, rtol=1e-6)
  got = process.prior_kl(categories(num_classes), last)
  np.testing.assert_allclose(got, divergence(q, prior), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", FORMS)
def test_prior_draws_have_the_prior_law(name):
  process = process_of(name)
  keys = jax.random.split(jax.random.key(0), 4)
  drawn = np.asarray(jax.jit(process.prior_sample, static_argnums=1)(keys, (100, 50)))
  assert drawn.shape == (4, 100, 50)
  prior = np.exp(process.prior_log_prob(categories(process.num_states)))
  frequency = np.bincount(drawn.ravel(), minlength=process.num_states) / drawn.size
  assert np.all(np.abs(frequency - prior) <= 5 * np.sqrt(prior * (1 - prior) / drawn.size) + 1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_corrupt_draws_from_the_marginal(name):
  process = process_of(name)
  level = jax.tree.map(lambda a: a[3], levels(table()))
  x = np.ones((1, 200_000), np.int32)
  drawn = jax.jit(process.corrupt)(jax.random.key(0)[None], x, level)
  frequency = np.bincount(np.asarray(drawn[0]), minlength=process.num_states) / x.size
  expected = np.exp(process.marginal(x[:, :1], level))[0, 0]
  assert np.all(np.abs(frequency - expected) < 5 * np.sqrt(expected * (1 - expected) / x.size) + 1e-9)


@pytest.mark.parametrize(("name", "num_classes"), OF_FORMS)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_rate_is_the_limit_of_many_steps(name, num_classes, schedule):
  process, chosen = process_of(name, num_classes), SCHEDULES[schedule].make()
  x_t, x = pairs(process.num_states, num_classes)
  log_x0 = predictions(len(x), num_classes)
  probs, steps = normalized(np.exp(np.asarray(log_x0, np.float64))), 40_000

  def by_steps(time):
    kept = chosen.keep(np.array([time - 1 / steps, time]), np)
    to_s, s_to_t = kernel(name, kept[0], num_classes), kernel(name, kept[1] / kept[0], num_classes, kept[0])
    q, p = to_s[x] * s_to_t[:, x_t].T, (probs @ to_s[:num_classes]) * s_to_t[:, x_t].T
    possible = q.sum(-1) > 0
    return steps * divergence(normalized(q[possible]), normalized(p[possible])), possible

  for time in (0.1, 0.5, 0.9):
    level, slope = jax.tree.map(lambda a: np.broadcast_to(a, x.shape), at_time(schedule)(np.float32(time)))
    limit, possible = by_steps(time)
    rate = np.asarray(process.kl_rate(x_t, x, log_x0, level, slope))
    np.testing.assert_allclose(rate[possible], limit, rtol=2e-3, atol=2e-4)


def test_uniform_prior_kl_keeps_a_tiny_value():
  process = process_of("uniform", 27)
  level = levels(SCHEDULES["paper_cosine"].make().table(1000))
  last = jax.tree.map(lambda a: a[-1], level)
  value = float(np.asarray(process.prior_kl(np.zeros((1, 1), np.int32), last))[0, 0])
  keep = float(last.keep)
  q = np.full(27, (1 - keep) / 27)
  q[0] += keep
  np.testing.assert_allclose(value, np.sum(q * np.log(27 * q)), rtol=1e-3)
  np.testing.assert_allclose(value, keep**2 * 26 / 2, rtol=1e-2)


@pytest.mark.parametrize(
  "name",
  [
    "absorbing",
    "uniform",
    "kernel",
    "masking_rates",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("hybrid", "pairs", "prior")),
  ],
)
@pytest.mark.parametrize("t", [1, T])
def test_gradients_are_finite_for_certain_predictions(name, t):
  x_t, x = pairs(process_of(name).num_states)
  for scale in (0.0, 30.0, 300.0):
    logits = np.tile(np.float32(scale) * np.array([1.0, -1.0, 0.0], np.float32), (len(x), 1))
    total, slope = value_and_slope(name)(logits, x_t, x, span_of(t - 1, t))
    assert np.isfinite(np.asarray(slope)).all()
    assert np.isfinite(total)


@pytest.mark.parametrize("name", ["uniform", "kernel", "hybrid", pytest.param("prior", marks=pytest.mark.slow)])
@pytest.mark.parametrize("t", [1, T])
def test_a_category_that_cannot_be_has_no_slope_and_those_of_the_others_stay(name, t):
  """A network may say -inf, also of the category that stands there: the slope at t = 1 was NaN, and is p - 1{x}."""
  x_t, x = pairs(process_of(name).num_states)
  x_t, x = x_t[x > 0], x[x > 0]
  logits = np.tile(np.array([-np.inf, 0.5, -0.2], np.float32), (len(x), 1))
  near = np.where(np.isinf(logits), np.float32(-60.0), logits)
  (total, slope), (limit, expected) = (
    value_and_slope(name)(each, x_t, x, span_of(t - 1, t)) for each in (logits, near)
  )
  np.testing.assert_allclose(total, limit, rtol=1e-6)
  np.testing.assert_allclose(slope, expected, atol=1e-6)
  if t == 1 and name != "kernel":  # whose categories come to x_t unequally often
    there = np.flatnonzero(x_t == 0)
    p = normalized(np.exp(logits.astype(np.float64)))[there]
    np.testing.assert_allclose(np.asarray(slope)[there], p - np.eye(K)[x[there]], atol=1e-6)


def test_both_ends_of_time():
  for name in NAMES:
    process, level, x = process_of(name), levels(table()), categories(K)
    first, last = (jax.tree.map(lambda a, i=i: a[i], level) for i in (0, -1))
    np.testing.assert_allclose(np.exp(process.marginal(x, first))[:, :K], np.eye(K), atol=0)
    prior = np.exp(process.prior_log_prob(categories(process.num_states)))
    np.testing.assert_allclose(np.exp(process.marginal(x, last)), np.broadcast_to(prior, (K, prior.size)), atol=1e-7)


@pytest.mark.parametrize(
  ("num_classes", "schedule", "num_steps"),
  [
    (27, "paper_cosine", 1000),
    pytest.param(256, "cosine", 4, marks=pytest.mark.slow),
    pytest.param(8, "linear", 50, marks=pytest.mark.slow),
  ],
)
def test_a_uniform_prediction_loses_exactly_log_k(num_classes, schedule, num_steps):
  """The expectation over x_t, by enumeration: all steps and the prior add up to log K (posterior form)."""
  process, kept = process_of("uniform", num_classes), SCHEDULES[schedule].make().table(num_steps)
  x_t = categories(num_classes)
  x = np.zeros_like(x_t)
  log_x0 = np.full((num_classes, num_classes), -np.log(num_classes), np.float32)

  def expected_loss(span):
    weights = jnp.exp(process.marginal(x[:1], span.t))[0]
    return weights @ process.kl(x_t, x, log_x0, span)

  steps = jax.jit(lambda each: jax.lax.map(expected_loss, each))(spans(kept, np.arange(num_steps + 1)))
  last = jax.tree.map(lambda a: a[-1], levels(kept))
  total = np.asarray(steps, np.float64).sum() + float(np.asarray(process.prior_kl(x[:1], last))[0])
  np.testing.assert_allclose(total, np.log(num_classes), atol=2e-4)
