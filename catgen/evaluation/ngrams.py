"""Counts as honest baselines: n-gram models of one-dimensional events with interpolated Kneser-Ney smoothing.

The model of order m predicts a category from the m - 1 before it. With n the count of an n-gram, n1+ the number of
distinct categories seen before it, and discounts D for counts 1, 2 and >= 3 (Chen & Goodman, 1999, Eq. 17-18),

    p_m(w | c)  = [n(c w) - D]+ / n(c)  +  released(c) / n(c) * k_{m-1}(w | c')     the longest order: counts
    k_j(w | c)  = the same with n1+ in place of n                                   the orders below: continuations
    k_0(w)      = 1 / K

so every distribution sums to one and no category has probability zero. All numbers come from the training split; none
is tuned on held-out data. A position near the start of an example has a short context and is predicted by the model of
that order: held-out examples are scored alone, exactly as the diffusion models see them.
On text8 this was the best of six variants tried (Witten-Bell, one or three discounts; raw or continuation counts).
`neighbor_counts` makes models of maps of the same tables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt64

from catgen import bounds
from catgen.batches import batch_of, scored_positions
from catgen.interfaces import Batch, InputError
from catgen.sources import Split

LONGEST = 5  # of what is counted without being asked for an order


class Table(NamedTuple):
  """Counts of the n-grams of one order, packed as integers in some base, the oldest category first."""

  grams: UInt64[np.ndarray, "grams"]  # ascending
  counts: Int[np.ndarray, "grams"]
  discounts: Float[np.ndarray, "4"]  # subtracted from a count of 0, 1, 2, >= 3
  contexts: UInt64[np.ndarray, "contexts"]  # ascending; a gram without its last category
  totals: Int[np.ndarray, "contexts"]
  released: Float[np.ndarray, "contexts"]  # the sum of what was subtracted


class NGrams(NamedTuple):
  """A fitted model of every order up to len(counts)."""

  num_classes: int
  base: int  # of the packed grams: num_classes, or more where contexts hold other symbols too
  counts: tuple[Table, ...]  # entry m - 1: n-grams of order m by their counts
  continuations: tuple[Table, ...]  # entry m - 1: by the number of distinct symbols before them; one order fewer


def training_rows(split: Split, max_positions: int = 20_000_000) -> Batch:
  """Returns the training data as a batch of rows: a stream as one unbroken row, records as one row each.

  Only about the first `max_positions` are read: counting takes about 0.4 s and 100 MB for each million.
  """
  length = split.examples(np.arange(1)).x.shape[1]
  if split.stride is None:
    return split.examples(np.arange(min(split.num_examples, max(1, max_positions // length))))
  last = min(split.num_crops - 1, max(0, max_positions - length))
  starts = np.arange(0, last + 1, length)
  first = split.crops(starts)
  tail = last - starts[-1]  # what the crops at multiples of the length leave over
  rest = split.crops(np.array([last]))
  x, valid = (
    np.concatenate([whole.reshape(1, -1), cut[:, length - tail :]], axis=1)
    for whole, cut in ((first.x, rest.x), (first.valid, rest.valid))
  )
  return batch_of(x, valid)


def of_training(split: Split, num_classes: int) -> NGrams:
  """Returns the models of a training split, of the orders up to `longest`."""
  return fit(training_rows(split), order=longest(num_classes), num_classes=num_classes)


def longest(num_classes: int) -> int:
  """Returns the order of 5-grams, or with very many categories the largest that fits."""
  return min(LONGEST, largest_order(num_classes))


def fit(rows: Batch, *, order: int, num_classes: int) -> NGrams:
  """Returns the models of orders 1..order. N-grams lie within a row and never span an invalid position.

  Raises:
    InputError: num_classes ** order does not fit in 63 bits, or there is nothing to count.
  """
  check_order(order, num_classes)
  if not rows.valid.any():
    raise InputError("the training split has no valid position to count")
  grams, runs = _pack(rows.x, order, num_classes), _run_lengths(rows.valid)
  types = [np.unique(grams[m - 1][runs >= m], return_counts=True) for m in range(1, order + 1)]
  return smoothed([counted for counted in types if counted[0].size], num_classes=num_classes, base=num_classes)


def smoothed(
  types: Sequence[tuple[UInt64[np.ndarray, "_"], Int[np.ndarray, "_"]]], *, num_classes: int, base: int
) -> NGrams:
  """Returns the models of counted grams: entry m - 1 has those of order m, packed in `base`, and their counts."""
  counts = tuple(_table(grams, times, base) for grams, times in types)
  shorter = [np.unique(grams % np.uint64(base**m), return_counts=True) for m, (grams, _) in enumerate(types[1:], 1)]
  return NGrams(num_classes, base, counts, tuple(_table(grams, times, base) for grams, times in shorter))


def check_order(order: int, base: int) -> None:
  """Raises InputError unless grams of this order fit in 63 bits."""
  if not 1 <= order <= largest_order(base):
    raise InputError(f"an n-gram order of {order} is not possible with {base} categories: lower the order")


def largest_order(base: int) -> int:
  """Returns the largest order whose grams fit in 63 bits; of a single category, whose grams are all 0, that of two.

  Example:
    >>> largest_order(27), largest_order(256), largest_order(50_257)
    (13, 7, 4)
  """
  base, order = max(base, 2), 1
  while base ** (order + 1) < 2**63:
    order += 1
  return order


def log_prob(model: NGrams, rows: Batch, *, order: int) -> Float[np.ndarray, "rows length"]:
  """Returns log p(category | the up to order - 1 valid ones just before it in its row) in nats; 0 where invalid."""
  order = min(order, len(model.counts))
  grams, runs = _pack(rows.x, order, model.num_classes), np.minimum(_run_lengths(rows.valid), order)
  nats = np.zeros(rows.x.shape)
  for m in range(1, order + 1):
    nats[runs == m] = np.log(probability(model, grams[m - 1][runs == m], m))
  return nats


def score(model: NGrams, batch: Batch, *, order: int, consecutive: bool = False) -> bounds.Estimate:
  """Returns the cross-entropy of held-out examples in bits per scored position, with its error over examples.

  consecutive: whether these are pieces of one stream, in its order; see `bounds.ratio_error`.
  """
  scored = scored_positions(batch)
  nats, positions = np.where(scored, log_prob(model, batch, order=order), 0.0).sum(axis=1), scored.sum(axis=1)
  return bounds.estimate(nats[None], positions, exact=True, consecutive=consecutive)


def probability(model: NGrams, grams: UInt64[np.ndarray, "n"], order: int) -> Float[np.ndarray, "n"]:
  """Returns the probability of the last category of each gram given the others."""
  found = np.full(grams.shape, 1.0 / model.num_classes)
  tables = (*model.continuations[: order - 1], model.counts[order - 1])
  for m, table in enumerate(tables, start=1):
    gram = grams % np.uint64(model.base**m)
    count = look_up(table.grams, table.counts, gram)
    context = gram // np.uint64(model.base)
    total, released = (look_up(table.contexts, values, context) for values in (table.totals, table.released))
    kept = count - table.discounts[np.minimum(count, 3)] + released * found
    found = np.where(total > 0, kept / np.maximum(total, 1), found)
  return found


def _pack(x: np.ndarray, order: int, num_classes: int) -> list[np.ndarray]:
  """Returns for m = 1..order the m-gram that ends at each position; meaningless where a row has too few before it."""
  categories = x.astype(np.uint64)
  packed = [categories]
  for _ in range(1, order):
    longer = categories.copy()
    longer[:, 1:] += packed[-1][:, :-1] * np.uint64(num_classes)
    packed.append(longer)
  return packed


def _run_lengths(valid: np.ndarray) -> np.ndarray:
  """Returns how many valid positions in a row end at each position, itself included; 0 where invalid."""
  number = np.broadcast_to(np.arange(valid.shape[1]), valid.shape)
  return number - np.maximum.accumulate(np.where(valid, -1, number), axis=1)


def _table(grams: np.ndarray, counts: np.ndarray, base: int) -> Table:
  discounts = _discounts(counts)
  contexts = grams // np.uint64(base)
  starts = np.flatnonzero(np.r_[True, contexts[1:] != contexts[:-1]])
  released = np.add.reduceat(discounts[np.minimum(counts, 3)], starts)
  return Table(grams, counts, discounts, contexts[starts], np.add.reduceat(counts, starts), released)


def _discounts(counts: np.ndarray) -> np.ndarray:
  """Returns the three discounts that the numbers of n-grams seen once to four times suggest; 1/2 where those are 0."""
  once, twice, thrice, four = ((counts == times).sum() for times in (1, 2, 3, 4))
  if once == 0 or twice == 0:
    return np.array([0.0, 0.5, 0.5, 0.5])
  ratio = once / (once + 2 * twice)
  estimates = [0.0, 1 - 2 * ratio * twice / once, 2 - 3 * ratio * thrice / twice, 3 - 4 * ratio * four / max(thrice, 1)]
  return np.clip(estimates, [0.0, 0.01, 0.01, 0.01], [0.0, 0.99, 1.99, 2.99])


def look_up(
  keys: UInt64[np.ndarray, "keys"], values: Shaped[np.ndarray, "keys"], wanted: UInt64[np.ndarray, "*n"]
) -> Shaped[np.ndarray, "*n"]:
  """Returns the value of each wanted key, 0 where it is absent; keys are ascending."""
  found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
  return np.where(keys[found] == wanted, values[found], 0)
