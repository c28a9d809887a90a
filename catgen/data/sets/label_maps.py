"""Label maps of your own: a folder of PNG files, or a .npy or .npz of integers."""

import fnmatch
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Shaped

from catgen.data.arrays import array_source, check_shape, load_arrays
from catgen.data.augment import augmented
from catgen.data.category_table import make_table, to_categories
from catgen.data.codecs import check_range, integer_dtype
from catgen.data.label_images import nearest, read_png
from catgen.data.labels import ALIASES, Labels, load_labels, numbered
from catgen.data.legends import make_legend
from catgen.data.reading import existing_file, open_bytes, read_table, room_for
from catgen.data.splits import NAMES
from catgen.interfaces import DataSource, InputError, Legend

Map = Shaped[np.ndarray, "height width"]


def label_maps(
  path: str,
  num_classes: int | None = None,
  names: Sequence[str] = (),
  colors: Sequence[str] = (),
  mapping: str | None = None,
  other: int | None = None,
  shape: Sequence[int] | None = None,
  crop: bool = False,
  pattern: str = "*.png",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  flip: bool = False,
  shift: Sequence[int] = (0, 0),
  labels: str | None = None,
) -> DataSource:
  """Returns the label maps of a folder, read at once, or of a .npy or .npz file of integers [maps, height, width].

  Args:
    path: a folder, whose PNG files (a palette, or gray levels of up to 16 bits) are found at any depth and ordered by
      their path inside it, or a file as in `array_file`.
    num_classes: K; None: as many as names, or the largest category plus one.
    names, colors: of the categories in their order, colors as "#rrggbb"; an entry may hold several, with commas between
      them. Without colors: those of the files' palette where label ids are categories, those of Cityscapes for its
      names, or a default.
    mapping: from label ids to categories, such as "7:0 8:0 11:1", or a .json or .csv file of them: see `make_table`;
      None: ids are categories.
    other: category of the label ids that the mapping leaves out; None: they are refused.
    shape: (height, width) that maps are brought to by nearest neighbors, see `nearest`; None: as they are.
    crop: cut maps to the proportions of `shape` first, around their center, instead of squeezing them.
    pattern: of the names of a folder's files that are read.
    splits: as in `array_file`, where neither folders at the top nor arrays have the names train, validation (or val,
      valid) and test.
    flip, shift: augmentation of the training split, see `augmented`.
    labels: what each map of a folder is given: "folder", the name of the folder that it lies in, or a .json file
      {"name": label, ...} or a .csv file with a name and a label in each line; a name is that of a map's file or its
      path inside the folder, an empty label means not given. None: no labels but what a .npz file gives, as in
      `array_file`.
  """
  names, colors = _listed(names), _listed(colors)
  known = num_classes or len(names) or len(colors) or None
  table = make_table(mapping, other, known)
  known = known if table is None else table.num_classes
  size = None if shape is None else _checked_size(shape)

  def convert(ids: Map, place: str) -> Shaped[np.ndarray, "rows columns"]:
    ids = ids if size is None else nearest(ids, size, crop=crop)
    if table is not None:
      return to_categories(ids, table, place)
    return ids if known is None else _checked(ids, known, place)

  def legend(count: int) -> Legend | None:
    given = colors or (palette[:count] if table is None and len(palette) >= count else ())
    return make_legend(count, names, given) if names or given else None

  path = os.path.expanduser(path)
  palette: tuple[str, ...] = ()
  if os.path.isdir(path):
    files = _find(path, pattern)
    given = None if labels is None else _labels(path, files, labels)
    first = next(iter(files.values()))[0]
    palette = read_png(_content(first), first).colors
    arrays = {name: _read_files(found, convert, known) for name, found in files.items()}
  else:
    if labels is not None:
      raise InputError(f"{path} is no folder, so labels names no files; put them in it as the array `given`")
    arrays = load_arrays(existing_file(path))
    given = load_labels(path)
    if table is not None or size is not None:
      arrays = {name: _read_array(array, path, name, convert, known) for name, array in arrays.items()}
  source = array_source(arrays, path, known, splits, legend=legend, given=given)
  return augmented(source, flip=flip, shift=shift)


def _find(folder: str, pattern: str) -> dict[str, list[str]]:
  """Returns the files of every split, or of "" where no folder at the top is called like a split, in a fixed order."""
  found = {}
  for place, _, files in os.walk(folder):
    for name in fnmatch.filter(files, pattern):
      inside = os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
      if not name.startswith("."):
        found[inside] = os.path.join(place, name)
  if not found:
    raise InputError(f"{folder} holds no files {pattern}, at any depth; correct the path or pattern")
  splits: dict[str, list[str]] = {}
  for inside in sorted(found):
    top = inside.split("/")[0]
    top = ALIASES.get(top, top)
    splits.setdefault(top if "/" in inside and top in NAMES else "", []).append(found[inside])
  if "" in splits and len(splits) > 1:
    raise InputError(
      f"{folder} has folders called like splits, and files outside them ({splits[''][0]}); move these into one of them"
    )
  return {name: splits[name] for name in ("", *NAMES) if name in splits}


def _labels(folder: str, files: dict[str, list[str]], labels: str) -> Labels:
  """Returns the labels of the files of every split."""
  if labels == "folder":

    def label(file: str) -> str:
      inside = os.path.relpath(os.path.dirname(file), folder).replace(os.sep, "/")
      if inside == "." or ("" not in files and inside in (*NAMES, *ALIASES)):
        raise InputError(f'{file} lies in no folder that could be its label; move it into one, or do not say "folder"')
      return os.path.basename(inside)

  else:
    table = dict(read_table(labels, "labels"))

    def label(file: str) -> str:
      inside = os.path.relpath(file, folder).replace(os.sep, "/")
      found = table.get(inside, table.get(os.path.basename(file)))
      if found is None:
        raise InputError(f"{labels} has no label of {inside}; add it, an empty one where there is none")
      return str(found).strip()

  return numbered("label", {name: [label(file) for file in found] for name, found in files.items()})


def _read_files(files: Sequence[str], convert: Callable, num_classes: int | None) -> Shaped[np.ndarray, "maps ..."]:
  maps = ((file, convert(read_png(_content(file), file).ids, file)) for file in files)
  return _stacked(maps, len(files), np.uint16 if num_classes is None else integer_dtype(num_classes))


def _read_array(
  array: Shaped[np.ndarray, "..."], path: str, name: str, convert: Callable, num_classes: int | None
) -> Shaped[np.ndarray, "maps ..."]:
  try:
    check_shape(name, array, array, None)
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
  if array.ndim != 3:
    raise InputError(f"{path} has an array of shape {array.shape}; label maps are [maps, height, width]")
  places = [f"{path}: map {i} of {name or 'the array'}" for i in range(len(array))]
  maps = ((place, convert(ids, place)) for place, ids in zip(places, array, strict=True))
  return _stacked(maps, len(array), array.dtype if num_classes is None else integer_dtype(num_classes))


def _stacked(maps: Iterable[tuple[str, Map]], count: int, dtype: type | np.dtype) -> Shaped[np.ndarray, "maps ..."]:
  """Returns maps, given each with its place, as one array."""
  stacked: np.ndarray | None = None
  for i, (place, ids) in enumerate(maps):
    if stacked is None:
      stacked = room_for(count * ids.size, np.dtype(dtype)).reshape(count, *ids.shape)
    if ids.shape != stacked.shape[1:]:
      raise InputError(f"{place} has the size {ids.shape}, others {stacked.shape[1:]}; set shape to bring all to one")
    stacked[i] = ids
  assert stacked is not None
  return stacked


def _checked(ids: Map, num_classes: int, place: str) -> Map:
  try:
    check_range(ids, num_classes)
  except InputError as error:
    raise InputError(f"{place}: {error}") from error
  return ids


def _content(file: str) -> bytes:
  return open_bytes(file).data.tobytes()


def _listed(entries: Sequence[str]) -> tuple[str, ...]:
  return tuple(part.strip() for entry in entries for part in entry.split(","))


def _checked_size(shape: Sequence[int]) -> tuple[int, int]:
  if len(shape) != 2 or any(size != int(size) or size < 1 for size in shape):
    raise InputError(f"shape {tuple(shape)} must be (height, width), two whole numbers of pixels")
  return int(shape[0]), int(shape[1])
