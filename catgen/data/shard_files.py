"""Many .npy files as one array: which files a folder or a pattern names, of which split, and that they fit together."""

import glob
import io
from collections.abc import Sequence

import numpy as np

from catgen import remote
from catgen.data.labels import ALIASES
from catgen.data.numpy_files import header_of, read_arrays
from catgen.data.shards import Shard, Shards
from catgen.data.splits import NAMES
from catgen.interfaces import InputError
from catgen.paths import is_folder, join, matching, name_of

_HEAD = 2**12  # bytes of a file that hold its header, or else it is no .npy file


def find_shards(path: str) -> dict[str, list[str]]:
  """Returns the paths of the .npy files of a folder, or of a pattern, sorted, by split: all under "", or as they say.

  They say it where the names of all begin with train, validation (or val, valid) or test.

  Raises:
    InputError: there are none, or the names of some begin so and those of others do not.
  """
  found = matching(join(glob.escape(path), "*.npy") if is_folder(path) else path)
  found = [name for name in found if name.endswith(".npy")]
  if not found:
    raise InputError(f"{path} names no .npy files; give a folder of them, or a pattern such as 'tokens/*.npy'")
  owners = {name: _split_of(name_of(name)) for name in found}
  if len({owner == "" for owner in owners.values()}) > 1:
    one, other = (next(name for name in found if (owners[name] == "") == unnamed) for unnamed in (False, True))
    raise InputError(f"{name_of(one)} is named after a split and {name_of(other)} is not; name all of them so, or none")
  return {split: names for split in ("", *NAMES) if (names := [name for name in found if owners[name] == split])}


def open_shards(paths: Sequence[str]) -> Shards:
  """Returns the files as one array.

  Raises:
    InputError: one cannot be read or has no axis, or differs from the first in dtype or in the shape of its records.
  """
  files = [_open(path) for path in paths]
  for file in files:
    if not file.shape or (file.shape[1:], file.dtype) != (files[0].shape[1:], files[0].dtype):
      raise InputError(
        f"{file.path} has shape {file.shape} and dtype {file.dtype}, {files[0].path} {files[0].shape} and "
        f"{files[0].dtype}; they may differ in the first axis alone"
      )
  return Shards([file for file in files if file.shape[0]] or files[:1])


def _split_of(name: str) -> str:
  for word in sorted({*NAMES, *ALIASES}, key=len, reverse=True):
    if name.startswith(word):
      return ALIASES.get(word, word)
  return ""


def _open(path: str) -> Shard:
  if not remote.is_remote(path):
    mapped = read_arrays(path)
    if not isinstance(mapped, np.ndarray):
      raise InputError(f"{path} is an .npz file; shards are .npy files")
    return Shard(path, mapped, 0, mapped.shape, mapped.dtype)
  head = io.BytesIO(remote.ranges([(path, 0, _HEAD)])[0])
  shape, dtype = header_of(head, path, remote.size(path) or 0)
  return Shard(path, None, head.tell(), shape, dtype)
