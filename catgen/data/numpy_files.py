"""The arrays of .npy and .npz files: never more than fits, no Python objects, and what is damaged is one line."""

import contextlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

from catgen.files import DAMAGED_ARRAYS, on_disk, reading
from catgen.interfaces import InputError
from catgen.paths import size_of

_OTHERS = (b"PK", b"\x80")  # how a .npz file begins, and what Python has pickled


def read_arrays(
  path: str, wanted: Callable[[str], Any] = lambda name: True
) -> Shaped[np.ndarray, "..."] | dict[str, Shaped[np.ndarray, "..."]]:
  """Returns the array of a .npy file, memory-mapped, or by their names those of a .npz file that are wanted, in memory.

  Raises:
    InputError: the file cannot be read, is no such file, needs Python objects, or unpacks to more than its directory
      says or than this machine's memory holds.
  """
  with _reading(path), on_disk(path) as place:
    _check_size(place)
    found = np.load(place, mmap_mode="r", allow_pickle=False)
    if isinstance(found, np.ndarray):
      return found
    with found:
      names = [name for name in found.files if wanted(name)]
      _check_sizes(place, names, path)
      return {name: found[name] for name in names}


def header_of(file: Any, path: str, size: int) -> tuple[tuple[int, ...], np.dtype]:
  """Returns shape and dtype of an open .npy file of `size` bytes, which is read up to the first value.

  Raises:
    InputError: it is none, holds Python objects, is not stored row by row, or is shorter than its header says.
  """
  with _reading(path):
    shape, by_column, dtype = _check_header(file, size)
    if by_column and len(shape) > 1:
      raise ValueError("its values are stored by columns; save np.ascontiguousarray(array)")
    if dtype.hasobject:
      raise ValueError("Object arrays cannot be loaded")
    return shape, dtype


def memory_bytes() -> int | None:
  """Returns the memory of this machine; None where the system does not tell."""
  try:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  except (AttributeError, ValueError, OSError):
    return None


def _check_sizes(place: str, names: list[str], path: str) -> None:
  """Raises an error where the headers of arrays promise more than is there, or than memory holds."""
  total, memory = 0, memory_bytes()
  with zipfile.ZipFile(place) as archive:
    for name in names:
      member = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
      with archive.open(member) as file:
        _check_header(file, member.file_size)
      total += member.file_size
  if memory is not None and total > memory:
    raise InputError(
      f"{path} unpacks to {total:,} bytes, more than the {memory:,} of this machine's memory; save its arrays as .npy,"
      " which is read from the disk"
    )


def _check_size(place: str) -> None:
  """Raises ValueError where a file is no .npy, .npz or pickle at all, or its header promises more than is there."""
  with reading(place) as file:
    start = file.read(len(np.lib.format.MAGIC_PREFIX))
    if start and start != np.lib.format.MAGIC_PREFIX and not start.startswith(_OTHERS):
      raise ValueError("it begins like neither of them")
    if start == np.lib.format.MAGIC_PREFIX:
      file.seek(0)
      _check_header(file, size_of(place))


def _check_header(file: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
  """Returns shape, whether columns come first, and dtype; ValueError where they promise more than `size` bytes."""
  start = file.read(12)  # magic, version and, after version 1.0, the length of the header in 4 bytes
  if start[6:8] != b"\1\0" and int.from_bytes(start[8:], "little") > size:
    raise ValueError("its header is longer than the file")
  file.seek(0)
  version = np.lib.format.read_magic(file)
  read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
  shape, by_column, dtype = read(file)
  needed = math.prod(shape) * dtype.itemsize
  if needed > size or any(side < 0 for side in shape):
    raise ValueError(f"its shape {shape} takes {needed:,} bytes, {size:,} are there")
  return shape, by_column, dtype


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
  """Turns what goes wrong in the block into InputError."""
  try:
    yield
  except InputError:
    raise
  except PermissionError as error:
    raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
  except DAMAGED_ARRAYS as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if re.search("allow_pickle|[Oo]bject arrays|Python objects", reason):
      reason = "it holds Python objects, which are never loaded"
    raise InputError(f"{path} is no readable .npy or .npz file of integers ({reason}); write it again") from error
