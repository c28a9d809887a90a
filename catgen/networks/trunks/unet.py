"""The default trunk of maps: convolutions at fine resolutions around a transformer at the coarsest."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Key

from catgen.keys import fold_in
from catgen.networks.conditions import Conditions
from catgen.networks.parts.convolution import Convolution, blank_invalid, check_multiple
from catgen.networks.parts.dropout import dropout
from catgen.networks.parts.layers import Layers
from catgen.networks.parts.linear import Init, Linear
from catgen.networks.parts.norm import ModulatedNorm, Modulation, modulated_norm
from catgen.networks.parts.precision import compute_dtype
from catgen.networks.parts.rotary import rotation_angles
from catgen.networks.parts.sizes import block_sizes
from catgen.networks.parts.time import TimeMLP
from catgen.networks.trunk import Abilities, Ends


class ConvBlock(nnx.Module):
  """h + conv(silu(norm(conv(silu(norm(h)))))), norms modulated by time, the last convolution zero at first."""

  def __init__(
    self, num_inputs: int, num_outputs: int, *, time_width: int | None, rate: float, dtype: np.dtype, rngs: nnx.Rngs
  ) -> None:
    self.rate = rate
    self.first_modulation = Modulation(num_inputs, 2, time_width=time_width)
    self.first = Convolution(num_inputs, num_outputs, dtype=dtype, rngs=rngs)
    self.second_modulation = Modulation(num_outputs, 2, time_width=time_width)
    self.second = Convolution(num_outputs, num_outputs, zeros=True, dtype=dtype, rngs=rngs)
    same = num_inputs == num_outputs
    self.skip = None if same else Linear(num_inputs, num_outputs, use_bias=False, dtype=dtype, rngs=rngs)

  def __call__(
    self,
    h: Float[Array, "batch height width inputs"],
    time: Float[Array, "batch time_width"] | None,
    keys: Key[Array, "batch"] | None,
  ) -> Float[Array, "batch height width outputs"]:
    """Returns features of every position; keys = None means no dropout."""
    inner = self.first(_activated(h, self.first_modulation, time))
    inner = _activated(inner, self.second_modulation, time)
    return (h if self.skip is None else self.skip(h)) + self.second(dropout(keys, inner, self.rate))


def _activated(h: Array, modulation: Modulation, time: Array | None) -> Array:
  flat = h.reshape(len(h), -1, h.shape[-1])
  return jax.nn.silu(modulated_norm(flat, *modulation(time))).reshape(h.shape)


class PatchHead(nnx.Module):
  """Outputs of every position of a patch, linear in the patch's features."""

  def __init__(self, num_inputs: int, num_outputs: int, side: int, init: Init, *, rngs: nnx.Rngs) -> None:
    self.side = side
    self.output = Linear(num_inputs, num_outputs * side**2, init=init, rngs=rngs)

  def __call__(self, h: Float32[Array, "batch rows columns features"]) -> Float32[Array, "batch height width outputs"]:
    """Returns outputs at the resolution of the positions."""
    return _scattered(self.output(h), self.side)


class UNet(nnx.Module):
  """The default trunk of maps: patches, convolutional levels down, a transformer with rotary positions, levels up.

  Heights and widths are multiples of patch_size * 2^(len(widths) - 1). Places are told apart by a learned vector each,
  added to the patches: maps, unlike textures, have an up and a down. With patches, features are those of places of the
  finest level, and the trunk's own head makes outputs of positions of them.

  Args:
    widths: features of each level, finest first; the transformer works at the last, where width / num_heads is even.
    num_blocks: convolutional blocks of a level on the way down, and again on the way up.
    patch_size: side of the square of positions that becomes one place of the finest level: 2 is four times cheaper.
    num_layers: of the transformer.
    num_heads: of its attention.
    time_width: features of the time vector, even; unused where no time is told.
    dropout: probability, in training, inside every block.
    dtype: "float32" or "bfloat16", of activations; parameters and outputs stay float32.
    remat: what of the transformer's activations is computed again in the backward pass: "none", "full" or "dots".

  Reference: Ho et al. (2020) for the U-Net, Hoogeboom et al. (2023) for a transformer at its coarsest level.
  """

  abilities = Abilities(time=True, num_axes=2)

  def __init__(
    self,
    ends: Ends,
    *,
    rngs: nnx.Rngs,
    widths: Sequence[int] = (32, 64, 128),
    num_blocks: int = 1,
    patch_size: int = 1,
    num_layers: int = 4,
    num_heads: int = 4,
    time_width: int = 128,
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: str = "none",
  ) -> None:
    check_multiple(ends.event_shape, patch_size * 2 ** (len(widths) - 1), "unet")
    self.patch, self.dtype = patch_size, compute_dtype(dtype)
    sizes = block_sizes(
      width=widths[-1],
      num_heads=num_heads,
      mlp_ratio=8 / 3,
      hidden_multiple=8,
      time_width=time_width if ends.timed else None,
      dropout=dropout,
      dtype=dtype,
    )
    fine = tuple(size // patch_size for size in ends.event_shape)
    self.angles = (tuple(size >> (len(widths) - 1) for size in fine), widths[-1] // num_heads)
    rotation_angles(*self.angles)  # refuses what cannot rotate before anything is built
    linear = functools.partial(Linear, dtype=self.dtype, rngs=rngs)
    block = functools.partial(ConvBlock, time_width=sizes.time_width, rate=dropout, dtype=self.dtype, rngs=rngs)
    self.num_inputs, self.num_outputs, self.read_in = widths[0] // patch_size, widths[0], None
    self.patches = linear(self.num_inputs * patch_size**2, widths[0])
    self.places = nnx.Param(0.02 * jax.random.normal(rngs.params(), (*fine, widths[0])))
    self.time: Any = TimeMLP(time_width, rngs=rngs) if ends.timed else None
    steps = list(itertools.pairwise(widths))
    self.down = nnx.List([nnx.List([block(w, w) for _ in range(num_blocks)]) for w, _ in steps])
    self.halve = nnx.List([linear(4 * w, coarse) for w, coarse in steps])
    self.middle = Layers(sizes, num_layers, remat=remat, scan_layers=False, rngs=rngs)
    self.double = nnx.List([linear(coarse, 4 * w) for w, coarse in steps])
    self.up = nnx.List([nnx.List([block(w if i else 2 * w, w) for i in range(num_blocks)]) for w, _ in steps])
    self.norm = ModulatedNorm(widths[0], time_width=sizes.time_width)
    patched = patch_size > 1
    self.head = PatchHead(widths[0], ends.num_outputs, patch_size, ends.init, rngs=rngs) if patched else None

  def __call__(
    self, h: Float[Array, "batch height width inputs"], conditions: Conditions
  ) -> Float32[Array, "batch rows columns outputs"]:
    """See `Trunk`; rows and columns are those of the finest level."""
    vector = None if conditions.time is None else self.time(conditions.time)
    h = _gathered(blank_invalid(h, conditions.valid).astype(self.dtype), self.patch)
    h = (self.patches(h).astype(jnp.float32) + self.places[...][None]).astype(self.dtype)
    skips = []
    for level, blocks in enumerate(self.down):
      h = _through(blocks, h, vector, conditions.keys, 2 * level)
      skips.append(h)
      h = self.halve[level](_gathered(h, 2))
    angles = jnp.asarray(rotation_angles(*self.angles), jnp.float32)
    middle_keys = fold_in(conditions.keys, 2 * len(skips))
    met = Conditions(time=vector, keys=middle_keys)
    h = self.middle(h.reshape(len(h), -1, h.shape[-1]), angles, met).reshape(h.shape)
    for level in reversed(range(len(self.up))):
      h = jnp.concatenate([_scattered(self.double[level](h), 2), skips[level]], axis=-1)
      h = _through(self.up[level], h, vector, conditions.keys, 2 * level + 1)
    return self.norm(h.reshape(len(h), -1, h.shape[-1]), vector).reshape(h.shape)


def _through(blocks: nnx.List, h: Array, time: Array | None, keys: Array | None, number: int) -> Array:
  for i, block in enumerate(blocks):
    h = block(h, time, fold_in(fold_in(keys, 1000 + number), i))
  return h


def _gathered(
  h: Float[Array, "batch height width features"], side: int
) -> Float[Array, "batch rows columns block_features"]:
  """Returns the features of every side x side block side by side, on a map of blocks."""
  batch, height, width, features = h.shape
  blocks = h.reshape(batch, height // side, side, width // side, side, features).transpose(0, 1, 3, 2, 4, 5)
  return blocks.reshape(batch, height // side, width // side, -1)


def _scattered(
  h: Float[Array, "batch rows columns block_features"], side: int
) -> Float[Array, "batch height width features"]:
  """Returns the features of blocks at their own places: the inverse of `_gathered`."""
  batch, rows, columns, features = h.shape
  blocks = h.reshape(batch, rows, columns, side, side, features // side**2).transpose(0, 1, 3, 2, 4, 5)
  return blocks.reshape(batch, rows * side, columns * side, -1)
