"""The gated PixelCNN: convolutions over the pixels above and to the left, for exact likelihoods of maps."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError
from catgen.keys import fold_in
from catgen.meshes import gathered
from catgen.networks.conditions import Conditions
from catgen.networks.parts.convolution import WithinConvolution, blank_invalid
from catgen.networks.parts.dropout import check_rate, dropout
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.trunk import Abilities, Ends

Maps = Float[Array, "batch height width features"]
Padded = Float[Array, "batch padded_height padded_width features"]
Gates = Float[Array, "batch height width gates"]


class LayerCache(NamedTuple):
  """What one layer keeps while decoding."""

  above: Float[Array, "batch rows width features"]  # what the vertical stack read of the rows before
  across: Float[Array, "batch width gates"]  # what this row of the vertical stack tells the horizontal one
  left: Float[Array, "batch columns features"]  # what the horizontal stack read in this row


class Cache(NamedTuple):
  """What a PixelCNN keeps while decoding."""

  row: Float[Array, "batch width features"]  # of the pixels that have come in this row
  layers: tuple[LayerCache, ...]


class GatedLayer(nnx.Module):
  """One layer of both stacks, each tanh(a) sigmoid(b) of a convolution.

  The vertical stack sees windows of (size + 1) / 2 rows and `size` columns that end at the own row, the horizontal one
  (size + 1) / 2 columns that end at the own pixel; it is told what the vertical one gives and adds to what it reads.
  """

  def __init__(self, width: int, size: int, *, rate: float, dtype: np.dtype, rngs: nnx.Rngs) -> None:
    self.before, self.rate = size // 2, rate
    self.vertical = WithinConvolution(width, 2 * width, (self.before + 1, size), dtype=dtype, rngs=rngs)
    self.horizontal = WithinConvolution(width, 2 * width, (1, self.before + 1), dtype=dtype, rngs=rngs)
    self.across = Linear(width, 2 * width, init="uniform", dtype=dtype, rngs=rngs)
    self.output = Linear(width, width, init="uniform", dtype=dtype, rngs=rngs)

  def __call__(self, v: Maps, h: Maps, keys: Array | None) -> tuple[Maps, Maps]:
    """Returns what the vertical and the horizontal stack give."""
    v = self._vertical(jnp.pad(v, ((0, 0), (self.before, 0), (0, 0), (0, 0))))
    padded = jnp.pad(h, ((0, 0), (0, 0), (self.before, 0), (0, 0)))
    return v, h + self._horizontal(padded, self.across(v), keys)

  def init_cache(self, batch_size: int, num_columns: int) -> LayerCache:
    """Returns what is kept before the first pixel: zeros."""
    gates = self.across.kernel.shape[-1]
    zeros = [(batch_size, self.before, num_columns, gates // 2), (batch_size, num_columns, gates)]
    shapes = [*zeros, (batch_size, self.before, gates // 2)]
    return LayerCache(*(jnp.zeros(shape, self.vertical.dtype) for shape in shapes))

  def begin_row(self, row: Float[Array, "batch width features"], cache: LayerCache) -> tuple[Array, LayerCache]:
    """Returns a row of the vertical stack, of what it reads, and what is kept at the begin of that row."""
    seen = jnp.concatenate([cache.above, row[:, None]], axis=1)
    made = self._vertical(seen)[:, 0]
    return made, LayerCache(seen[:, 1:], self.across(made), jnp.zeros_like(cache.left))

  def decode(
    self, h: Float[Array, "batch features"], cache: LayerCache, column: Int[Array, ""]
  ) -> tuple[Float[Array, "batch features"], LayerCache]:
    """Returns what the horizontal stack gives at a column, of what it reads there."""
    seen = jnp.concatenate([cache.left, h[:, None]], axis=1)
    told = jax.lax.dynamic_slice_in_dim(cache.across, column, 1, axis=1)
    change = self._horizontal(seen[:, None], told[:, None], None)
    return h + change[:, 0, 0], cache._replace(left=seen[:, 1:])

  def _vertical(self, padded: Padded) -> Maps:
    side = self.before
    return _gated(self.vertical(jnp.pad(padded, ((0, 0), (0, 0), (side, side), (0, 0)))))

  def _horizontal(self, padded: Padded, told: Gates, keys: Array | None) -> Maps:
    return self.output(dropout(keys, _gated(self.horizontal(padded) + told), self.rate))


def _gated(h: Gates) -> Maps:
  value, gate = jnp.split(h, 2, axis=-1)
  return jnp.tanh(value) * jax.nn.sigmoid(gate)


class PixelCNN(nnx.Module):
  """Gated layers, then a perceptron with one ReLU layer; every pixel before the own one is seen, and no other.

  The horizontal stack reads the pixel to the left as its own, and the first row of the vertical stack is that above:
  so no layer needs a mask, and what stands before the first column is the end of the row above.

  Args:
    width: features of a position in both stacks.
    num_layers: gated layers. Pixels further away than about num_layers * (size - 1) / 2 are not seen.
    size: of the windows, odd: that many columns.
    dropout: probability, in training, of a gated feature of the horizontal stack.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.

  Raises:
    InputError: an even size.

  Reference: van den Oord et al. (2016), Conditional Image Generation with PixelCNN Decoders.
  """

  abilities = Abilities(causal=True, num_axes=2, only_causal=True)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    width: int = 64,
    num_layers: int = 10,
    size: int = 3,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    if size % 2 == 0:
      raise InputError(f"size {size} of a pixel_cnn must be odd")
    self.dtype, self.event_shape = compute_dtype(dtype), ends.event_shape
    self.num_inputs = self.num_outputs = width
    self.read_in, self.head, rate = None, None, check_rate(dropout)
    self.layers = nnx.List([GatedLayer(width, size, rate=rate, dtype=self.dtype, rngs=rngs) for _ in range(num_layers)])
    self.hidden = Linear(width, width, init="uniform", dtype=self.dtype, rngs=rngs)

  def __call__(
    self, h: Float[Array, "batch height width inputs"], conditions: Conditions
  ) -> Float32[Array, "batch height width outputs"]:
    """See `Trunk`."""
    h = blank_invalid(h, conditions.valid).astype(self.dtype)
    v = self._rows_above(h)
    for number, layer in enumerate(self.layers):
      v, h = layer(v, h, fold_in(conditions.keys, number))
    return self._outputs(h)

  def init_cache(self, batch_size: int) -> Cache:
    """See `CausalTrunk.init_cache`; of the vertical stack some rows are kept, of the horizontal one some columns."""
    columns = self.event_shape[1]
    row = jnp.zeros((batch_size, columns, self.num_inputs), self.dtype)
    return Cache(row, tuple(layer.init_cache(batch_size, columns) for layer in self.layers))

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: Cache, position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], Cache]:
    """See `CausalTrunk.decode`. At the begin of a row the vertical stack works out all of it."""
    h = h.astype(self.dtype)
    columns = self.event_shape[1]
    came = jax.lax.dynamic_update_slice_in_dim(cache.row, h[:, None], (position - 1) % columns, axis=1)
    cache = cache._replace(row=jnp.where(position > 0, came, cache.row))
    column = position % columns
    graph, parameters = nnx.split(self.layers)
    layers = nnx.merge(graph, jax.tree.map(gathered, parameters))  # once, not at the begin of each row
    cache = jax.lax.cond(column == 0, lambda: _begin_row(layers, cache), lambda: cache)
    kept = []
    for layer, own in zip(layers, cache.layers, strict=True):
      h, own = layer.decode(h, own, column)
      kept.append(own)
    return self._outputs(h), cache._replace(layers=tuple(kept))

  def _rows_above(self, h: Maps) -> Maps:
    """Returns what came of the row above every pixel: one that came is read one position later, and so `h` holds it."""
    columns = self.event_shape[1]
    flat = h.reshape(len(h), -1, h.shape[-1])
    first = jnp.zeros_like(flat[:, :columns])
    return jnp.concatenate([first, flat[:, 1 : flat.shape[1] - columns + 1]], axis=1).reshape(h.shape)

  def _outputs(self, h: Float[Array, "*positions features"]) -> Float32[Array, "*positions features"]:
    return jax.nn.relu(self.hidden(jax.nn.relu(h))).astype(jnp.float32)


def _begin_row(layers: Iterable[GatedLayer], cache: Cache) -> Cache:
  """Returns what is kept when the row above has come as a whole."""
  row, kept = cache.row, []
  for layer, own in zip(layers, cache.layers, strict=True):
    row, own = layer.begin_row(row, own)
    kept.append(own)
  return cache._replace(layers=tuple(kept))
