"""Draws examples in batches and describes them: unused codes, words that exist, how the frequencies compare."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen import meshes
from catgen.bounds import bits_per_position
from catgen.evaluation import shares
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.given import labels_of_each
from catgen.interfaces import Batch, InputError, Model, PyTree, SampleOptions, Samples
from catgen.keys import example_keys

DEFAULT_OPTIONS = SampleOptions()


class Frequencies(NamedTuple):
  """How often things occur in a set of examples; each sums to one."""

  classes: Float[np.ndarray, "classes"]
  pairs: "Pairs"  # a followed by b along the last axis, to the right in maps; below it in maps of one column
  pairs_below: "Pairs | None" = None  # b below a; None where events have one axis, one row or one column


class Pairs(NamedTuple):
  """Shares of those pairs of categories (a, b) that occur: of K^2 there may be very few."""

  codes: Int[np.ndarray, "seen"]  # a * K + b, ascending
  shares: Float[np.ndarray, "seen"]
  num_classes: int

  def among(self, categories: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n n"]:
    """Returns the shares of all pairs of some categories, given in ascending order."""
    pair = np.stack(np.divmod(self.codes, self.num_classes))
    inside = np.isin(pair, categories).all(axis=0)
    matrix = np.zeros((len(categories), len(categories)))
    matrix[tuple(np.searchsorted(categories, pair[:, inside]))] = self.shares[inside]
    return matrix


class Invalid(NamedTuple):
  """How much of what a model draws means no category, from samples."""

  positions: float  # share of the positions
  error: float  # its standard error over samples; NaN with one, see `shares.error`
  examples: float  # share of the samples with at least one such position: P(invalid)
  num_samples: int


def generate(
  model: Model,
  params: PyTree,
  state: PyTree,
  *,
  num_samples: int,
  batch_size: int,
  key: Array,
  given: Int[np.ndarray, "*samples attributes"] | None = None,
  options: SampleOptions = DEFAULT_OPTIONS,
  progress: Callable[[int], Any] = lambda count: None,
  stop: Callable[[], Any] = lambda: False,
  spread: Spread = ALONE,
) -> Samples:
  """Returns `num_samples` examples, on the host; number i is drawn from fold_in(key, i), whatever the batch size.

  Args:
    model, params, state: what to draw from.
    num_samples: at least 1.
    batch_size: examples at a time; one shape is compiled, and the surplus of the last batch is dropped.
    key: all randomness.
    given: labels of all samples together, or of each; None: nothing is given. See `given.label_numbers`.
    options: see `SampleOptions`.
    progress: called after each batch with the number of new examples.
    stop: asked after each batch; where it says True, the examples that are drawn by then are returned.
    spread: the devices that share the examples of a batch.
  """
  labels = None if given is None else labels_of_each(model.event, given, num_samples)
  draw = compiled(model, options, spread)

  def draw_some(numbers: Int[np.ndarray, "some"], keys: Array) -> Samples:
    own = None if labels is None else spread.put(labels[np.minimum(numbers, num_samples - 1)])
    return draw(params, keys, own, state)

  return in_batches(draw_some, num_samples, batch_size, key, progress, stop, spread)


def in_batches(
  draw: Callable[[Int[np.ndarray, "some"], Array], Samples],
  num_samples: int,
  batch_size: int,
  key: Array,
  progress: Callable[[int], Any] = lambda count: None,
  stop: Callable[[], Any] = lambda: False,
  spread: Spread = ALONE,
) -> Samples:
  """Returns so many draws on the host, whatever room the device has; see `generate`.

  Args:
    draw: (numbers of examples, their keys, spread over the devices) -> samples, as of `Spread.compiled`.
    num_samples, batch_size, key, progress, stop, spread: see `generate`.

  Raises:
    InputError: a number below 1, or more samples than this machine has memory for.
  """
  for name, number in (("num_samples", num_samples), ("batch_size", batch_size)):
    if number < 1:
      raise InputError(f"{name} is {number}; it must be at least 1")
  batch_size = spread.filled(min(batch_size, num_samples))
  found: Samples | None = None
  for start in range(0, num_samples, batch_size):
    numbers, size = np.arange(start, start + batch_size), min(batch_size, num_samples - start)
    part = fetch(draw(numbers, example_keys(key, jnp.asarray(spread.put(numbers)))))
    found = _room(part, num_samples) if found is None else found
    found.x[start : start + size], found.valid[start : start + size] = part.x[:size], part.valid[:size]
    if found.chain is not None:
      found.chain[:, start : start + size] = part.chain[:, :size]
    progress(size)
    if start + size < num_samples and stop():
      chain = None if found.chain is None else found.chain[:, : start + size]
      return Samples(found.x[: start + size], found.valid[: start + size], chain)
  assert found is not None
  return found


def _room(part: Samples, num_samples: int) -> Samples:
  """Returns empty arrays for all samples, of the shapes and types of some of them."""
  try:
    x, valid = (np.empty((num_samples, *each.shape[1:]), each.dtype) for each in part[:2])
    chain = part.chain if part.chain is None else np.empty((len(part.chain), *x.shape), part.chain.dtype)
    return Samples(x, valid, chain)
  except (MemoryError, ValueError) as error:  # the latter: more than any machine has
    raise InputError(
      f"there is no memory for num_samples = {num_samples:,} ({error}); draw fewer at a time, by another seed"
    ) from error


@functools.lru_cache(maxsize=16)
def compiled(model: Model, options: SampleOptions, spread: Spread = ALONE) -> Callable[..., Samples]:
  """Returns (params, keys, given, state) -> Samples, compiled, remembered; see `Model.sample`."""

  def draw(params: PyTree, keys: Array, given: Array | None, state: PyTree) -> Samples:
    return model.sample(params, meshes.spread(keys), given=meshes.spread(given), state=state, options=options)

  return spread.compiled(draw)


def invalid_share(valid: Bool[np.ndarray, "examples *event"]) -> Invalid:
  """Returns how much of `Samples.valid` is False."""
  flat = ~valid.reshape(len(valid), -1)
  error = shares.error(flat.sum(axis=1), np.full(len(flat), flat.shape[1]))
  return Invalid(float(flat.mean()), error, float(flat.any(axis=1).mean()), len(flat))


def frequencies(examples: Batch | Samples, num_classes: int) -> Frequencies:
  """Returns the frequencies of categories and of neighboring pairs of them, over the valid positions."""
  x, valid = np.asarray(examples.x), np.asarray(examples.valid)

  def pairs(axis: int) -> Pairs:
    along, known = np.moveaxis(x, axis, -1), np.moveaxis(valid, axis, -1)
    codes = along[..., :-1].astype(np.int64) * num_classes + along[..., 1:]
    seen, counts = np.unique(codes[known[..., 1:] & known[..., :-1]], return_counts=True)
    return Pairs(seen, counts / max(1, counts.sum()), num_classes)

  counts = np.bincount(x[valid], minlength=num_classes)
  both = x.ndim > 2 and min(x.shape[-2:]) > 1
  first = -2 if x.ndim > 2 and x.shape[-1] == 1 else -1
  return Frequencies(counts / max(1, counts.sum()), pairs(first), pairs(-2) if both else None)


def divergence(p: Float[np.ndarray, "outcomes"] | Pairs, q: Float[np.ndarray, "outcomes"] | Pairs) -> float:
  """Returns the Jensen-Shannon divergence H((p + q) / 2) - (H(p) + H(q)) / 2 in bits, 0 (same) to 1 (disjoint).

  Between frequencies of finite samples it is above zero even where both come from one distribution.
  """
  one, other = _over_both(p, q) if isinstance(p, Pairs) and isinstance(q, Pairs) else map(np.asarray, (p, q))
  return max(0.0, entropy((one + other) / 2) - (entropy(one) + entropy(other)) / 2)


def entropy(p: Float[np.ndarray, "outcomes"]) -> float:
  """Returns the entropy of a distribution in bits."""
  positive = p[p > 0]
  return bits_per_position(float(-(positive * np.log(positive)).sum()), 1.0)


def word_rate(texts: Iterable[str], vocabulary: set[str] | frozenset[str]) -> tuple[int, int]:
  """Returns (words found in the vocabulary, words) less those at the border of a text, which may lack characters."""
  words = [word for text in texts for word in whole_words(text)]
  return sum(word in vocabulary for word in words), len(words)


def whole_words(text: str) -> list[str]:
  """Returns the maximal runs of characters other than white space that have white space on both sides."""
  return f"|{text}|".split()[1:-1]


def _over_both(p: Pairs, q: Pairs) -> tuple[Float[np.ndarray, "seen"], Float[np.ndarray, "seen"]]:
  """Returns both shares of the pairs that occur in either."""
  codes = np.union1d(p.codes, q.codes)
  both = np.zeros((2, len(codes)))
  for row, pairs in zip(both, (p, q), strict=True):
    row[np.searchsorted(codes, pairs.codes)] = pairs.shares
  return both[0], both[1]
