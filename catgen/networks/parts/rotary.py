"""Rotary positions: by which angles queries and keys turn, so that their products depend on distances only."""

import numpy as np
from jaxtyping import Float

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
      f"not {head_dim}: change width (of a U-Net widths) or num_heads"
    )
  coordinates = np.indices(event_shape).reshape(len(event_shape), -1)
  angles = np.empty((coordinates.shape[1], pairs))
  for axis, coordinate in enumerate(coordinates):
    columns = np.arange(axis, pairs, len(event_shape))
    angles[:, columns] = coordinate[:, None] * BASE ** (-np.arange(len(columns)) / len(columns))
  return angles
