"""Draws examples in batches and describes them: unused codes, words that exist, how the frequencies compare."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen.bounds import bits_per_position
from catgen.interfaces import InputError, Model, PyTree, SampleOptions, Samples, example_keys

DEFAULT_OPTIONS = SampleOptions()


class Description(NamedTuple):
  """Samples beside data. Divergences are Jensen-Shannon, in bits, 0 (same) to 1 (disjoint)."""

  num_samples: int
  invalid_fraction: float  # of all positions: codes that mean no category
  entropy: float  # of a single position's category, bits
  data_entropy: float
  class_divergence: float  # between frequencies of categories
  pair_divergence: float  # between frequencies of neighboring pairs along the last axis; finite samples raise it


def generate(
  model: Model,
  params: PyTree,
  state: PyTree,
  *,
  num_samples: int,
  batch_size: int,
  key: Array,
  options: SampleOptions = DEFAULT_OPTIONS,
  progress: Callable[[int], Any] = lambda count: None,
) -> Samples:
  """Returns `num_samples` examples; number i is drawn from fold_in(key, i), whatever the batch size.

  Args:
    model, params, state: what to draw from.
    num_samples: at least 1.
    batch_size: examples at a time; one shape is compiled, and the surplus of the last batch is dropped.
    key: all randomness.
    options: see `SampleOptions`.
    progress: called after each batch with the number of new examples.
  """
  if num_samples < 1 or batch_size < 1:
    raise InputError("num_samples and batch_size must be at least 1")
  batch_size = min(batch_size, num_samples)
  draw, parts = _compiled(model, options), []
  for start in range(0, num_samples, batch_size):
    part = draw(params, example_keys(key, jnp.arange(start, start + batch_size)), state)
    parts.append(jax.block_until_ready(part))
    progress(min(batch_size, num_samples - start))
  chain = None
  if parts[0].chain is not None:
    chain = jnp.concatenate([part.chain for part in parts], axis=1)[:, :num_samples]
  x, valid = (jnp.concatenate([getattr(part, name) for part in parts])[:num_samples] for name in ("x", "valid"))
  return Samples(x, valid, chain)


@functools.lru_cache(maxsize=16)
def _compiled(model: Model, options: SampleOptions) -> Callable[..., Samples]:
  return jax.jit(lambda params, keys, state: model.sample(params, keys, state=state, options=options))


def describe(
  x: Int[np.ndarray, "samples *event"],
  valid: Bool[np.ndarray, "samples *event"],
  data: Int[np.ndarray, "examples *event"],
  data_valid: Bool[np.ndarray, "examples *event"],
  num_classes: int,
) -> Description:
  """Returns statistics of samples beside those of data, best the training split; more data than samples is no harm."""
  ours, theirs = (_frequencies(*pair, num_classes) for pair in ((x, valid), (data, data_valid)))
  return Description(
    num_samples=len(x),
    invalid_fraction=float(1.0 - valid.mean()),
    entropy=_entropy(ours),
    data_entropy=_entropy(theirs),
    class_divergence=divergence(ours, theirs),
    pair_divergence=divergence(_pairs(x, valid, num_classes), _pairs(data, data_valid, num_classes)),
  )


def divergence(p: Float[np.ndarray, "outcomes"], q: Float[np.ndarray, "outcomes"]) -> float:
  """Returns the Jensen-Shannon divergence H((p + q) / 2) - (H(p) + H(q)) / 2 in bits."""
  return max(0.0, _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)


def word_rate(texts: Iterable[str], vocabulary: set[str] | frozenset[str]) -> tuple[int, int]:
  """Returns (words found in the vocabulary, words); a word that touches the border of a text may be cut: left out."""
  words = [word for text in texts for word in whole_words(text)]
  return sum(word in vocabulary for word in words), len(words)


def whole_words(text: str) -> list[str]:
  """Returns the maximal runs of non-spaces that have white space on both sides."""
  return f"|{text}|".split()[1:-1]


def _frequencies(x: np.ndarray, valid: np.ndarray, num_classes: int) -> np.ndarray:
  counts = np.bincount(x[valid], minlength=num_classes)
  return counts / max(1, counts.sum())


def _pairs(x: np.ndarray, valid: np.ndarray, num_classes: int) -> np.ndarray:
  both = valid[..., 1:] & valid[..., :-1]
  codes = x[..., :-1].astype(np.int64) * num_classes + x[..., 1:]
  return _frequencies(codes, both, num_classes**2)


def _entropy(p: np.ndarray) -> float:
  positive = p[p > 0]
  return bits_per_position(float(-(positive * np.log(positive)).sum()), 1.0)
