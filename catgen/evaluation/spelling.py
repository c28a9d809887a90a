"""Corrects events with wrong categories, and scores how well that works on held-out examples.

Three decisions. Two are of models that denoise (see `Model.denoise`): "bayes" takes the likeliest category given all
that was seen, the own position included: with an error rate of 1 % the typed letter is usually right. "paper" takes the
network's own prediction at the first time step, which ignores the letter that was typed (Hoogeboom et al., 2021,
section 5). One is of models that are read position by position: "channel" takes the likeliest example as a whole (see
the module `channel`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen import meshes
from catgen.batches import take
from catgen.evaluation import channel
from catgen.evaluation.shares import Share, interval
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.interfaces import Batch, InputError, Model, PyTree
from catgen.records import shown_briefly

METHODS = ("bayes", "paper", "channel")
BEAM = 16  # beginnings that "channel" keeps, unless another number is asked for
MOST_BEAM = 1024


@shown_briefly
class Correction(NamedTuple):
  """Corrected examples; invalid positions are as they were."""

  x: Int[np.ndarray, "batch *event"]
  probability: Float[np.ndarray, "batch *event"]  # of the chosen category, under the method's distribution
  changed: Bool[np.ndarray, "batch *event"]
  # of "channel": log of the mass of its beam, in nats, which is at most log p(what was seen); None: not known
  log_seen: Float[np.ndarray, "batch"] | None = None


class SpellingScore(NamedTuple):
  """How corrections changed held-out examples that were corrupted on purpose."""

  repaired: Share  # of the corrupted positions: restored to the truth
  broken: Share  # of the clean positions: changed
  wrong_before: Share  # of all positions: corrupted
  wrong_after: Share  # of all positions: not the truth after the correction


def corrupt(
  rng: np.random.Generator, batch: Batch, rate: float, num_classes: int, *, sizes: Sequence[int] | None = None
) -> Batch:
  """Returns examples of which each valid position is, with probability `rate`, another category, all equally likely.

  sizes: categories of each position, as `EventSpec.sizes`; where there is one alone it stays.
  """
  check_error_rate(rate, num_classes)
  x = batch.x
  own = num_classes if sizes is None else np.array(sizes).reshape(x.shape[1:])
  shift = rng.integers(1, np.maximum(own, 2), x.shape)
  wrong = (rng.random(x.shape) < rate) & batch.valid & (np.asarray(own) > 1)
  return batch._replace(x=np.where(wrong, (x + shift) % own, x).astype(x.dtype))


def check_error_rate(rate: float, num_classes: int) -> None:
  """Raises InputError unless 0 <= rate < (K - 1) / K, where the typed category still tells something."""
  if not 0.0 <= rate < (num_classes - 1) / num_classes:
    raise InputError(f"the error rate is {rate}; it must lie in [0, {(num_classes - 1) / num_classes:.4g})")


def available(model: Model) -> tuple[str, ...]:
  """Returns the methods by which a model can correct, the default one first."""
  of_denoisers = () if model.denoise is None else METHODS[:2]
  return of_denoisers if model.sequential is None else (*of_denoisers, "channel")


def chosen(model: Model, method: str | None = None, beam: int | None = None) -> tuple[str, ...]:
  """Returns the methods by which a model corrects; of several the first one counts, the others stand beside it.

  Args:
    model: that corrects.
    method: one of `METHODS`; None: "bayes" and "paper" of a model with a denoiser, "channel" of one without.
    beam: beginnings that are kept, 1 to `MOST_BEAM`, of "channel"; None: `BEAM`.

  Raises:
    InputError: the model cannot correct by it, or the beam is out of range or means nothing.
  """
  found = available(model)
  if method is not None and method not in METHODS:
    raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
  if not found:
    raise InputError(
      "this model cannot correct: it has no denoiser, and its probabilities are not read position by position; take a "
      "diffusion model, or an autoregressive one of data in which nothing is ignored"
    )
  if method is not None and method not in found:
    raise InputError(f"this model cannot correct by {method!r}; it can by {', '.join(found)}")
  if beam is not None and not 1 <= beam <= MOST_BEAM:
    raise InputError(f"beam is {beam}; give 1 to {MOST_BEAM:,}")
  if beam is not None and (method or found[0]) != "channel":
    raise InputError(f"beam is of the method channel, and this is {method or found[0]}; leave it out, or take channel")
  return (method,) if method else ("channel",) if model.denoise is None else METHODS[:2]


def correct(
  model: Model,
  params: PyTree,
  state: PyTree,
  typed: Batch,
  error_rate: float,
  *,
  method: str | None = None,
  beam: int | None = None,
  spread: Spread = ALONE,
) -> Correction:
  """Returns the corrected examples.

  Args:
    model, params, state: a model that can correct; see `available`.
    typed: every entry a category, also where invalid; invalid positions stay. Its labels, if any, are given.
    error_rate: assumed probability that a category is wrong, in [0, (K - 1) / K); "paper" does not use it.
    method: one of `METHODS`; default: "bayes", and "channel" of a model without a denoiser.
    beam: of "channel": beginnings that are kept, 1 to `MOST_BEAM`; default: `BEAM`. It takes the memory of as many
      times the examples, and of K^D it is exact.
    spread: the devices that share the examples.

  Raises:
    InputError: the model cannot correct by this method, or the error rate, the beam or a category is out of range.
  """
  method, *_ = chosen(model, method, beam)
  check_error_rate(error_rate, model.event.num_classes)
  x = typed.x
  if x.size and (x.min() < 0 or x.max() >= model.event.num_classes):
    raise InputError(f"a category lies outside [0, {model.event.num_classes})")
  examples = spread.put(take(typed, spread.numbers(0, len(x))))
  if method == "channel":
    search = _compiled_channel(model, BEAM if beam is None else beam, spread)
    found = fetch(search(params, state, examples, np.float32(error_rate)))
  else:
    noise_level = float(error_rate) if method == "bayes" else 0.0
    found = fetch(_compiled(model, noise_level, method, spread)(params, state, examples))
  best, probability, *log_seen = (each[: len(x)] for each in found)
  mended = np.where(typed.valid, best, x).astype(x.dtype)
  return Correction(mended, np.where(typed.valid, probability, 1.0), mended != x, *log_seen)


@functools.lru_cache(maxsize=32)
def _compiled(model: Model, noise_level: float, method: str, spread: Spread) -> Callable[..., tuple[Array, Array]]:
  def decide(params: PyTree, state: PyTree, typed: Batch) -> tuple[Array, Array]:
    assert model.denoise is not None
    x, valid = meshes.spread((jnp.asarray(typed.x), jnp.asarray(typed.valid)))
    denoised = model.denoise(params, x, valid, noise_level, given=typed.given, state=state)
    log_probs = denoised.posterior if method == "bayes" else denoised.prediction
    return log_probs.argmax(axis=-1), jnp.exp(log_probs.max(axis=-1))

  return spread.compiled(decide)


@functools.lru_cache(maxsize=32)
def _compiled_channel(model: Model, beam: int, spread: Spread) -> Callable[..., channel.Meant]:
  """Returns (params, state, typed, error rate) -> what was meant; one program for all rates."""
  return spread.compiled(functools.partial(channel.meant, model, width=beam))


def score(
  model: Model,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  rng: np.random.Generator,
  rate: float,
  assumed_rate: float | None = None,
  method: str | None = None,
  beam: int | None = None,
  batch_size: int = 64,
  spread: Spread = ALONE,
) -> dict[str, SpellingScore]:
  """Returns by method how it mends the same held-out examples, corrupted at `rate`.

  Args:
    model, params, state: a model that can correct; see `available`.
    batch: clean held-out examples.
    rng: draws the errors.
    rate: probability of an error at a position.
    assumed_rate: what the corrector believes; None: the true rate.
    method: the one that is scored; None: "bayes" and "paper", or "channel" of a model without a denoiser. "channel"
      calls the network for each position, so of a model that can do all three it is scored only where it is asked for.
    beam: of "channel"; see `correct`.
    batch_size: examples at a time, those of a beam counted.
    spread: the devices that share them.

  The intervals are Wilson's at 95 %, with the number of positions divided by the design effect, since positions of
  one example are not independent. They stay honest where a count is zero.
  """
  methods, event = chosen(model, method, beam), model.event
  typed = corrupt(rng, batch, rate, event.num_classes, sizes=event.sizes)
  assumed, found = rate if assumed_rate is None else assumed_rate, {}
  for each in methods:
    at_once = batch_size if each != "channel" else max(1, batch_size // (beam or BEAM))
    mend = functools.partial(correct, model, params, state, error_rate=assumed, method=each, beam=beam, spread=spread)
    found[each] = judge(batch, typed.x, _in_batches(mend, typed, at_once))
  return found


def judge(
  truth: Batch, typed: Int[np.ndarray, "examples *event"], mended: Int[np.ndarray, "examples *event"]
) -> SpellingScore:
  """Returns what a correction of what was typed has repaired and broken."""
  x, valid = truth.x, truth.valid
  axes = tuple(range(1, x.ndim))
  wrong, clean, right = (typed != x) & valid, (typed == x) & valid, mended == x
  return SpellingScore(
    repaired=interval((wrong & right).sum(axis=axes), wrong.sum(axis=axes)),
    broken=interval((clean & ~right).sum(axis=axes), clean.sum(axis=axes)),
    wrong_before=interval(wrong.sum(axis=axes), valid.sum(axis=axes)),
    wrong_after=interval((valid & ~right).sum(axis=axes), valid.sum(axis=axes)),
  )


def _in_batches(mend: Callable[..., Correction], typed: Batch, batch_size: int) -> Int[np.ndarray, "examples *event"]:
  mended = np.empty_like(typed.x)
  for start in range(0, len(mended), batch_size):
    numbers = np.minimum(np.arange(start, start + batch_size), len(mended) - 1)  # one shape; the last example fills up
    mended[numbers] = mend(take(typed, numbers)).x
  return mended
