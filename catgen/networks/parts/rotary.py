"""Rotary positions: queries and keys turned by angles, so that their products depend on distances only."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from catgen.interfaces import InputError

BASE = 10_000.0  # ratio of the longest to the shortest wave of an axis, nearly


def rotation_angles(event_shape: tuple[int, ...], head_dim: int) -> Float[np.ndarray, "length pairs"]:
  """Returns the angle in radians of every flattened position and pair of features, in float64.

  The head_dim / 2 pairs are dealt to the axes of the event in turn; the j-th of the n pairs of an axis turns by
  coordinate * 10000^(-j / n). A sequence has one axis: Su et al. (2021).
  """
  pairs = head_dim // 2
  if head_dim % 2 or pairs < len(event_shape):
    raise InputError(
      f"rotary positions need an even head size of at least {2 * len(event_shape)} for events of shape {event_shape}, "
      f"not {head_dim}: change width or num_heads"
    )
  coordinates = np.indices(event_shape).reshape(len(event_shape), -1)
  angles = np.empty((coordinates.shape[1], pairs))
  for axis, coordinate in enumerate(coordinates):
    columns = np.arange(axis, pairs, len(event_shape))
    angles[:, columns] = coordinate[:, None] * BASE ** (-np.arange(len(columns)) / len(columns))
  return angles


def rotate(
  x: Float[Array, "batch length heads dim"],
  cosine: Float[Array, "length half"],
  sine: Float[Array, "length half"],
) -> Float[Array, "batch length heads dim"]:
  """Returns x with features j and j + dim/2 turned together by the j-th angle of their position."""
  first, second = jnp.split(x, 2, axis=-1)
  cosine, sine = cosine[None, :, None].astype(x.dtype), sine[None, :, None].astype(x.dtype)
  return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
