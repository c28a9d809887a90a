"""The label maps inside a copy of Cityscapes, an archive or a folder: found, counted, read."""

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from catgen.data.label_images import nearest, read_png
from catgen.data.legends import LABELS
from catgen.data.reading import open_bytes
from catgen.data.sets.cityscapes.edition import LICENSE_PLATE, Edition
from catgen.interfaces import InputError

ARCHIVE = "gtFine_trainvaltest.zip"
SUFFIX = "_gtFine_labelIds.png"
_NAME = re.compile(rf"(?:.*/)?gtFine/(train|val)/([^/.]+)/[^/.][^/]*{re.escape(SUFFIX)}")


class Copy(NamedTuple):
  """Where the label maps are."""

  path: str
  files: dict[str, list[str]]  # official split -> names, in the order of the splits
  read: Callable[[str], bytes]  # name -> content


def open_copy(path: str | None, edition: Edition) -> Copy:
  """Returns the label maps of an archive or a folder, their bytes unread; raises InputError where any is missing."""
  if path is None:
    raise InputError(
      "Cityscapes is not here, and its license forbids to pass it on: register on the Cityscapes web site, get"
      f" {ARCHIVE}, and give it or the folder it was unpacked to as path (--config.data.path=...)"
    )
  path = os.path.expanduser(path)
  names, read = _folder(path) if os.path.isdir(path) else _archive(path)
  found = [(name, match) for name in sorted(names) if (match := _NAME.fullmatch(name))]
  if not found:
    raise InputError(
      f"{path} holds no gtFine/train/CITY/*{SUFFIX}; give {ARCHIVE} from the Cityscapes web site or the folder it was"
      " unpacked to"
    )
  counts = Counter(match.groups() for _, match in found)
  expected = {(split, city): count for split, cities in edition.cities.items() for city, count in cities.items()}
  for split, city in sorted(counts.keys() | expected.keys()):
    if counts[split, city] != expected.get((split, city), 0):
      raise InputError(
        f"{path} has {counts[split, city]} of the {expected.get((split, city), 0)} files"
        f" gtFine/{split}/{city}/*{SUFFIX}; unpack {ARCHIVE} again, or read what there is by label_maps"
      )
  return Copy(path, {split: [name for name, match in found if match[1] == split] for split in edition.cities}, read)


def label_ids(copy: Copy, split: str, shape: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "height width"]]:
  """Yields the label ids of a split's maps in their order, at a smaller size."""
  for name in copy.files[split]:
    place = f"{copy.path}: {name}"
    ids = nearest(read_png(copy.read(name), place).ids, shape)
    unknown = ids[(ids >= len(LABELS)) & (ids != LICENSE_PLATE)]
    if unknown.size:
      raise InputError(
        f"{place} has the label id {unknown[0]}, but Cityscapes has 0 to {len(LABELS) - 1}; unpack {ARCHIVE} again"
      )
    yield ids.astype(np.uint8)


def _folder(path: str) -> tuple[list[str], Callable[[str], bytes]]:
  """Returns the files of a folder that is or holds gtFine, as names from gtFine on."""
  whole = os.path.abspath(path)
  top = os.path.dirname(whole) if os.path.basename(whole) == "gtFine" else whole
  names = [
    os.path.relpath(os.path.join(place, name), top).replace(os.sep, "/")
    for place, _, files in os.walk(os.path.join(top, "gtFine"))
    for name in files
  ]
  return names, lambda name: open_bytes(os.path.join(top, name)).data.tobytes()


def _archive(path: str) -> tuple[list[str], Callable[[str], bytes]]:
  """Returns the files of a zip file, which stays open for as long as they may be read."""
  try:
    packed = zipfile.ZipFile(path)
  except FileNotFoundError as error:
    raise InputError(f"{path} does not exist; correct the path of {ARCHIVE} or of its folder") from error
  except (zipfile.BadZipFile, OSError) as error:
    raise InputError(f"{path} is truncated or no zip file ({error}); get {ARCHIVE} again") from error

  def read(name: str) -> bytes:
    try:
      return packed.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
      raise InputError(f"{path}: {name} is damaged ({error}); get {ARCHIVE} again") from error

  return packed.namelist(), read
