"""The default network of maps: convolutions at fine resolutions around a transformer at the coarsest."""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.keys import fold_in
from catgen.networks.blocks import Head
from catgen.networks.conditioning import TimeMLP, dropout
from catgen.networks.convolution import blank_invalid, check_map, convolution
from catgen.networks.embedding import Embedding
from catgen.networks.layers import Layers
from catgen.networks.linear import Linear
from catgen.networks.modulation import Modulation, modulated_norm
from catgen.networks.precision import compute_dtype
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import block_sizes


class ConvBlock(nnx.Module):
  """h + conv(silu(norm(conv(silu(norm(h)))))), norms modulated by time, the last convolution zero at first."""

  def __init__(
    self, num_inputs: int, num_outputs: int, *, time_width: int, rate: float, dtype: np.dtype, rngs: nnx.Rngs
  ) -> None:
    self.rate = rate
    self.first_modulation = Modulation(num_inputs, 2, time_width=time_width)
    self.first = convolution(num_inputs, num_outputs, dtype=dtype, rngs=rngs)
    self.second_modulation = Modulation(num_outputs, 2, time_width=time_width)
    self.second = convolution(num_outputs, num_outputs, zeros=True, dtype=dtype, rngs=rngs)
    same = num_inputs == num_outputs
    self.skip = None if same else Linear(num_inputs, num_outputs, use_bias=False, dtype=dtype, rngs=rngs)

  def __call__(
    self,
    h: Float[Array, "batch height width inputs"],
    time: Float[Array, "batch time_width"],
    keys: Key[Array, "batch"] | None,
  ) -> Float[Array, "batch height width outputs"]:
    """Returns features of every position; keys = None means no dropout."""
    inner = self.first(_activated(h, self.first_modulation, time))
    inner = _activated(inner, self.second_modulation, time)
    inner = inner if keys is None else dropout(keys, inner, self.rate)
    return (h if self.skip is None else self.skip(h)) + self.second(inner)


def _activated(h: Array, modulation: Modulation, time: Array) -> Array:
  flat = h.reshape(len(h), -1, h.shape[-1])
  return jax.nn.silu(modulated_norm(flat, *modulation(time))).reshape(h.shape)


class UNet(nnx.Module):
  """Patches, convolutional levels down, a transformer with rotary positions, the levels up with skips, logits.

  Args:
    event_shape: (height, width), multiples of patch_size * 2^(len(widths) - 1).
    num_inputs, num_outputs: categories in (with a mask state, one more) and logits out.
    widths: features of each level, finest first; the transformer works at the last, where width / num_heads is even.
    num_blocks: convolutional blocks of a level on the way down, and again on the way up.
    patch_size: side of the square of positions that becomes one place of the finest level: 2 is four times cheaper.
    num_layers, num_heads: of the transformer.
    time_width: even; features of the time vector.
    dropout: probability in training, inside every block.
    dtype: "float32" or "bfloat16", of activations; parameters and logits stay float32.
    remat: recompute the transformer's activations in the backward pass.

  Places are told apart by a learned vector each, added to the patches: maps, unlike textures, have an up and a down. An
  untrained network returns logits of exactly zero.
  Reference: Ho et al. (2020) for the U-Net, Hoogeboom et al. (2023) for a transformer at its coarsest level.
  """

  def __init__(
    self,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
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
    remat: bool = False,
  ) -> None:
    check_map(event_shape, patch_size * 2 ** (len(widths) - 1), "unet")
    self.patch, self.dtype = patch_size, compute_dtype(dtype)
    sizes = block_sizes(
      width=widths[-1], num_heads=num_heads, mlp_ratio=8 / 3, time_width=time_width, dropout=dropout, dtype=dtype
    )
    fine = tuple(size // patch_size for size in event_shape)
    self.angles = (tuple(size >> (len(widths) - 1) for size in fine), widths[-1] // num_heads)
    rotation_angles(*self.angles)  # refuses what cannot rotate before anything is built
    linear = functools.partial(Linear, dtype=self.dtype, rngs=rngs)
    block = functools.partial(ConvBlock, time_width=time_width, rate=dropout, dtype=self.dtype, rngs=rngs)
    self.embedding = Embedding(num_inputs, widths[0] // patch_size, dtype=self.dtype, rngs=rngs)
    self.patches = linear(widths[0] // patch_size * patch_size**2, widths[0])
    self.places = nnx.Param(0.02 * jax.random.normal(rngs.params(), (*fine, widths[0])))
    self.time = TimeMLP(time_width, rngs=rngs)
    steps = list(itertools.pairwise(widths))
    self.down = nnx.List([nnx.List([block(w, w) for _ in range(num_blocks)]) for w, _ in steps])
    self.halve = nnx.List([linear(4 * w, coarse) for w, coarse in steps])
    self.middle = Layers(sizes, num_layers, remat=remat, scan_layers=False, rngs=rngs)
    self.double = nnx.List([linear(coarse, 4 * w) for w, coarse in steps])
    self.up = nnx.List([nnx.List([block(w if i else 2 * w, w) for i in range(num_blocks)]) for w, _ in steps])
    self.head = Head(widths[0], num_outputs * patch_size**2, time_width=time_width, rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch height width"],
    time: Float[Array, "batch"],
    *,
    valid: Bool[Array, "batch height width"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float32[Array, "batch height width outputs"]:
    """Returns logits of the clean category at every position; time in [0, 1], invalid positions unseen."""
    vector = self.time(time)
    h = _gathered(blank_invalid(self.embedding(x), valid), self.patch)
    h = self.patches(h) + self.places[...][None].astype(self.dtype)
    skips = []
    for level, blocks in enumerate(self.down):
      h = _through(blocks, h, vector, keys, 2 * level)
      skips.append(h)
      h = self.halve[level](_gathered(h, 2))
    angles = jnp.asarray(rotation_angles(*self.angles), jnp.float32)
    middle_keys = fold_in(keys, 2 * len(skips))
    h = self.middle(h.reshape(len(h), -1, h.shape[-1]), angles, time=vector, keys=middle_keys).reshape(h.shape)
    for level in reversed(range(len(self.up))):
      h = jnp.concatenate([_scattered(self.double[level](h), 2), skips[level]], axis=-1)
      h = _through(self.up[level], h, vector, keys, 2 * level + 1)
    logits = self.head(h.reshape(len(h), -1, h.shape[-1]), vector).reshape(*h.shape[:3], -1)
    return _scattered(logits, self.patch)


def _through(blocks: nnx.List, h: Array, time: Array, keys: Array | None, number: int) -> Array:
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
