"""Evaluates the likelihood of a model on a split: bits per position, both standard errors, and where bits are lost."""

import functools
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from catgen import bounds
from catgen.batches import scored_positions
from catgen.evaluation import estimators
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.events import sum_valid
from catgen.interfaces import Batch, InputError, Model, PyTree, SampleOptions
from catgen.records import shown_briefly

MOST_DRAWS = 2**24  # of one example, and at once; numbers of draws have 32 bits
_AHEAD = 2  # device calls that are started before an earlier one has ended, so that no device waits for the host
_READ_SECONDS = 1.0  # between two looks at what has been scored
LOW_SAMPLE_SIZE = 10.0  # effective draws per example below which an importance-weighted bound deserves a warning
_ALIKE = 0.99  # share of effective draws from which on weights are alike, however few they are: the bound is tight


class Anatomy(NamedTuple):
  """Where a full bound loses its bits."""

  by_time: Float[np.ndarray, "time"]  # bits per position of the whole split; entry t - 1 is the step x_t -> x_(t-1)
  by_position: Float[np.ndarray, "*event"]  # bits at a position, over the examples that have it
  by_class: Float[np.ndarray, "classes"]  # bits per occurrence of a category; NaN where it never occurs
  class_counts: Int[np.ndarray, "classes"]


@shown_briefly
class Likelihood(NamedTuple):
  """The likelihood of a split. Examples without a scored position are left out."""

  estimate: bounds.Estimate
  terms: dict[str, float]  # bits per position, losses; they add up to estimate.bits; empty for exact and iwbo
  numbers: Int[np.ndarray, "examples"]  # of the examples in the split, ascending
  nats: Float[np.ndarray, "replicates examples"]  # lower bound on log p(x), or log p(x)
  positions: Int[np.ndarray, "examples"]  # those that were scored
  estimator: str
  num_draws: int
  num_replicates: int
  effective_sample_size: float | None  # of the importance weights: the median over examples and replicates
  anatomy: Anatomy | None
  warnings: tuple[str, ...]
  given: str | None = None  # of a model with labels: whether those of the data were given, "data", or "none"
  law: SampleOptions = estimators.OWN  # of which samples it is the likelihood
  consecutive: bool = False  # examples are pieces of one stream, in its order, which `estimate.data_error` allows for
  class_counts: Int[np.ndarray, "classes"] | None = None  # how often each category was scored


def evaluate(
  model: Model,
  params: PyTree,
  state: PyTree,
  batches: Iterable[Batch],
  *,
  key: Array,
  estimator: str | None = None,
  num_draws: int = 1,
  num_replicates: int = 4,
  draws_at_once: int = 1,
  same_draws: bool = False,
  given: str = "data",
  carried: estimators.Carried | None = None,
  law: SampleOptions = estimators.OWN,
  consecutive: bool = False,
  spread: Spread = ALONE,
  progress: Callable[[float], Any] = lambda share: None,
  done: Sequence["Part"] = (),
  keep: Callable[[Sequence["Part"]], Any] = lambda parts: None,
) -> Likelihood:
  """Returns the likelihood of the examples in `batches`, each counted once.

  Args:
    model, params, state: what to evaluate.
    batches: one walk over a split, all of the same shape, a multiple of the devices; padded examples are all invalid.
      With several processes, each gives its own part, the same number of batches.
    key: all randomness; example i then has the same draws whatever the batch size and the devices.
    estimator: one of `estimators`; None takes the cheapest honest one.
    num_draws: draws per example in one estimate, averaged; for "iwbo" the S of the bound.
    num_replicates: independent repetitions of the whole estimate, for the Monte Carlo error (unknown with 1).
    draws_at_once: at most so many draws in one device call (a divisor of num_draws is taken); memory grows with it.
    same_draws: all examples share their draws, so that what is by chance in them hardly changes the order of their
      scores; by default each has its own, so that the mean over examples is more exact.
    given: "data": examples are scored as p(x | labels), where the batches give any; "none": as p(x), without them.
    carried: how a memory goes from batch to batch, which then read a stream on (`stream_batches`); None: none does.
    law: for the estimator "order": the order, and what restricts each draw; see `estimators.check_law`.
    consecutive: whether the examples, by their numbers, are pieces of one stream; see `bounds.ratio_error`.
    spread: the devices that share the examples of a batch.
    progress: called after each device call with the share of a batch it has finished; may raise, to stop.
    done: what an earlier call with the same arguments has scored of the first batches; these are not scored again.
    keep: called now and then, before what `progress` raises, and at the end, with all that is scored so far.

  Raises:
    InputError: the model lacks the capability, a number is below one, or there is nothing to evaluate.
  """
  estimator = estimators.default_estimator(model) if estimator is None else estimator
  estimators.check_estimator(model, estimator)
  estimators.check_law(model, estimator, law)
  for name, number in (("num_draws", num_draws), ("num_replicates", num_replicates), ("draws_at_once", draws_at_once)):
    if not 1 <= number <= MOST_DRAWS:
      raise InputError(f"{name} is {number}; it must be at least 1, and at most {MOST_DRAWS:,}")
  if given not in ("data", "none"):
    raise InputError(f'given is {given!r}; it must be "data", the labels of the data, or "none"')
  if carried is not None:
    estimators.check_carried(model, estimator)
    if done:
      raise ValueError("the memory after what was scored before is not there: begin again")
  if estimator in estimators.EXACT:
    num_draws = num_replicates = 1
  walk = _Walk(model, estimator, num_draws, num_replicates, same_draws, key, spread, carried, law)
  at_once = estimators.draws_together(num_draws, draws_at_once)
  labelled = given == "data" and bool(model.event.given)
  ahead = _Ahead(walk, at_once, list(done), progress, keep)
  for batch in itertools.islice(batches, len(done), None):
    ahead.start(params, state, spread.put_parts(batch if labelled else batch._replace(given=None)))
  scored = ahead.finish()
  if not scored or not any(part.positions.any() for part in scored):
    raise InputError("no examples to evaluate: the split holds no position to score")
  return _summarize(scored, walk, consecutive)._replace(given=given if model.event.given else None)


class _Walk(NamedTuple):
  model: Model
  estimator: str
  num_draws: int
  num_replicates: int
  same_draws: bool
  key: Array
  spread: Spread
  carried: estimators.Carried | None
  law: SampleOptions


class Part(NamedTuple):
  """The scores of one batch, on the host: what an evaluation that was stopped can go on from."""

  numbers: np.ndarray  # [batch]
  positions: np.ndarray  # [batch]
  nats: np.ndarray  # [replicates, batch]
  sample_sizes: np.ndarray | None  # [replicates, batch]
  terms: dict[str, np.ndarray]  # [batch], averaged over draws and replicates
  losses: estimators.LossSums | None  # averaged over draws and replicates
  position_counts: np.ndarray  # [*event]
  class_counts: np.ndarray  # [classes]


class _Started(NamedTuple):
  """A batch whose calls are started: what they give, on the devices, perhaps not yet there."""

  draws: list[estimators.Draws]
  counts: tuple[Array, ...]


class _Ahead:
  """Starts the calls of batches, a few ahead of the devices, and reads what they have given once in a while."""

  def __init__(
    self,
    walk: _Walk,
    at_once: int,
    scored: list[Part],
    progress: Callable[[float], Any],
    keep: Callable[[Sequence[Part]], Any],
  ):
    self.walk, self.at_once, self.scored, self.progress, self.keep = walk, at_once, scored, progress, keep
    self.step = _calls(walk, at_once)
    self.count = _counting(walk.model.event.num_classes, walk.spread)
    self.calls: deque[estimators.Draws] = deque()
    self.started: list[_Started] = []  # and not read
    self.read_at = time.monotonic()

  def start(self, params: PyTree, state: PyTree, batch: Batch) -> None:
    """Starts all calls of a batch; may raise what `progress` raises."""
    walk = self.walk
    counts = self.count(batch.x, scored_positions(batch), batch.index)
    drawn_for = batch._replace(index=batch.index * 0) if walk.same_draws else batch
    draws: list[estimators.Draws] = []
    for replicate, first in itertools.product(range(walk.num_replicates), range(0, walk.num_draws, self.at_once)):
      numbers = np.arange(first, first + self.at_once, dtype=np.int32)
      key = jax.random.fold_in(walk.key, replicate)
      draws.append(self.step(params, state, drawn_for, key, numbers, np.int32(walk.num_draws)))
      self.calls.append(draws[-1])
      if len(self.calls) > _AHEAD:
        self.wait()
    self.started.append(_Started(draws, counts))
    if time.monotonic() - self.read_at >= _READ_SECONDS:
      under_way = {id(call) for call in self.calls}
      self.read(sum(id(each.draws[-1]) not in under_way for each in self.started))

  def wait(self) -> None:
    """Waits for the oldest call that may be under way, and reports it."""
    jax.block_until_ready(self.calls.popleft())
    try:
      self.progress(1.0 / (self.walk.num_replicates * -(-self.walk.num_draws // self.at_once)))
    except BaseException:
      self.read(len(self.started))
      raise

  def read(self, number: int) -> None:
    """Reads so many of the batches that are started, and hands on all that is scored by then."""
    whole, self.started = self.started[:number], self.started[number:]
    self.scored += [_read(self.walk, *fetch((each.draws, each.counts))) for each in whole]
    self.read_at = time.monotonic()
    if whole:
      self.keep(self.scored)

  def finish(self) -> list[Part]:
    """Waits for what is under way, and returns all that is scored."""
    while self.calls:
      self.wait()
    self.read(len(self.started))
    return self.scored


def _read(walk: _Walk, draws: list[Any], counts: tuple[np.ndarray, ...]) -> Part:
  """Returns the scores of a batch from its draws (`estimators.Draws`) and counts, on the host."""
  numbers, positions, position_counts, class_counts = counts

  def stacked(arrays: list[np.ndarray]) -> np.ndarray:  # [replicates, draws, batch]
    return np.concatenate(arrays).reshape(walk.num_replicates, walk.num_draws, -1).astype(np.float64)

  nats, sample_sizes = stacked([d.nats for d in draws]), None
  if walk.estimator == "iwbo":
    weights = jnp.asarray(nats.swapaxes(0, 1), jnp.float32)
    sample_sizes = np.asarray(bounds.effective_sample_size(weights))
    nats = np.asarray(bounds.importance_weighted(weights), np.float64)
  else:
    nats = nats.mean(axis=1)
  terms = {name: stacked([d.terms[name] for d in draws]).mean(axis=(0, 1)) for name in draws[0].terms}
  total = walk.num_replicates * walk.num_draws
  losses = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=np.float64) / total, *[d.losses for d in draws])
  return Part(numbers, positions, nats, sample_sizes, terms, losses, position_counts, class_counts)


def _summarize(scored: list[Part], walk: _Walk, consecutive: bool) -> Likelihood:
  numbers = np.concatenate([part.numbers for part in scored])
  positions = np.concatenate([part.positions for part in scored])
  kept = np.argsort(numbers, kind="stable")
  kept = kept[positions[kept] > 0]
  numbers, positions = numbers[kept], positions[kept]
  if (np.diff(numbers) == 0).any():
    raise ValueError("an example was scored twice: the batches must walk over the split once")
  nats = np.concatenate([part.nats for part in scored], axis=1)[:, kept]
  terms = {
    name: bounds.bits_per_position(
      -float(sum(part.terms[name][part.positions > 0].sum() for part in scored)), float(positions.sum())
    )
    for name in scored[0].terms
  }
  sizes = None
  if scored[0].sample_sizes is not None:
    sizes = np.concatenate([np.asarray(part.sample_sizes) for part in scored], axis=1)[:, kept]
  exact = walk.estimator in estimators.EXACT
  estimate = bounds.estimate(nats, positions, exact=exact, consecutive=consecutive)
  return Likelihood(
    estimate=estimate,
    terms=terms,
    numbers=numbers,
    nats=nats,
    positions=positions,
    estimator=walk.estimator,
    num_draws=walk.num_draws,
    num_replicates=walk.num_replicates,
    effective_sample_size=None if sizes is None else float(np.median(sizes)),
    anatomy=_dissect(scored) if scored[0].losses is not None else None,
    warnings=tuple(_warnings(nats, sizes, walk.num_draws)),
    law=walk.law,
    consecutive=consecutive,
    class_counts=np.asarray(sum(part.class_counts.astype(np.int64) for part in scored)),
  )


def _dissect(scored: list[Part]) -> Anatomy:
  losses = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *[part.losses for part in scored])
  position_counts = np.sum([part.position_counts for part in scored], axis=0)
  class_counts = np.sum([part.class_counts for part in scored], axis=0)
  with np.errstate(invalid="ignore", divide="ignore"):
    by_position = bounds.bits_per_position(losses.by_position, position_counts)
    by_class = bounds.bits_per_position(losses.by_class, class_counts)
  return Anatomy(
    bounds.bits_per_position(losses.by_time, float(position_counts.sum())),
    by_position,
    np.where(class_counts > 0, by_class, np.nan),
    class_counts,
  )


def _warnings(nats: np.ndarray, sizes: np.ndarray | None, num_draws: int) -> list[str]:
  lines = []
  if not np.isfinite(nats).all():
    lines.append(f"{int((~np.isfinite(nats).all(axis=0)).sum())} examples have no finite score")
  enough = min(LOW_SAMPLE_SIZE, _ALIKE * num_draws) if num_draws > 1 else LOW_SAMPLE_SIZE  # one draw shows nothing
  if sizes is not None and (size := float(np.median(sizes))) < enough:
    low = float((sizes < enough).mean())
    # S draws fall short of log p(x) by about 1 / (2 size) - 1 / (2 S) nats; a little is less than 1 / (2 * 10)
    little = num_draws > 1 and size >= 1 / (1 / LOW_SAMPLE_SIZE + 1 / num_draws)
    meaning = "more draws would tighten it a little" if little else "it is loose, so take more draws"
    lines.append(
      f"effective sample size {size:.1f} of {num_draws} draws (below {enough:g} for {low:.0%} of the examples): "
      f"the bound holds; {meaning}"
    )
  return lines


def _calls(walk: _Walk, at_once: int) -> Callable[..., estimators.Draws]:
  """Returns what one call of the devices is; see `estimators.compiled`. A memory goes from each to the next."""
  if walk.carried is None:
    return estimators.compiled(walk.model, walk.estimator, at_once, walk.spread, walk.law)
  begin, step = estimators.reading_on(walk.model, walk.carried, walk.spread)
  memories: list[PyTree] = []

  def read_on(params: PyTree, state: PyTree, batch: Batch, *_: Any) -> estimators.Draws:
    memory = memories.pop() if memories else begin(params, batch)
    draws, memory = step(params, state, batch, memory)
    memories.append(memory)
    return draws

  return read_on


@functools.lru_cache(maxsize=64)
def _counting(num_classes: int, spread: Spread) -> Callable[[Array, Array, Array], tuple[Array, ...]]:
  """Returns (x, scored, index) -> the numbers of the examples, the scored positions of each, the examples at each
  position, and the occurrences of each class; compiled, remembered."""

  def count(x: Array, scored: Array, index: Array) -> tuple[Array, ...]:
    counted = scored.astype(jnp.int32)
    by_class = jnp.zeros(num_classes, jnp.int32).at[x].add(counted)
    return index, sum_valid(counted), counted.sum(axis=0), by_class

  return spread.compiled(count)
