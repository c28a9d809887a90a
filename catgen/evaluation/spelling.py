"""Corrects events with wrong categories, and scores how well that works on held-out examples.

Two decisions (see `Model.denoise`). "bayes" takes the likeliest category given everything that was seen, the own
position included: with an error rate of 1 % the typed letter is usually right. "paper" takes the network's own
prediction at the first time step, which ignores the letter that was typed (Hoogeboom et al., 2021, section 5).
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen import meshes
from catgen.batches import take
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.interfaces import Batch, InputError, Model, PyTree

METHODS = ("bayes", "paper")


class Correction(NamedTuple):
  """Corrected examples; invalid positions are as they were."""

  x: Int[np.ndarray, "batch *event"]
  probability: Float[np.ndarray, "batch *event"]  # of the chosen category, under the method's distribution
  changed: Bool[np.ndarray, "batch *event"]


class Share(NamedTuple):
  """A fraction of positions with a 95 % interval."""

  hits: int
  total: int
  value: float  # hits / total; NaN where total is 0
  low: float
  high: float


class SpellingScore(NamedTuple):
  """How corrections changed held-out examples that were corrupted on purpose."""

  repaired: Share  # of the corrupted positions: restored to the truth
  broken: Share  # of the clean positions: changed
  wrong_before: Share  # of all positions: corrupted
  wrong_after: Share  # of all positions: not the truth after the correction


def corrupt(rng: np.random.Generator, batch: Batch, rate: float, num_classes: int) -> Batch:
  """Returns examples of which each valid position is, with probability `rate`, another category, all equally likely."""
  check_error_rate(rate, num_classes)
  x = batch.x
  shift = rng.integers(1, num_classes, x.shape) if num_classes > 1 else np.zeros(x.shape, np.int64)
  wrong = (rng.random(x.shape) < rate) & batch.valid
  return batch._replace(x=np.where(wrong, (x + shift) % num_classes, x).astype(x.dtype))


def check_error_rate(rate: float, num_classes: int) -> None:
  """Raises InputError unless 0 <= rate < (K - 1) / K, where the typed category still tells something."""
  if not 0.0 <= rate < (num_classes - 1) / num_classes:
    raise InputError(f"the error rate is {rate}; it must lie in [0, {(num_classes - 1) / num_classes:.4g})")


def correct(
  model: Model,
  params: PyTree,
  state: PyTree,
  typed: Batch,
  error_rate: float,
  *,
  method: str = "bayes",
  spread: Spread = ALONE,
) -> Correction:
  """Returns the corrected examples.

  Args:
    model, params, state: a model that can denoise.
    typed: every entry a category, also where invalid; invalid positions stay. Its labels, if any, are given.
    error_rate: assumed probability that a category is wrong, in [0, (K - 1) / K); "paper" does not use it.
    method: "bayes" or "paper".
    spread: the devices that share the examples.

  Raises:
    InputError: the model cannot denoise, the method is unknown, or the error rate or a category is out of range.
  """
  if model.denoise is None:
    raise InputError("this model cannot correct: it has no denoiser; take a diffusion model")
  if method not in METHODS:
    raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
  check_error_rate(error_rate, model.event.num_classes)
  x = typed.x
  if x.size and (x.min() < 0 or x.max() >= model.event.num_classes):
    raise InputError(f"a category lies outside [0, {model.event.num_classes})")
  noise_level = float(error_rate) if method == "bayes" else 0.0
  decide = _compiled(model, noise_level, method, spread)
  found = fetch(decide(params, state, spread.put(take(typed, spread.numbers(0, len(x))))))
  best, probability = (each[: len(x)] for each in found)
  chosen = np.where(typed.valid, best, x).astype(x.dtype)
  return Correction(chosen, np.where(typed.valid, probability, 1.0), chosen != x)


@functools.lru_cache(maxsize=32)
def _compiled(model: Model, noise_level: float, method: str, spread: Spread) -> Callable[..., tuple[Array, Array]]:
  def decide(params: PyTree, state: PyTree, typed: Batch) -> tuple[Array, Array]:
    assert model.denoise is not None
    x, valid = meshes.spread((jnp.asarray(typed.x), jnp.asarray(typed.valid)))
    denoised = model.denoise(params, x, valid, noise_level, given=typed.given, state=state)
    log_probs = denoised.posterior if method == "bayes" else denoised.prediction
    return log_probs.argmax(axis=-1), jnp.exp(log_probs.max(axis=-1))

  return spread.compiled(decide)


def score(
  model: Model,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  rng: np.random.Generator,
  rate: float,
  assumed_rate: float | None = None,
  batch_size: int = 64,
  spread: Spread = ALONE,
) -> dict[str, SpellingScore]:
  """Returns for both methods how they mend the same held-out examples, corrupted at `rate`.

  Args:
    model, params, state: a model that can denoise.
    batch: clean held-out examples.
    rng: draws the errors.
    rate: probability of an error at a position.
    assumed_rate: what the corrector believes; None: the true rate.
    batch_size: examples at a time.
    spread: the devices that share them.

  The intervals are Wilson's at 95 %, with the number of positions divided by the design effect, since positions of
  one example are not independent. They stay honest where a count is zero.
  """
  typed = corrupt(rng, batch, rate, model.event.num_classes)
  assumed = rate if assumed_rate is None else assumed_rate
  return {
    method: judge(batch, typed.x, _correct_in_batches(model, params, state, typed, assumed, method, batch_size, spread))
    for method in METHODS
  }


def judge(
  truth: Batch, typed: Int[np.ndarray, "examples *event"], mended: Int[np.ndarray, "examples *event"]
) -> SpellingScore:
  """Returns what a correction of what was typed has repaired and broken."""
  x, valid = truth.x, truth.valid
  axes = tuple(range(1, x.ndim))
  wrong, clean, right = (typed != x) & valid, (typed == x) & valid, mended == x
  return SpellingScore(
    repaired=share((wrong & right).sum(axis=axes), wrong.sum(axis=axes)),
    broken=share((clean & ~right).sum(axis=axes), clean.sum(axis=axes)),
    wrong_before=share(wrong.sum(axis=axes), valid.sum(axis=axes)),
    wrong_after=share((valid & ~right).sum(axis=axes), valid.sum(axis=axes)),
  )


def _correct_in_batches(
  model: Model,
  params: PyTree,
  state: PyTree,
  typed: Batch,
  error_rate: float,
  method: str,
  batch_size: int,
  spread: Spread,
) -> np.ndarray:
  mended = np.empty_like(typed.x)
  for start in range(0, len(mended), batch_size):
    numbers = np.minimum(np.arange(start, start + batch_size), len(mended) - 1)  # one shape; the last example fills up
    part = correct(model, params, state, take(typed, numbers), error_rate, method=method, spread=spread)
    mended[numbers] = part.x
  return mended


def share(counts: Int[np.ndarray, "examples"], totals: Int[np.ndarray, "examples"]) -> Share:
  """Returns sum counts / sum totals with Wilson's 95 % interval for examples as clusters.

  The number of trials is divided by the design effect: the variance of the ratio between examples over the binomial
  one, at least 1.
  """
  count, total, examples = int(counts.sum()), int(totals.sum()), int((totals > 0).sum())
  if total == 0:
    return Share(count, total, math.nan, 0.0, 1.0)
  value, trials, z = count / total, float(total), 1.959964
  if 0 < count < total and examples > 1:
    clustered = examples / (examples - 1) * ((counts - value * totals) ** 2).sum() / total**2
    trials /= max(1.0, float(clustered) / (value * (1 - value) / total))
  center = (value + z**2 / (2 * trials)) / (1 + z**2 / trials)
  half = z / (1 + z**2 / trials) * math.sqrt(value * (1 - value) / trials + z**2 / (4 * trials**2))
  return Share(count, total, value, max(0.0, center - half), min(1.0, center + half))
