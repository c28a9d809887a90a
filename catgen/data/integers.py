"""Categories as integers: in which dtype they fit, and whether they are within their range."""

from typing import Any

import numpy as np
from jaxtyping import Shaped

from catgen.interfaces import InputError


def check_range(x: Shaped[np.ndarray, "*event"], num_classes: int, offset: int = 0) -> None:
  """Raises InputError naming the first value outside [0, num_classes); `offset` is added to its leading index."""
  outside = (x < 0) | (x >= num_classes)
  if outside.any():
    where = [int(i) for i in np.unravel_index(int(outside.argmax()), x.shape)]
    place = (where[0] + offset, *where[1:]) if where else ()
    raise InputError(
      f"category {int(x[tuple(where)])} at index {place} is outside 0..{num_classes - 1}, "
      f"num_classes being {num_classes}; correct the data or num_classes"
    )


def check_unmasked(values: Any, owner: str) -> None:
  """Raises InputError where an array of NumPy, or one of a sequence of them, hides some of its values by a mask."""
  several = values if isinstance(values, list | tuple) else (values,)
  if any(np.ma.is_masked(each) for each in several if isinstance(each, np.ma.MaskedArray)):
    raise InputError(
      f"{owner} has a mask, which would be lost; give array.filled(...), with an id that the data ignore, such as 255 "
      "with data.ignore=255, or with that of a hole, -1"
    )


def integer_dtype(num_values: int) -> type[np.unsignedinteger]:
  """Returns the smallest unsigned dtype, of 8, 16 or 32 bits, that holds 0..num_values - 1."""
  return np.uint8 if num_values <= 2**8 else np.uint16 if num_values <= 2**16 else np.uint32
