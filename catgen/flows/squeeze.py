"""Space to channels: the blocks of a map become the channels of a smaller one."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.interfaces import InputError

_SIDE = 2  # of a block
_DIAGONAL = (0, 3, 1, 2)  # the pixels of a block, the two of the diagonal first


class Squeeze(nnx.Module):
  """Between v on a map of H x W positions and z on H/2 x W/2 positions with four times the channels; the volume stays.

  Channels of z are ordered row, column, channel of the 2 x 2 block; with `diagonal` they are those of its pixels top
  left, bottom right, top right, bottom left. `event_shape` is (H, W) of v; both are flattened to sequences in row-major
  order. A block with an invalid position is invalid as a whole: maps are valid or padding as wholes.

  Raises:
    InputError: the event has not two even axes.
  """

  def __init__(self, event_shape: tuple[int, ...], *, diagonal: bool = False) -> None:
    if len(event_shape) != 2 or any(size % _SIDE for size in event_shape):
      raise InputError(f"a flow with squeezing needs maps of even height and width, not {tuple(event_shape)}")
    self.event_shape = tuple(event_shape)
    self.order = _DIAGONAL if diagonal else tuple(range(_SIDE**2))

  def forward(
    self,
    z: Float[Array, "batch positions wide"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, 0)."""
    return self.move_back(z), jnp.zeros(len(z))

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch positions wide"], Float[Array, "batch"]]:
    """Returns (z, 0)."""
    return self.move(v), jnp.zeros(len(v))

  def move(self, values: Array) -> Array:
    """Returns values [batch, H W, features] in blocks, [batch, H W / 4, 4 features]; of validity, [batch, H W / 4]."""
    height, width = self.event_shape
    blocks = values.reshape(len(values), height // _SIDE, _SIDE, width // _SIDE, _SIDE, -1)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(len(values), height * width // _SIDE**2, -1)
    return blocks.all(axis=-1) if values.ndim == 2 else _ordered(blocks, self.order)

  def move_back(self, values: Array) -> Array:
    """Returns values [batch, H W / 4, 4 features] at their own places, [batch, H W, features]."""
    height, width = self.event_shape
    back = tuple(self.order.index(pixel) for pixel in range(_SIDE**2))
    blocks = _ordered(values, back).reshape(len(values), height // _SIDE, width // _SIDE, _SIDE, _SIDE, -1)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(len(values), height * width, -1)


def _ordered(blocks: Array, order: tuple[int, ...]) -> Array:
  """Returns blocks [batch, positions, 4 features] with their pixels in another order."""
  pixels = jnp.split(blocks, len(order), axis=-1)
  return jnp.concatenate([pixels[i] for i in order], axis=-1)


class Unsqueeze(nnx.Module):
  """The inverse of `Squeeze`: z on a map of H x W positions, v on one of H/2 x W/2; `event_shape` is (H, W)."""

  def __init__(self, event_shape: tuple[int, ...]) -> None:
    self.squeeze = Squeeze(event_shape)

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch positions context"] | None = None,
    valid: Bool[Array, "batch positions"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch positions wide"], Float[Array, "batch"]]:
    """Returns (v, 0)."""
    return self.squeeze.inverse(z)

  def inverse(
    self,
    v: Float[Array, "batch positions wide"],
    *,
    context: Float[Array, "batch positions context"] | None = None,
    valid: Bool[Array, "batch positions"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (z, 0)."""
    return self.squeeze.forward(v)

  def move(self, values: Array) -> Array:
    """Returns values [batch, H W / 4, 4 features] as [batch, H W, features]; validity is repeated."""
    if values.ndim == 2:
      return self.squeeze.move_back(jnp.repeat(values[..., None], _SIDE**2, axis=-1))[..., 0]
    return self.squeeze.move_back(values)

  def move_back(self, values: Array) -> Array:
    """Returns values [batch, H W, features] in blocks, [batch, H W / 4, 4 features]."""
    return self.squeeze.move(values)
