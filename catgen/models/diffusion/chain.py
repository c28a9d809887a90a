"""Options of all samplers of diffusion models, and which states of a chain are kept."""

import numpy as np
from jaxtyping import Int

from catgen.distributions import categorical
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import OF_ORDERS

MOST_FRAMES = 10_000  # of a chain, each of the size of all samples


def frames_of(num_moves: int, num_frames: int) -> Int[np.ndarray, "moves"]:
  """Returns the slot of the chain in which the state after each move is kept, spread evenly; the last is a dummy."""
  frame = np.full(num_moves, num_frames)
  if num_frames > 1:
    kept = np.unique(np.round(np.linspace(0, num_moves, num_frames)).astype(int))
    frame[kept[1:] - 1] = num_frames - len(kept) + np.arange(1, len(kept))
  return frame


def check_options(options: SampleOptions, num_classes: int) -> None:
  """Raises InputError where a restriction or the number of frames is out of range, or what is of orders has none."""
  if options.order is None:
    categorical.refuse_options(options, OF_ORDERS, "without an order")
  categorical.check_restrictions(options, num_classes)
  if not 0 <= options.correction <= 1:
    raise InputError(f"correction is {options.correction}; give a share of the positions, from 0 (none) to 1")
  if not (options.num_frames == 0 or 2 <= options.num_frames <= MOST_FRAMES):
    raise InputError(
      f"num_frames is {options.num_frames}; use 0 for no chain, or at least 2 (noise and sample) and at most"
      f" {MOST_FRAMES:,}"
    )
