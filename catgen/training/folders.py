"""Folders whose paths Orbax and TensorStore do not take letter by letter, and the checkpoints that these have spoilt.

Orbax looks for the parts that processes have written by a pattern that begins with the folder's own path: where that
has "[", "*" or "?" in it, it finds none, or those of another folder. TensorStore writes into b of a what is for "a\\b".
"""

import contextlib
import glob
import os
import re
import shutil
from collections.abc import Iterator

import tensorstore as ts

from catgen import remote
from catgen.cache import cache
from catgen.interfaces import InputError
from catgen.training.integrity import storage_problem

_PART = re.compile(r"ocdbt\.process_\d+")
_WHOLE = "manifest.ocdbt"


def check(folder: str, remedy: str = "give the folder another name") -> None:
  """Raises InputError, with the remedy, for a path on a disk where checkpoints can neither be written nor be read."""
  if remote.is_remote(folder):
    return
  try:
    folder.encode()
  except UnicodeEncodeError as error:
    raise InputError(f"checkpoints cannot lie in {folder!r}, whose name is not in UTF-8; {remedy}") from error
  if "\\" in folder:
    raise InputError(f"checkpoints cannot lie in {folder}: a backslash would be read as a slash; {remedy}")


def is_pattern(folder: str) -> bool:
  """Returns whether Orbax would take the path of a folder for a pattern.

  >>> is_pattern("runs/lr0.1"), is_pattern("runs/lr[0.1]")
  (False, True)
  """
  return glob.has_magic(folder)


@contextlib.contextmanager
def whole(directory: str, step: int) -> Iterator[str]:
  """Gives a folder with a checkpoint whose parts are put together: the folder itself, or one of links to its files.

  Earlier versions of catgen have left the parts apart where the path was taken for a pattern; nothing in them is lost.

  Raises:
    InputError: the cache cannot be written.
  """
  checkpoint = os.path.join(directory, str(step))
  if not _items_in_parts(checkpoint):
    yield directory
    return
  with cache() as folder:
    try:
      shutil.copytree(checkpoint, os.path.join(folder, str(step)), copy_function=os.symlink)
      put_together(os.path.join(folder, str(step)))
    except (OSError, ValueError) as error:
      raise InputError(
        f"cannot put the parts of checkpoint {step} in {directory} together in {folder}: {error}; "
        "set TMPDIR to a folder with room"
      ) from error
    yield folder


def put_together(checkpoint: str) -> None:
  """Puts together, in place, the items of a checkpoint that are in parts; damaged ones are left to those who read them.

  The parts stay where they are, since the whole refers to them. Raises ValueError where the disk refuses.
  """
  for item in _items_in_parts(checkpoint):
    context, transaction = ts.Context(), ts.Transaction(atomic=True)  # within one context only references are copied
    try:
      target = _opened(item, context).with_transaction(transaction)
      for part in filter(_PART.fullmatch, _names(item)):
        _opened(os.path.join(item, part), context).experimental_copy_range_to(target).result()
      transaction.commit_async().result()
    except ValueError as error:
      if storage_problem(error):
        raise


def _opened(folder: str, context: ts.Context) -> ts.KvStore:
  base = {"driver": "file", "path": f"{folder}/"}
  return ts.KvStore.open({"driver": "ocdbt", "base": base}, context=context).result()


def _items_in_parts(checkpoint: str) -> list[str]:
  items = [os.path.join(checkpoint, name) for name in _names(checkpoint)]
  return [item for item in items if _WHOLE not in (names := _names(item)) and any(map(_PART.fullmatch, names))]


def _names(folder: str) -> list[str]:
  try:
    return sorted(os.listdir(folder))
  except OSError:  # a file, or removed meanwhile
    return []
