"""Layers that put values elsewhere and leave the volume as it is: of positions, of channels, space to channels."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from catgen.flows.layer import Latents, Layer, LogDet, Moving, Values
from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions

_SIDE = 2  # of a block
_AS_READ = (0, 1, 2, 3)  # the pixels of a block, row by row
_DIAGONAL = (0, 3, 1, 2)  # the two of the diagonal first


class Rearrangement(Layer):
  """z is v moved."""

  moving: Moving

  def __init__(self, moving: Moving) -> None:
    self.moving = moving

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    v = self.moving.back(z)
    return v, jnp.zeros(v.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return self.moving.values(v), jnp.zeros(v.shape[:-1])


def reversal() -> Rearrangement:
  """Returns the layer that reverses the order of positions, [batch, *axes, channels], along every one of the axes."""
  return Rearrangement(Moving(_reversed, _reversed_valid, _reversed))


def squeeze(event_shape: tuple[int, ...], *, diagonal: bool = False) -> Rearrangement:
  """Returns the layer between v on a map of H x W and z on one of H/2 x W/2 with four times the channels.

  Channels of z are ordered row, column, channel of the 2 x 2 block; with `diagonal` they are those of its pixels top
  left, bottom right, top right, bottom left. A block with an invalid position is invalid as a whole: maps are valid or
  padding as wholes, see `joins_positions`.

  Args:
    event_shape: (H, W).

  Raises:
    InputError: the event has not two even axes.
  """
  check_halves(event_shape)
  if diagonal:
    return Rearrangement(Moving(_to_blocks_by_diagonal, _all_of_block, _from_blocks_by_diagonal))
  return Rearrangement(Moving(_to_blocks, _all_of_block, _from_blocks))


def unsqueeze() -> Rearrangement:
  """Returns the layer that undoes a squeeze before it: z is [batch, H, W, channels], v on a map of H/2 x W/2."""
  return Rearrangement(Moving(_from_blocks, _every_of_block, _to_blocks))


class Rotation(Layer):
  """z is v with the first `count` channels of every position behind the others."""

  def __init__(self, count: int) -> None:
    self.count = count

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    return jnp.roll(z, self.count, axis=-1), jnp.zeros(z.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    return jnp.roll(v, -self.count, axis=-1), jnp.zeros(v.shape[:-1])


def joins_positions(module: nnx.Module) -> bool:
  """Returns whether a module squeezes somewhere, and so is wrong where a map is valid in part."""
  nodes = (node for _, node in nnx.iter_graph(module))
  return any(isinstance(node, Rearrangement) and node.moving.valid is _all_of_block for node in nodes)


def check_halves(event_shape: tuple[int, ...]) -> None:
  """Raises InputError unless events are maps [batch, height, width] of even height and width."""
  if not _halved(event_shape):
    raise InputError(
      f"a flow with squeezing needs maps of even height and width, not {tuple(event_shape)}; bring maps to such a size"
      " (data.shape), or take a density without squeezing or a denoising flow with num_levels=0"
    )


def check_levels(
  event_shape: tuple[int, ...], num_levels: int, *, squeezed: bool = True, key: str = "config.model.density.num_levels"
) -> None:
  """Raises InputError unless maps can be halved by so many levels, before the first of them where it is `squeezed`.

  Other events than maps of even height and width are refused by `check_halves`; `key` is where levels are set.
  """
  halvings, possible = num_levels - (not squeezed), 0
  while possible < halvings and _halved(event_shape, possible + 1):
    possible += 1
  if possible >= halvings:
    return
  check_halves(event_shape)
  raise InputError(
    f"a flow of {num_levels} levels halves maps {halvings} times and needs a height and width that are multiples of "
    f"{_SIDE**halvings}, not {tuple(event_shape)}; bring maps to such a size (data.shape), or set {key} to at most "
    f"{possible + (not squeezed)}"
  )


def _halved(event_shape: tuple[int, ...], times: int = 1) -> bool:
  """Returns whether events are maps whose height and width can be halved so many times."""
  return len(event_shape) == 2 and not any(size % _SIDE**times for size in event_shape)


def _reversed(values: Float[Array, "batch *axes features"]) -> Float[Array, "batch *axes features"]:
  return jnp.flip(values, axis=tuple(range(1, values.ndim - 1)))


def _reversed_valid(valid: Bool[Array, "batch *axes"]) -> Bool[Array, "batch *axes"]:
  return jnp.flip(valid, axis=tuple(range(1, valid.ndim)))


def _to_blocks(
  values: Float[Array, "batch height width features"], order: tuple[int, ...] = _AS_READ
) -> Float[Array, "batch rows columns wide"]:
  """Returns the features of the pixels of each block side by side, in an order."""
  batch, height, width, features = values.shape
  blocks = values.reshape(batch, height // _SIDE, _SIDE, width // _SIDE, _SIDE, features).transpose(0, 1, 3, 2, 4, 5)
  return _ordered(blocks.reshape(batch, height // _SIDE, width // _SIDE, _SIDE**2 * features), order)


def _from_blocks(
  values: Float[Array, "batch rows columns wide"], order: tuple[int, ...] = _AS_READ
) -> Float[Array, "batch height width features"]:
  """Returns what `_to_blocks` made of blocks at its own places."""
  batch, rows, columns, _ = values.shape
  back = tuple(order.index(pixel) for pixel in range(_SIDE**2))
  blocks = _ordered(values, back).reshape(batch, rows, columns, _SIDE, _SIDE, -1).transpose(0, 1, 3, 2, 4, 5)
  return blocks.reshape(batch, rows * _SIDE, columns * _SIDE, -1)


def _ordered(blocks: Array, order: tuple[int, ...]) -> Array:
  pixels = jnp.split(blocks, len(order), axis=-1)
  return blocks if order == _AS_READ else jnp.concatenate([pixels[i] for i in order], axis=-1)


def _to_blocks_by_diagonal(values: Array) -> Array:
  return _to_blocks(values, _DIAGONAL)


def _from_blocks_by_diagonal(values: Array) -> Array:
  return _from_blocks(values, _DIAGONAL)


def _all_of_block(valid: Bool[Array, "batch height width"]) -> Bool[Array, "batch rows columns"]:
  batch, height, width = valid.shape
  return valid.reshape(batch, height // _SIDE, _SIDE, width // _SIDE, _SIDE).all(axis=(2, 4))


def _every_of_block(valid: Bool[Array, "batch rows columns"]) -> Bool[Array, "batch height width"]:
  return jnp.repeat(jnp.repeat(valid, _SIDE, axis=1), _SIDE, axis=2)
