"""Statements about a model on a space that can be enumerated, each with its numbers; see `proof`."""

import math
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import chi2

from catgen import bounds
from catgen.evaluation import classification, event_probabilities
from catgen.evaluation.event_probabilities import EventProbabilities, Mean, mean

LEVEL = 1e-4  # probability that a true claim about draws fails
CERTAIN = 0.05  # standard error of the sum of all probabilities, or of log p by it, above which it says little
ROUNDING = 1e-4  # nats, or probability, that float32 may cost


class Claim(NamedTuple):
  """One statement about the model, whether it holds, and the numbers behind it."""

  name: str
  passed: bool | None  # None = these draws cannot tell
  detail: str


def _limit(num_statements: int) -> float:
  """Returns how many standard errors `num_statements` true statements together stay within, but for LEVEL."""
  return NormalDist().inv_cdf(1 - LEVEL / (2 * num_statements))


def _worst(excess: np.ndarray, error: np.ndarray, known: np.ndarray | None = None) -> float:
  """Returns the largest excess in standard errors, beyond what rounding explains, among the known events."""
  beyond = np.sign(excess) * np.maximum(np.abs(excess) - ROUNDING, 0.0)
  scores = np.where(beyond == 0, 0.0, beyond / np.maximum(error, 1e-12))
  return float(np.max(scores if known is None else scores[known], initial=-math.inf))


def sums_to_one(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> Claim:
  """Says whether probabilities, with the share of samples that mean no event, sum to one."""
  invalid = 1.0 - drawn.sum() / num_samples
  total = float(truth.p.sum() + invalid)
  error = math.sqrt(float((truth.error**2).sum()) + invalid * (1 - invalid) / num_samples)
  detail = f"{total:.5f} ± {error:.5f} (invalid: {invalid:.4f})"
  if error > CERTAIN * truth.sensitivity:
    return Claim("probabilities sum to one", None, f"{detail}: too uncertain to tell; take more draws")
  return Claim("probabilities sum to one", abs(total - 1.0) <= ROUNDING + _limit(1) * error, detail)


def weights_agree(exact: np.ndarray, weights: np.ndarray) -> Claim:
  """Says whether importance weights average to exact probabilities, in log p."""
  ratio = event_probabilities.of_weights(weights - exact[None])
  worst, limit = _worst(np.abs(ratio.p - 1.0), ratio.error, ratio.known), _limit(len(exact))
  detail = f"worst event {worst:.1f} standard errors (limit {limit:.1f}){ratio.missing()}"
  return Claim("weights average to p(x)", ratio.verdict(worst <= limit), detail)


def elbo_claims(elbo: Mean, truth: EventProbabilities | None) -> list[Claim]:
  """Says whether bounds are at most log p(x), of every event and on average; without p, whether they can be."""
  if truth is None:  # exp of a bound is at most p(x), and Jensen makes the average bound's exponential smaller still
    total = float(np.exp(elbo.value).sum())
    error = float(np.sqrt(((np.exp(elbo.value) * elbo.error) ** 2).sum()))
    passed = total <= 1 + ROUNDING + _limit(1) * error
    return [Claim("bounds claim at most probability one", passed, f"{total:.5f} ± {error:.5f}")]
  excess, error = elbo.value - np.log(truth.p), np.hypot(elbo.error, truth.error / truth.p)
  worst, limit = _worst(excess, error, truth.known), _limit(len(excess))
  share = np.where(truth.known, truth.p, 0.0) / max(float(truth.p[truth.known].sum()), 1e-30)
  gap, gap_error = -float((share * excess).sum()), float(np.sqrt(((share * error) ** 2).sum()))
  detail = f"worst event {worst:+.1f} standard errors (limit {limit:.1f}){truth.missing()}"
  average = gap >= -ROUNDING - _limit(1) * gap_error
  return [
    Claim("ELBO <= log p(x), every event", truth.verdict(worst <= limit), detail),
    Claim("ELBO <= log p(x), on average", truth.verdict(average), f"gap {gap:.4f} ± {gap_error:.4f} nats"),
  ]


def bounds_agree(one: Mean, full: Mean) -> Claim:
  """Says whether two estimates of a bound have the same mean, of every event."""
  excess, error = np.abs(one.value - full.value), np.hypot(one.error, full.error)
  worst, limit = _worst(excess, error), _limit(len(excess))
  detail = (
    f"mean difference {float((one.value - full.value).mean()):+.4f} nats, worst event {worst:.1f} standard errors"
  )
  return Claim("full bound = bound in expectation", worst <= limit, f"{detail} (limit {limit:.1f})")


def importance_claims(weights: np.ndarray, truth: EventProbabilities) -> list[Claim]:
  """Says whether importance-weighted bounds rise with the number of draws, and stay below log p(x)."""
  means, sizes = [], (1, 2, 4, 8)
  usable = len(weights) // sizes[-1] * sizes[-1]
  for size in sizes:
    groups = jnp.asarray(weights[:usable].reshape(-1, size, weights.shape[1]).swapaxes(0, 1), jnp.float32)
    means.append(mean(np.asarray(bounds.importance_weighted(groups), np.float64)))
  steps = np.diff(np.stack([mean.value for mean in means]), axis=0)
  excess, error = means[-1].value - np.log(truth.p), np.hypot(means[-1].error, truth.error / truth.p)
  worst, limit = _worst(excess, error, truth.known), _limit(len(excess))
  averages = ", ".join(f"{float((truth.p * mean.value).sum() / truth.p.sum()):.4f}" for mean in means)
  detail = f"worst event {worst:+.1f} standard errors (limit {limit:.1f}){truth.missing()}"
  rising = bool(steps.min() >= -ROUNDING)
  return [
    Claim("importance-weighted bound does not fall", rising, f"nats with 1, 2, 4, 8 draws: {averages}"),
    Claim("importance-weighted bound <= log p(x)", truth.verdict(worst <= limit), detail),
  ]


def frequencies_agree(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> Claim:
  """A chi-square test over the events whose p(x) is known and that are expected five times or more.

  All other outcomes, invalid ones among them, are put together; with p(x) they have what is missing to one. The Monte
  Carlo error of p(x) is added to the variance of each count.
  """
  p_value, detail, told = _tested(truth, drawn, num_samples)
  return Claim("samples occur as often as p(x) says", p_value >= LEVEL if told else None, detail)


def p_value_of(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> float:
  """Returns the probability that frequencies lie as far from `truth` as these, where it is their law."""
  return _tested(truth, drawn, num_samples)[0]


def _tested(truth: EventProbabilities, drawn: np.ndarray, num_samples: int) -> tuple[float, str, bool]:
  """Returns the p-value of the test, its numbers, and whether there is an event to look at."""
  single = truth.known & (truth.p * num_samples >= 5)
  p = np.append(truth.p[single], max(0.0, 1.0 - float(truth.p[single].sum())))
  counts = np.append(drawn[single], num_samples - drawn[single].sum())
  errors = np.append(truth.error[single], math.sqrt(float((truth.error[single] ** 2).sum())))
  # the rest may be empty but for rounding: with one more expected count it weighs little where it is that small
  variance = num_samples * p + (num_samples * errors) ** 2 + np.append(np.zeros(len(p) - 1), 1.0)
  statistic = float(((counts - num_samples * p) ** 2 / variance).sum())
  freedom = max(1, len(p) - 1)
  p_value = float(jax.jit(chi2.sf)(statistic, freedom))
  detail = f"chi-square {statistic:.1f} on {freedom}, p = {p_value:.3g}{truth.missing()}"
  return p_value, detail, bool(single.any())


def labels_agree(truths: list[EventProbabilities], drawn: np.ndarray) -> Claim:
  """A chi-square test of the labels of samples, as many of each, by Bayes' rule: how many of an event have each label.

  Args:
    truths: p(x | y) of each label.
    drawn: how often each event was drawn by each label, [labels, events].
  """
  p, error, known = (np.stack([getattr(truth, name) for truth in truths]) for name in ("p", "error", "known"))
  with np.errstate(divide="ignore", invalid="ignore"):
    nats = np.log(p).T[None]  # [1, events, labels]
    told = np.exp(classification.posterior(nats, np.full(len(p), -math.log(len(p))), exact=True).log_probs).T
    relative = (error / p) ** 2
  total = drawn.sum(axis=0)
  single = known.all(axis=0) & (np.nan_to_num(told).min(axis=0) * total >= 5)
  told, total, relative = told[:, single], total[single], relative[:, single]
  others = (told**2 * relative).sum(axis=0) - told**2 * relative
  uncertain = told**2 * ((1 - told) ** 2 * relative + others)
  statistic = float(((drawn[:, single] - total * told) ** 2 / (total * told + total**2 * uncertain)).sum())
  freedom = max(1, int(single.sum()) * (len(p) - 1))
  p_value = float(jax.jit(chi2.sf)(statistic, freedom))
  detail = f"chi-square {statistic:.1f} on {freedom}, p = {p_value:.3g}, of {int(single.sum())} events"
  return Claim("samples have labels as often as p(y | x) says", p_value >= LEVEL if single.any() else None, detail)
