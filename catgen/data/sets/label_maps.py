"""Label maps of your own: a folder of PNG files, or a .npy or .npz of integers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from catgen.data.arrays import Ids, array_source, check_shape, load_arrays
from catgen.data.augment import augmented
from catgen.data.category_table import (
  IGNORED,
  CategoryTable,
  make_table,
  stored_dtype,
  table_of_colors,
  to_categories,
)
from catgen.data.integers import check_range, integer_dtype
from catgen.data.label_ids import are_valid
from catgen.data.label_images import PICTURES, LabelImage, color_codes, has_channels, nearest, read_png, read_png_colors
from catgen.data.labels import load_labels
from catgen.data.legends import make_legend
from catgen.data.map_folders import find_files, labels_of_files, unread_splits
from catgen.data.reading import contents, existing_file, open_bytes, room_for
from catgen.data.splits import INTEGERS_ALONE, SPLIT_RULE
from catgen.interfaces import InputError
from catgen.paths import ending_of, expanded, is_folder
from catgen.sources import DataSource, Legend

Map = Shaped[np.ndarray, "height width"]


def label_maps(
  path: str,
  num_classes: int | None = None,
  names: Sequence[str] = (),
  colors: Sequence[str] = (),
  mapping: str | None = None,
  other: int | None = None,
  ignore: Sequence[int] = (),
  relabel: bool = False,
  shape: Sequence[int] | None = None,
  crop: bool = False,
  pattern: str = "*.png",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  flip: bool = False,
  shift: Sequence[int] = (0, 0),
  labels: str | None = None,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns the label maps of a folder, read at once, or of a .npy or .npz file of integers [maps, height, width].

  Args:
    path: a folder, whose PNG files (a palette, gray levels of up to 16 bits, or colors) are found at any depth, also
      behind links, and ordered by their path inside it, or a file as in `array_file`.
    num_classes: K; None: as many as names, or the largest category plus one, as in `array_file`.
    names, colors: of the categories in their order, colors as "#rrggbb"; an entry may hold several, with commas between
      them. Maps in colors are read by them: the i-th color is category i. Without colors: those of the files' palette
      where label ids are categories, those of Cityscapes for its names, or a default.
    mapping: from label ids, or colors, to categories, such as "7:0 8:0 11:1 255:ignore" or "#804080:0 #f423e8:0", or a
      .json or .csv file of them: see `make_table`; None: ids are categories.
    other: category of the label ids that the mapping leaves out; None: they are refused.
    ignore: label ids that are no category, such as 255 for "void": their pixels are not valid, so that they are read by
      no network and count 0 nats.
    relabel: number the ids that occur, as in `array_file`.
    shape: (height, width) that maps are brought to by nearest neighbors, see `nearest`; None: as they are.
    crop: cut maps to the proportions of `shape` first, around their center, instead of squeezing them.
    pattern: of the names of a folder's files that are read, whose endings may be in capitals.
    splits: as in `array_file`, where neither folders at the top nor arrays have the names train, validation (or val,
      valid) and test.
    flip, shift: augmentation of the training split, see `augmented`.
    labels: what each map of a folder is given: "folder", the name of the folder that it lies in, or a .json file
      {"name": label, ...} or a .csv file with a name and a label in each line; a name is that of a map's file or its
      path inside the folder, an empty label means not given. None: no labels but what a .npz file gives, as in
      `array_file`.
    split_rule: as in `array_file`.
  """
  names, colors, path = _listed(names), _listed(colors), expanded(path)
  known = num_classes or len(names) or len(colors) or None
  if ending_of(path) in PICTURES and not is_folder(path):
    raise InputError(f"{path} is a single picture; name the folder of all, or a .npy or .npz file of them")
  files = find_files(path, pattern, links=split_rule >= INTEGERS_ALONE) if is_folder(path) else None
  if files is None and labels is not None:
    raise InputError(f"{path} is no folder, so labels names no files; put them in it as the array `given`")
  arrays = {} if files is not None else load_arrays(existing_file(path))
  first = "" if files is None else next(iter(files.values()))[0]
  in_colors = has_channels(_content(first), first) if first else next(iter(arrays.values())).ndim == 4
  if colors and mapping is None and in_colors:
    table: CategoryTable | None = table_of_colors(colors, other, num_classes, ignore)
  else:
    table = make_table(mapping, other, known, ignore)
  if table is not None and relabel:
    raise InputError("relabel numbers the ids that occur; leave it out where mapping, colors or other say what to do")
  reader = _Reader(table, known, tuple(ignore), relabel, None if shape is None else _checked_size(shape), crop)
  palettes = _Palettes({}, {}, not colors and split_rule >= INTEGERS_ALONE)
  if files is not None:
    given = None if labels is None else labels_of_files(path, files, labels)
    arrays = {name: _read_files(found, reader, palettes) for name, found in files.items()}
  else:
    given = load_labels(path)
    if table is None and reader.size is None:
      for array in arrays.values():
        _check_axes(array, path, reader)
    else:
      arrays = {name: _read_array(array, path, name, reader) for name, array in arrays.items()}

  def legend(count: int, ids: Ids | None) -> Legend | None:
    shown = np.arange(count) if ids is None else ids
    known_colors = palettes.colors
    own = tuple(known_colors[i] for i in shown.tolist()) if all(i in known_colors for i in shown.tolist()) else ()
    titles = names or (() if table is None else table.names) or (() if ids is None else tuple(map(str, ids.tolist())))
    drawn = colors or own or (() if table is None else table.colors)
    return make_legend(count, titles, drawn) if titles or drawn else None

  ignored = tuple(ignore) if table is None else (IGNORED,) * table.ignores
  source = array_source(
    arrays,
    path,
    known if table is None else table.num_classes,
    splits,
    legend=legend,
    given=given,
    ignore=ignored,
    relabel=relabel,
    split_rule=split_rule,
  )
  remark = "" if files is None else unread_splits(path, files)
  return augmented(source._replace(description=source.description + remark), flip=flip, shift=shift)


class _Reader(NamedTuple):
  """How the ids of a map become what is kept of it."""

  table: CategoryTable | None
  num_classes: int | None
  ignore: tuple[int, ...]
  relabel: bool
  size: tuple[int, int] | None
  crop: bool

  @property
  def of_colors(self) -> bool:
    """Whether maps are read by their colors."""
    return self.table is not None and self.table.of_colors

  def dtype(self, stored: np.dtype) -> np.dtype:
    """Returns the type of what is kept of maps whose ids have one type."""
    if self.table is not None:
      return stored_dtype(self.table)
    keeps = self.num_classes is None or self.ignore or self.relabel
    return np.dtype(stored if keeps else integer_dtype(self.num_classes or 0))

  def read(self, ids: Map, place: str) -> Shaped[np.ndarray, "rows columns"]:
    """Returns a map at its size; raises InputError that names `place` where an id means nothing."""
    small = ids if self.size is None else nearest(ids, self.size, crop=self.crop)
    if self.table is not None:
      return to_categories(small, self.table, place, ids)
    if self.num_classes is not None and not self.relabel:
      try:
        check_range(np.where(are_valid(small, self.ignore), small, small.dtype.type(0)), self.num_classes)
      except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return small


class _Palettes(NamedTuple):
  """The colors that files give to ids. Palettes may be cut down to the ids of their own file, so all files count."""

  used: dict[int, tuple[str, str]]  # ids of pixels: the color, and a file that says so
  listed: dict[int, str]  # all entries, of the first palette that has them
  must_agree: bool

  @property
  def colors(self) -> dict[int, str]:
    """The color of each id that has one, by the files where it occurs if there are any."""
    return self.listed | {i: color for i, (color, _) in self.used.items()}

  def add(self, image: LabelImage, file: str, ignore: tuple[int, ...]) -> None:
    """Raises InputError where an id has another color than in an earlier file, so that it is another class there."""
    if not image.colors:
      return
    for i, color in enumerate(image.colors):
      self.listed.setdefault(i, color)
    for i in np.flatnonzero(np.bincount(image.ids.reshape(-1))).tolist():
      if i < len(image.colors) and i not in ignore:
        color, first = self.used.setdefault(i, (image.colors[i], file))
        if self.must_agree and color != image.colors[i]:
          raise InputError(
            f"the label id {i} has the color {image.colors[i]} in {file} and {color} in {first}: the palettes differ;"
            ' say which color is which category, mapping="#rrggbb:0 ...", or give colors where the numbers are meant'
          )


def _read_files(files: Sequence[str], reader: _Reader, palettes: _Palettes) -> Shaped[np.ndarray, "maps ..."]:
  """Returns the maps of files; the palettes of those whose ids are categories are added to `palettes`."""

  def ids(file: str, content: bytes) -> Map:
    if reader.of_colors:
      return read_png_colors(content, file)
    image = read_png(content, file)
    if reader.table is None:
      palettes.add(image, file, reader.ignore)
    return image.ids

  maps = ((file, reader.read(ids(file, content), file)) for file, content in zip(files, contents(files), strict=True))
  return _stacked(maps, len(files), reader.dtype(np.dtype(np.uint16)))


def _read_array(
  array: Shaped[np.ndarray, "..."], path: str, name: str, reader: _Reader
) -> Shaped[np.ndarray, "maps ..."]:
  try:
    check_shape(name, array, array, None)
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
  in_colors = _check_axes(array, path, reader)
  places = [f"{path}: map {i} of {name or 'the array'}" for i in range(len(array))]
  read = (color_codes(each) if in_colors else each for each in array)
  maps = ((place, reader.read(ids, place)) for place, ids in zip(places, read, strict=True))
  return _stacked(maps, len(array), reader.dtype(array.dtype))


def _check_axes(array: Shaped[np.ndarray, "..."], path: str, reader: _Reader) -> bool:
  """Returns whether maps are colors. Raises InputError where an array has other axes than those of label maps."""
  in_colors = reader.of_colors and array.ndim == 4 and array.shape[-1] in (3, 4) and array.dtype == np.uint8
  if array.ndim != 3 and not in_colors:
    needed = "[maps, height, width]" + " or uint8 [maps, height, width, 3]" * reader.of_colors
    more = "; of one-hot maps save array.argmax(axis=-1), of one channel array[..., 0]" * (array.ndim == 4)
    more += ", of colors say by colors or mapping which is which category" * (bool(more) and not reader.of_colors)
    raise InputError(f"{path} has an array of shape {array.shape}; label maps are {needed}{more}")
  return in_colors


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


def _content(file: str) -> bytes:
  return open_bytes(file).data.tobytes()


def _listed(entries: Sequence[str]) -> tuple[str, ...]:
  return tuple(part.strip() for entry in entries for part in entry.split(","))


def _checked_size(shape: Sequence[int]) -> tuple[int, int]:
  if len(shape) != 2 or any(size != int(size) or size < 1 for size in shape):
    raise InputError(f"shape {tuple(shape)} must be (height, width), two whole numbers of pixels")
  return int(shape[0]), int(shape[1])
