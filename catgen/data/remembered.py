"""What whole passes over large files have found, kept in the user's cache until one of the files changes."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from catgen.cache import kept
from catgen.files import replacing
from catgen.interfaces import InputError
from catgen.paths import absolute, join, state_of

Make = Callable[[], Shaped[np.ndarray, "..."]]
Recall = Callable[[str, Make], Shaped[np.ndarray, "..."]]  # (what it is, what makes it) -> it, made or remembered
LARGE = 2**28  # bytes of all files, from which it pays
_LIMIT = 2**28  # bytes of all that is kept


def afresh(what: str, make: Make) -> Shaped[np.ndarray, "..."]:
  """Returns what is made: nothing is remembered."""
  return make()


def of_files(paths: Sequence[str], settings: Mapping[str, Any]) -> Recall:
  """Returns what remembers what large files and settings determine: `afresh` where the files are small.

  A file is the same while its path, size and time of change are; an object of a store while its size and mark are.

  Args:
    paths: of all files that are read.
    settings: all else that the results depend on, as JSON has it.
  """
  states = [(absolute(path), *state_of(path)) for path in paths]
  folder = kept("data", limit=_LIMIT) if sum(size for _, size, _ in states) >= LARGE else None
  if folder is None or any(mark is None for _, _, mark in states):
    return afresh
  identity = json.dumps([states, settings], sort_keys=True, default=str)

  def recall(what: str, make: Make) -> Shaped[np.ndarray, "..."]:
    name = hashlib.sha256(f"{what}\n{identity}".encode()).hexdigest()
    path = join(folder, f"{name}.npy")
    with contextlib.suppress(OSError, ValueError, EOFError):  # it is not there, or damaged
      return np.load(path, allow_pickle=False)
    made = make()
    with contextlib.suppress(InputError), replacing(path) as file:
      np.save(file, made, allow_pickle=False)
    return made

  return recall
