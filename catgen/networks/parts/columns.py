"""Categories to vectors and vectors to logits where every position has categories of its own, as columns of a table."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.meshes import gathered, spread
from catgen.networks.parts.linear import Init, initial


class ColumnEmbedding(nnx.Module):
  """A table with a row for each category of each position, and at each position for each token that is no category.

  Args:
    sizes: categories of each position, in row-major order.
    num_inputs: categories that come in; those from max(sizes) on, a mask or a start, are no category of the data.
    width: of a row; rows are drawn from N(0, 1).
    behind: whether what comes in at a position is the category of the position before it.
  """

  def __init__(self, sizes: tuple[int, ...], num_inputs: int, width: int, *, behind: bool, key: Key[Array, ""]) -> None:
    self.num_classes = max(sizes)
    self.sizes = (0, *sizes[:-1]) if behind else tuple(sizes)
    self.num_tokens = num_inputs - self.num_classes
    num_rows = sum(self.sizes) + self.num_tokens * len(sizes)
    self.embedding = nnx.Param(jax.random.normal(key, (num_rows, width)))

  def __call__(
    self, x: Int[Array, "batch *event"], position: Int[Array, ""] | None = None
  ) -> Float[Array, "batch *event width"]:
    """Returns the row of each category, in float32. position: of x [batch], numbered in row-major order; None: all."""
    sizes = jnp.asarray(self.sizes)
    rows = sizes + self.num_tokens
    offsets = jnp.cumsum(rows) - rows
    if position is None:
      sizes, offsets = (each.reshape(1, *x.shape[1:]) for each in (sizes, offsets))
    else:
      sizes, offsets = sizes[position], offsets[position]
    token = jnp.where(x < self.num_classes, x, sizes + x - self.num_classes)
    return spread(gathered(self.embedding[...])[offsets + token])


class ColumnHead(nnx.Module):
  """A linear layer of its own at each position, to logits of the categories that it has; -inf for all others.

  Positions of like sizes are multiplied together, so that one with many categories does not widen the others.

  Args:
    num_features: of a position.
    sizes: categories of each position, in row-major order.
    init: how it starts; see `Linear`.
  """

  def __init__(self, num_features: int, sizes: tuple[int, ...], *, init: Init, rngs: nnx.Rngs) -> None:
    self.sizes = tuple(sizes)
    kernel, bias = initial(init, num_features, sum(sizes), rngs)
    self.kernel, self.bias = nnx.Param(kernel.T), nnx.Param(bias)  # a row for each category

  def __call__(
    self, h: Float[Array, "batch *event features"], position: Int[Array, ""] | None = None
  ) -> Float32[Array, "batch *event classes"]:
    """Returns logits. position: of h [batch, features], numbered in row-major order; None: h has all positions."""
    kernel, bias = gathered(self.kernel[...]), gathered(self.bias[...])
    if position is not None:
      own = [jnp.asarray(each)[position][None] for each in _rows(self.sizes, np.arange(len(self.sizes)))]
      return spread(_logits(h[:, None], kernel[own[0]], bias[own[0]], own[1])[:, 0])
    flat, groups, found = h.reshape(len(h), len(self.sizes), -1), _groups(self.sizes), []
    for group in groups:
      rows, has = _rows(self.sizes, group)
      if len(group) == 1:  # a slice, whose gradient need not be added up row by row
        part = slice(rows[0, 0], rows[0, -1] + 1)
        logits = _logits(flat[:, group], kernel[part][None], bias[part][None], has)
      else:
        logits = _logits(flat[:, group], kernel[rows], bias[rows], has)
      absent = ((0, 0), (0, 0), (0, max(self.sizes) - logits.shape[-1]))
      found.append(jnp.pad(logits, absent, constant_values=-jnp.inf))
    whole = found[0] if len(groups) == 1 else jnp.concatenate(found, axis=1)[:, np.argsort(np.concatenate(groups))]
    return spread(whole.reshape(*h.shape[:-1], -1))


def _logits(
  h: Float[Array, "batch some features"],
  kernel: Float32[Array, "some classes features"],
  bias: Float32[Array, "some classes"],
  has: Bool[Array | np.ndarray, "some classes"],
) -> Float32[Array, "batch some classes"]:
  logits = jnp.einsum("bdf,dkf->bdk", h.astype(jnp.float32), kernel, precision=jax.lax.Precision.HIGHEST)
  return jnp.where(has[None], logits + bias[None], -jnp.inf)


def _groups(sizes: tuple[int, ...]) -> list[np.ndarray]:
  """Returns positions by powers of two of their sizes, or all as one group where that pads to at most twice as much."""
  if len(sizes) * max(sizes) <= 2 * sum(sizes):
    return [np.arange(len(sizes))]
  powers = np.array([(size - 1).bit_length() for size in sizes])
  return [np.flatnonzero(powers == power) for power in np.unique(powers)]


def _rows(sizes: tuple[int, ...], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the row of the table of each category of these positions, and whether they have it."""
  starts, own = np.cumsum(sizes)[positions] - np.array(sizes)[positions], np.array(sizes)[positions]
  categories = np.arange(own.max())
  has = categories < own[:, None]
  return np.where(has, starts[:, None] + categories, 0), has
