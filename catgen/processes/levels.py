"""Noise levels as pairs of numbers, and their broadcasting over events: the only place that does it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

if TYPE_CHECKING:
  Number = Any
else:
  Number = Float[Array | np.ndarray, "*batch"] | np.floating


class Level(NamedTuple):
  """Probabilities that a category is kept and that it has been resampled; they sum to one, each exact on its own."""

  keep: Number
  lost: Number


class Span(NamedTuple):
  """A move from time s to a later time t: the levels at both ends, of the move itself, and of s as seen from t."""

  s: Level
  t: Level
  step: Level  # alpha_bar_t / alpha_bar_s is kept
  resampled: Level  # of what has been resampled by t: the probability that it was still kept at s, and that it was not


def over_events(values: Number, num_dims: int) -> Array:
  """Returns values [batch] (or a scalar) with axes of size one appended until there are `num_dims`."""
  array = jnp.asarray(values)
  return array.reshape(array.shape + (1,) * (num_dims - array.ndim)) if array.ndim else array


def align(level: Level, num_dims: int) -> Level:
  """Returns a level of [batch] numbers (or scalars) as [batch, 1, ..., 1] of `num_dims` axes, for whole events."""
  return Level(over_events(level.keep, num_dims), over_events(level.lost, num_dims))
