"""Options of all samplers of diffusion models, and which states of a chain are kept."""

import numpy as np
from jaxtyping import Int

from catgen.chains import check_frames, shown_after
from catgen.distributions import categorical
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import OF_ORDERS


def frames_of(num_moves: int, num_frames: int) -> Int[np.ndarray, "moves"]:
  """Returns the slot of the chain in which the state after each move is kept, spread evenly; the last is a dummy."""
  frame, after = np.full(num_moves, num_frames), shown_after(num_moves, num_frames)
  frame[after[after > 0] - 1] = np.flatnonzero(after)
  return frame


def check_options(options: SampleOptions, num_classes: int) -> None:
  """Raises InputError where a restriction or the number of frames is out of range, or what is of orders has none."""
  if options.order is None:
    categorical.refuse_options(options, OF_ORDERS, "without an order")
  categorical.check_restrictions(options, num_classes)
  if not 0 <= options.correction <= 1:
    raise InputError(f"correction is {options.correction}; give a share of the positions, from 0 (none) to 1")
  check_frames(options)
