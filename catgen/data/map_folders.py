"""Folders of maps: their files by split, in a fixed order, and the labels that places or a table give them."""

import fnmatch
import os
import unicodedata
from collections.abc import Iterator
from typing import Any

from catgen import remote
from catgen.data.labels import ALIASES, Labels, numbered
from catgen.data.splits import NAMES
from catgen.data.tables import read_table
from catgen.interfaces import InputError
from catgen.paths import ending_of, inside, join, name_of, parent_of, sizes_below


def find_files(folder: str, pattern: str, *, links: bool = True) -> dict[str, list[str]]:
  """Returns the files of every split, or of "" where no folder at the top is called like a split, in a fixed order.

  Args:
    folder: where files are, at any depth.
    pattern: of their names, whose endings may be written in capitals: "*.png" is "*.PNG" too.
    links: whether folders behind links are read too.

  Raises:
    InputError: there are none, a folder cannot be read, or some files lie in no split.
  """
  found = {}
  for place, files in _stored(folder) if remote.is_remote(folder) else _folders(folder, links):
    for name in files:
      if not name.startswith(".") and _fits(name, pattern):
        found[inside(join(place, name), folder)] = join(place, name)
  if not found:
    raise InputError(f"{folder} holds no files {pattern}, at any depth; correct the path or pattern")
  splits: dict[str, list[str]] = {}
  for name in sorted(found):
    top = name.split("/")[0]
    top = ALIASES.get(top, top)
    splits.setdefault(top if "/" in name and top in NAMES else "", []).append(found[name])
  if "" in splits and len(splits) > 1:
    raise InputError(
      f"{folder} has folders called like splits, and files outside them ({splits[''][0]}); move these into one of them"
    )
  return {name: splits[name] for name in ("", *NAMES) if name in splits}


def unread_splits(folder: str, files: dict[str, list[str]]) -> str:
  """Returns a remark about folders at the top whose names only resemble those of splits, or nothing."""
  tops = {place.split("/")[0] for file in files.get("", ()) if "/" in (place := inside(file, folder))}
  found = sorted(top for top in tops if top.lower() in (*NAMES, *ALIASES, "training", "testing"))
  called = f"{', '.join(NAMES)} are, or {' and '.join(ALIASES)}"
  return f"; its folders {', '.join(found)} are not taken for splits, as {called}" if found else ""


def _fits(name: str, pattern: str) -> bool:
  """Returns whether a file's name fits a pattern, as it is or with its ending in small letters."""
  ending = ending_of(name)
  return any(fnmatch.fnmatch(each, pattern) for each in (name, name[: len(name) - len(ending)] + ending))


def _stored(folder: str) -> Iterator[tuple[str, list[str]]]:
  """Yields the files below a folder of a store, each with the folder that it lies in."""
  try:
    names = list(sizes_below(folder))
  except OSError as error:
    raise InputError(f"{folder} cannot be read ({error}); check its permissions") from error
  for path in (join(folder, name) for name in names):
    yield parent_of(path), [name_of(path)]


def _folders(folder: str, links: bool, above: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
  """Yields a folder and all below it, with their files; never a link back to a folder that it lies in."""
  real = os.path.realpath(folder)
  if real in above:
    return
  try:
    with os.scandir(folder) as found:
      entries = [(entry.path, entry.name, os.path.isdir(entry.path)) for entry in found]
  except OSError as error:
    raise InputError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error
  yield folder, [name for _, name, is_folder in entries if not is_folder]
  for path, _, is_folder in entries:
    if is_folder and (links or not os.path.islink(path)):
      yield from _folders(path, links, (*above, real))


def labels_of_files(folder: str, files: dict[str, list[str]], labels: str) -> Labels:
  """Returns the labels of the files of every split."""
  if labels == "folder":

    def label(file: str) -> str:
      place = inside(file, folder).rpartition("/")[0]
      if not place or ("" not in files and place in (*NAMES, *ALIASES)):
        raise InputError(f'{file} lies in no folder that could be its label; move it into one, or do not say "folder"')
      return name_of(place)

  else:
    table: dict[str, Any] = {}
    for name, each in read_table(labels, "labels"):
      if table.setdefault(_name(name), each) != each:
        raise InputError(f"{labels} gives {name!r} two labels, {table[_name(name)]!r} and {each!r}; keep one")

    def label(file: str) -> str:
      place = _name(inside(file, folder))
      found = table.get(place, table.get(name_of(place)))
      if found is None:
        raise InputError(f"{labels} has no label of {place}; add it, an empty one where there is none")
      return str(found).strip()

  return numbered("label", {name: [label(file) for file in found] for name, found in files.items()})


def _name(text: str) -> str:
  """Returns the name of a file in the one form that tables and file systems may write in several."""
  return unicodedata.normalize("NFC", text.strip())
