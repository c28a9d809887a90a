"""Categories to vectors and vectors to logits where every position has categories of its own, as columns of a table."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, Key

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
    sizes, categories = np.array(self.sizes)[:, None], np.arange(max(self.sizes))
    has = jnp.asarray(categories < sizes)
    rows = jnp.asarray(np.where(categories < sizes, np.cumsum(sizes)[:, None] - sizes + categories, 0))
    if position is not None:
      rows, has = rows[position][None], has[position][None]
    kernel, bias = gathered(self.kernel[...])[rows], gathered(self.bias[...])[rows]
    flat = h.reshape(len(h), len(rows), -1).astype(jnp.float32)
    logits = jnp.einsum("bdf,dkf->bdk", flat, kernel, precision=jax.lax.Precision.HIGHEST) + bias[None]
    return spread(jnp.where(has[None], logits, -jnp.inf).reshape(*h.shape[:-1], -1))
