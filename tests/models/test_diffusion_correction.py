"""Self-correction: marginals that it preserves, remasking, laws of samples, and what it must leave alone."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.interfaces import InputError, SampleOptions
from catgen.models.diffusion.bound import full_bound
from catgen.models.diffusion.correction import corrected
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.processes import SCHEDULES
from catgen.processes.levels import Level
from catgen.processes.schedules import spans
from tests.contracts import exact
from tests.models.stubs import keys_up_to, neighbor, spec_of, table, whole, zeros
from tests.processes.test_processes import kernel, make

K = 3
DATA = np.array([0.6, 0.3, 0.1])
# Noise of any law is as uniform noise, and pairs are matrices as a kernel is.
PROCESSES = ["absorbing", "uniform", "kernel"]
PROCESSES += [pytest.param(name, marks=pytest.mark.slow) for name in ("prior", "hybrid", "pairs")]


@functools.cache
def move_of(name):
  """Returns (x_t, log_x0, span, correction) -> the probabilities of x_s, without and with a correction."""
  process = make(name)

  def move(x_t, log_x0, span, correction):
    log_p = process.predictive(x_t, log_x0, span)
    return jnp.exp(log_p), jnp.exp(corrected(process, x_t, log_x0, log_p, span, correction))

  return jax.jit(move, static_argnums=3)


def span_of(kept_s, kept_t):
  kept = np.array([1.0, kept_s, kept_t])
  return jax.tree.map(lambda values: values[0], spans(Level(kept, 1 - kept), np.array([1, 2])))


@pytest.mark.parametrize("name", PROCESSES)
def test_a_corrected_move_of_one_position_preserves_the_marginals(name):
  """Exactly, for any correction and any length: the best prediction of a single position is the data's law."""
  x_t = np.arange(make(name).num_states, dtype=np.int32)
  log_x0 = np.log(np.broadcast_to(DATA, (len(x_t), K)).astype(np.float32))
  for kept_s, kept_t in ((0.5, 0.4), (0.9, 0.1), (0.3, 0.0)):
    before, after = (DATA @ kernel(name, kept)[:K] for kept in (kept_t, kept_s))
    for correction in (0.3, 1.0):
      plain, rows = (np.asarray(each) for each in move_of(name)(x_t, log_x0, span_of(kept_s, kept_t), correction))
      np.testing.assert_allclose(np.where(before > 0, before, 0.0) @ np.nan_to_num(rows), after, atol=1e-6)
      told = (name, np.float64(log_x0)[:, None], x_t[:, None], kept_s, kept_t / kept_s)
      expected = exact.reverse_move(*told, correction=correction)
      np.testing.assert_allclose(rows[before > 0], expected[before > 0], atol=1e-6)
      assert np.abs(rows - plain)[before > 0].max() > 0.03 or kept_s != 0.5


def test_of_masks_it_is_remasking():
  """A visible category is masked with sigma = c lost_s; a mask stays one with the rest of ReMDM's Eq. 3."""
  log_x0 = np.log(np.tile(DATA, (K + 1, 1)).astype(np.float32))
  s, t, correction = 0.7, 0.4, 0.25
  _, rows = move_of("absorbing")(np.arange(K + 1, dtype=np.int32), log_x0, span_of(s, t), correction)
  sigma = correction * (1 - s)
  expected = np.eye(K + 1) * (1 - sigma)
  expected[:, K] += sigma
  reveal = (s - (1 - sigma) * t) / (1 - t)
  expected[K] = np.append(reveal * DATA, 1 - reveal)
  np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_last_move_is_as_without_a_correction(name):
  x_t = np.arange(make(name).num_states, dtype=np.int32)
  log_x0 = np.log(np.tile(DATA, (len(x_t), 1)).astype(np.float32))
  plain, rows = move_of(name)(x_t, log_x0, span_of(1.0, 0.8), 0.5)
  np.testing.assert_array_equal(rows, plain)


def exact_prediction(joint: np.ndarray, name: str, kept: float, states: np.ndarray) -> np.ndarray:
  """Returns log p(x^d | the other position of x_t) of two positions, from the data's own law."""
  noise = kernel(name, kept)[:K]
  of_first = np.einsum("ab,bj->aj", joint, noise)  # [x^1, x_t^2]
  of_second = np.einsum("ab,ai->bi", joint, noise)
  both = np.stack([of_first[:, states[:, 1]].T, of_second[:, states[:, 0]].T], axis=1)
  with np.errstate(divide="ignore"):
    return np.log(both / both.sum(-1, keepdims=True))


@pytest.mark.parametrize("name", ["absorbing", "uniform"])
def test_of_two_positions_what_a_move_changes_is_of_second_order_in_its_length_and_the_correction(name):
  joint = np.random.default_rng(0).dirichlet(np.ones(K * K)).reshape(K, K)
  states = exact.events(K + exact.has_mask(name), 2)

  def wrong(step, correction):
    kept_t, kept_s = 0.5, 0.5 + step
    before, after = (
      np.einsum("ab,ai,bj->ij", joint, kernel(name, kept)[:K], kernel(name, kept)[:K]).reshape(-1)
      for kept in (kept_t, kept_s)
    )
    log_x0 = exact_prediction(joint, name, kept_t, states)
    rows = exact.reverse_move(name, log_x0, states, kept_s, kept_t / kept_s, correction=correction)
    return np.abs(before @ rows - after).sum()

  errors = [wrong(0.04 / n, 0.2 / n) for n in (1, 2, 4)]
  np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.25)
  assert wrong(0.04, 0.2) > 2 * wrong(0.04, 0.0)


LAWS = {"masked": ("absorbing", 4, 0.8), "multinomial": ("uniform", 4, 1.0), "hybrid, continuous": ("hybrid", 0, 0.5)}

LAW_CASES = [
  pytest.param(*case, id=name, marks=[pytest.mark.slow] if name.startswith("hybrid") else [])
  for name, case in LAWS.items()
]


@functools.cache
def draw_of(process, num_steps, correction):
  spec = spec_of(neighbor, process=process, num_steps=num_steps)
  options = SampleOptions(num_steps=4, correction=correction)
  return spec, jax.jit(lambda params, keys: sample(spec, params, keys, state={}, options=options).x)


@pytest.mark.parametrize(("process", "num_steps", "correction"), LAW_CASES)
def test_samples_follow_the_product_of_corrected_moves(process, num_steps, correction):
  spec, draw = draw_of(process, num_steps, correction)
  params, draws = table(spec.process.num_states, K), 8000
  logits = np.asarray(params, np.float64)

  def predict(states, t):
    scaled = logits[states[:, ::-1]] * (1 + (t - 1 if num_steps else t) / 4)
    return scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True)

  kept = SCHEDULES["linear"].make().table(4).keep
  law, plain = (exact.diffusion(process, K, 2, kept, predict, correction=c) for c in (correction, 0.0))
  counts = np.bincount(np.asarray(draw(params, keys_up_to(draws, seed=3))) @ [K, 1], minlength=K * K)
  assert scipy.stats.chisquare(counts, law / law.sum() * draws).pvalue > 1e-4
  assert scipy.stats.chisquare(plain * draws, law / law.sum() * draws).pvalue < 1e-4  # which is another law


def posterior_rows(name, kept_s, kept_t, correction):
  """Returns q_c(x_s | x_t, x_0) and q(x_t | x_0) of one position in float64, by Bayes' rule from the kernels."""
  before, after = kernel(name, kept_s)[:K], kernel(name, kept_t)[:K]
  between = kernel(name, kept_t / kept_s, since=kept_s)
  joint = before[:, None, :] * between.T[None]  # [x_0, x_t, x_s]
  with np.errstate(invalid="ignore"):
    plain = np.nan_to_num(joint / joint.sum(-1, keepdims=True))
  own = 0.0 if kept_s == 1 else correction
  return (1 - own) * plain + own * before[:, None, :], after


def log_mean(values):
  return np.log(np.where(values > 0, values, 1.0))


BOUNDS = [("absorbing", 0.6), ("uniform", 0.6), ("uniform", 0.0)]
BOUNDS += [pytest.param(name, 0.6, marks=pytest.mark.slow) for name in ("hybrid", "prior", "kernel")]


@pytest.mark.parametrize(("process", "correction"), BOUNDS)
def test_the_bound_of_corrected_moves_is_its_sum_and_below_their_likelihood(process, correction):
  """Every event's bound, in mean over draws, is the sum over all x_t; and at most log p_c(x), which is enumerated.

  Nothing is kept at the end of the linear schedule, so that the prior costs nothing.
  """
  spec, moves = spec_of(neighbor, process=process, num_steps=4), 2
  params, draws = table(spec.process.num_states, K), 1500
  logits, kept = np.asarray(params, np.float64), SCHEDULES["linear"].make().table(4).keep[::2]
  events, states = exact.events(K, 2), exact.events(spec.process.num_states, 2)

  def predict(x_t, t):  # moves end at steps 2 and 4, of which the network is told (t - 1) / 4
    scaled = logits[x_t[:, ::-1]] * (1 + (2 * t - 1) / 4)
    return scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True)

  law = exact.diffusion(process, K, 2, kept, predict, correction=correction)
  expected = np.zeros(len(events))
  for t in (1, 2):
    rows, noise = posterior_rows(process, kept[t - 1], kept[t], correction)
    log_x0 = predict(states, t)
    reverse = exact.reverse_move(process, log_x0, states, kept[t - 1], kept[t] / kept[t - 1], correction=correction)
    for number, x in enumerate(events):
      weight = noise[x[0], states[:, 0]] * noise[x[1], states[:, 1]]
      both = rows[x[0], states[:, 0]][:, :, None] * rows[x[1], states[:, 1]][:, None, :]
      both = both.reshape(len(states), -1)
      reached = (both > 0) & (weight > 0)[:, None]
      kl = np.where(reached, both * (log_mean(both) - log_mean(np.where(reached, reverse, 1.0))), 0.0).sum(axis=1)
      expected[number] += weight @ kl

  options = SampleOptions(num_steps=moves, correction=correction)
  batch = whole(np.repeat(events, draws, axis=0))
  bound, profile = jax.jit(lambda p, b, k: full_bound(spec, p, b, k, state={}, options=options))(
    params, batch, keys_up_to(len(batch.x), seed=5)
  )
  nats = np.asarray(bound.nats).reshape(len(events), draws)
  error = nats.std(axis=1, ddof=1) / np.sqrt(draws)
  assert np.all(np.abs(-nats.mean(axis=1) - expected) < 4.5 * error + 1e-4)
  assert np.all(-expected <= np.log(law) + 1e-9)
  assert np.exp(-expected).sum() < 1
  assert profile.by_time.shape == (len(batch.x), moves)
  np.testing.assert_allclose(-profile.by_time.sum(axis=1), bound.nats, rtol=1e-4, atol=1e-4)


@pytest.mark.slow  # the bound without a correction is enumerated above
def test_without_options_it_is_the_plain_bound():
  """Of all T moves without a correction the expectations agree."""
  spec, draws = spec_of(neighbor, process="uniform", num_steps=3), 4000
  batch, params = whole(np.tile([[2, 1]], (draws, 1))), table(K, K)

  def bound_of(options, seed):
    run = jax.jit(lambda p, b, k: full_bound(spec, p, b, k, state={}, options=options)[0].nats)
    return np.asarray(run(params, batch, keys_up_to(draws, seed=seed)))

  plain, by_moves = bound_of(SampleOptions(), 1), bound_of(SampleOptions(num_steps=3), 2)
  error = np.hypot(plain.std(), by_moves.std()) / np.sqrt(draws)
  assert abs(plain.mean() - by_moves.mean()) < 4.5 * error


def test_terms_add_up_with_a_prior_and_a_literal_last_step_and_holes_cost_nothing():
  """A network that knows nothing pays ln K for each valid position in the last step, taken literally."""
  spec = spec_of(zeros, process="uniform", num_steps=4, literal=True)
  spec = spec._replace(last_level=Level(np.float32(0.5), np.float32(0.5)))
  batch = whole(np.array([[2, 1], [0, 1]]))._replace(valid=np.array([[True, False], [True, True]]))
  options = SampleOptions(num_steps=2, correction=0.5)
  run = jax.jit(lambda batch, keys: full_bound(spec, K, batch, keys, state={}, options=options))
  bound, profile = run(batch, keys_up_to(2))
  np.testing.assert_allclose(bound.terms["reconstruction"], [-np.log(K), -2 * np.log(K)], rtol=1e-5)
  np.testing.assert_allclose(profile.by_time[:, 0], -bound.terms["reconstruction"], rtol=1e-6)
  kept = kernel("uniform", 0.5)[0]
  prior = (kept * np.log(kept * K)).sum()
  np.testing.assert_allclose(bound.terms["prior"], [-prior, -2 * prior], rtol=1e-5)
  np.testing.assert_allclose(sum(bound.terms.values()), bound.nats, rtol=1e-6)
  np.testing.assert_allclose(profile.by_position.sum(axis=1), -bound.nats, rtol=1e-5)
  assert profile.by_position[0, 1] == 0


@pytest.mark.parametrize("correction", [-0.1, 1.5])
def test_no_bound_is_known_of_a_share_that_is_none(correction):
  options = SampleOptions(num_steps=3, correction=correction)
  with pytest.raises(InputError, match=re.escape(f"correction is {correction}; give a share")):
    full_bound(spec_of(zeros, num_steps=3), K, whole(np.array([[2, 1]])), keys_up_to(1), state={}, options=options)


def test_no_bound_is_known_of_other_options():
  spec, options = spec_of(neighbor, num_steps=3), SampleOptions(temperature=0.5)
  with pytest.raises(InputError, match="no bound is known of samples with temperature; only with num_steps"):
    full_bound(spec, table(K, K), whole(np.array([[2, 1]])), keys_up_to(1), state={}, options=options)


def test_what_is_observed_stays():
  spec = spec_of(neighbor, process="absorbing", num_steps=6)
  x, observed = np.tile(np.array([[2, 1]], np.int32), (64, 1)), np.tile(np.array([[True, False]]), (64, 1))
  options = SampleOptions(correction=0.9, num_frames=7)
  infill = jax.jit(lambda p, x, seen, k: make_infill(spec).draw(p, x, seen, k, state={}, options=options))
  found = infill(table(K + 1, K), x, observed, keys_up_to(64))
  np.testing.assert_array_equal(np.asarray(found.chain)[:, :, 0], 2)
  masked = np.asarray(found.chain)[:, :, 1] == K
  assert (~masked[:-1] & masked[1:]).any()  # what was drawn is masked again
  assert not masked[-1].any()


@pytest.mark.parametrize("correction", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(correction):
  with pytest.raises(InputError, match=re.escape(f"correction is {correction}; give a share")):
    draw_of("uniform", 4, correction)[1](None, keys_up_to(1))
