"""Chooses a configuration for data that a user hands in: source, family and size, by the rules that `fit` states."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from catgen import files
from catgen.data.encodings import LONGEST_MARK
from catgen.data.integers import check_unmasked
from catgen.data.label_images import PICTURES
from catgen.data.reading import as_utf8, has_text, open_bytes
from catgen.data.tabular.parquet import columns_of_frame, csv_of
from catgen.interfaces import InputError
from catgen.keys import checked_seed
from catgen.paths import ending_of, exists, expanded, is_folder, join, parent_of
from catgen.reporting import terminal
from catgen.runs.argument_types import shown
from catgen.runs.record import has_record
from catgen.sources import DataSource

FAMILIES = ("autoregressive", "masked", "multinomial")
LONGEST_RECORD = 512  # characters
FEW_RECORDS = 200  # below, splits are counts of shuffled records: fractions by a hash have sizes by chance
STREAM_LENGTH = 64  # positions of a sequence of a stream
SHORTEST_SPLIT = 24  # a stream is so many times longer than its sequences, so that a twentieth of it holds one
_FASTA = re.compile(r"\.(fa|fasta|fna|faa)(\.(gz|xz|bz2))?$")
_TABLE = re.compile(r"\.(csv|tsv)(\.(gz|xz|bz2))?$|\.(parquet|pq)$", re.IGNORECASE)
_JSON_LINES = re.compile(r"\.jsonl(\.(gz|xz|bz2))?$")
_TEXTS = (".txt", ".txt.gz", ".txt.xz", ".txt.bz2", ".md", ".rst", ".tex")
_MOST_BYTES = 4  # of a character, in any encoding
_SHOWN = 200  # characters of a path in a message
MOST_POSITIONS = 1024  # of an event that a transformer reads without convolutions
_WHOLE = (1.0, 0.0, 0.0)  # splits of which one has everything
FEW_ROWS = 20_000  # of a table; below, a large network soon knows them by heart
ROWS_AT_ONCE = 128  # of tables
FEWEST_BINS, MOST_BINS, ROWS_OF_A_BIN = 8, 64, 20  # of numbers: a category that few rows have cannot be learned
# Times through the rows of a table, and steps; the more counts. Rows in one order of columns are soon known by heart.
MOST_EPOCHS = {"autoregressive": (12, 200), "masked": (30, 600), "multinomial": (30, 600)}

Data = str | os.PathLike[str] | Sequence[Any] | np.ndarray


class Chosen(NamedTuple):
  """A configuration, less the number of steps, and what was chosen in words."""

  config: dict[str, Any]
  reasons: tuple[str, ...]
  most_steps: int | None = None  # beyond, rows of a table are known by heart, and others less; None: no such limit
  content: bytes | None = None  # of data in memory: of the file that the section `data` names


class _Source(NamedTuple):
  """A section `data`, and what decides about family and size."""

  section: dict[str, Any]
  medium: str  # "text", "values", "rows" of a table or "maps"
  shape: tuple[int, ...]  # of an event
  reason: str
  content: bytes | None = None  # of data in memory: of the file that the section names
  rows: int = 0  # of a table, in all splits


def choose(data: Data, workdir: str | os.PathLike[str], *, family: str | None = None, seed: int = 0) -> Chosen:
  """Returns what `plan` does, after data in memory are written to files in the work directory."""
  chosen = plan(data, workdir, family=family, seed=seed)
  keep(chosen)  # last, so that what was refused leaves nothing behind
  return chosen


def plan(
  data: Data,
  workdir: str | os.PathLike[str],
  *,
  family: str | None = None,
  seed: int = 0,
  overrides: Mapping[str, Any] | None = None,
) -> Chosen:
  """Returns the configuration that `fit` trains, and writes nothing: see `keep`.

  The number of steps is left open: it depends on the time that there is.

  Args:
    data, family: see `fit`.
    workdir: where data.txt, data.csv or data.npy are to be kept.
    seed: of the run, and of the order in which few records are dealt to the splits.
    overrides: of the configuration; those of the section `data` say how data are read to choose for them, and are not
      yet in what is returned.

  Raises:
    InputError: data of another kind, too few of them, or an unknown family.
  """
  checked_seed(seed)
  if family is not None and family not in FAMILIES:
    raise InputError(f"family is {family!r}; choose one of {', '.join(FAMILIES)}, or None to have it chosen")
  keys = {key: value for key, value in (overrides or {}).items() if key.split(".")[0] in ("data", "plugins")}
  source = _source(data, workdir, seed, keys)
  family, why = (family, "as asked") if family else _family(source)
  is_unet = source.medium == "maps" and not any(size % 4 for size in source.shape)
  if not is_unet and int(np.prod(source.shape)) > MOST_POSITIONS:
    raise InputError(
      f"examples of shape {source.shape} have more than {MOST_POSITIONS} positions; bring {_smaller(source.shape)}"
    )
  is_small = source.medium == "rows" and source.rows < FEW_ROWS
  network, size = _network(source, family, is_unet, is_small)
  config = {
    "seed": seed,
    "data": source.section,
    "model": {**_MODELS[family], "network": network},
    "optimizer": _ADAM if is_small else _MUON,
    "training": {"batch_size": 16 if is_unet else ROWS_AT_ONCE if source.medium == "rows" else 32},
    "sampling": {"batch_size": 16},
  }
  epochs, steps = MOST_EPOCHS[family]
  most = max(steps, epochs * source.rows // ROWS_AT_ONCE) if source.medium == "rows" else None
  return Chosen(config, (source.reason, f"{family}: {why}", size), most, source.content)


def _smaller(shape: tuple[int, ...]) -> str:
  """Returns what to bring in place of examples of a shape that no network here is for."""
  if len(shape) == 3:
    return "label maps of two axes: of one-hot maps array.argmax(axis=-1), of one channel array[..., 0], of colors ids"
  return "shorter ones, or maps whose height and width are multiples of 4 (data.shape of label_maps brings them there)"


def keep(chosen: Chosen) -> None:
  """Writes data in memory where the section `data` says, unless they are there already. Raises what `is_kept` does."""
  if chosen.content is not None and not is_kept(chosen):
    with files.replacing(chosen.config["data"]["path"]) as file:
      file.write(chosen.content)


def is_kept(chosen: Chosen) -> bool:
  """Returns whether the data that are chosen for are in files already.

  Raises:
    InputError: other data are where data in memory would be kept, and they are not overwritten.
  """
  path = chosen.config["data"]["path"]
  if chosen.content is None:
    return True
  if not exists(path):
    return False
  if files.read_bytes(path) != chosen.content:
    if not has_record(folder := parent_of(path)):
      raise InputError(f"{path} has other data, and no run was begun with them; remove it, or choose another workdir")
    raise InputError(f"{folder} holds a run on other data; give another work directory, or the same data to go on")
  return True


_MUON = {"kind": "muon", "learning_rate": 1e-2, "adam_learning_rate": 3e-3}
_ADAM = {"kind": "adam", "learning_rate": 2e-3}
_MODELS: dict[str, dict[str, Any]] = {
  "autoregressive": {"kind": "autoregressive"},
  "masked": {"kind": "diffusion", "process": {"kind": "absorbing"}, "schedule": {"kind": "linear"}},
  "multinomial": {"kind": "diffusion", "process": {"kind": "uniform"}, "schedule": {"kind": "cosine"}},
}


def _source(data: Data, workdir: str | os.PathLike[str], seed: int, keys: Mapping[str, Any]) -> _Source:
  if isinstance(data, str | os.PathLike):
    return _of_path(expanded(data), keys)
  if (columns := columns_of_frame(data)) is not None:
    return _of_columns(columns, workdir, seed)
  check_unmasked(data, "the array")
  if isinstance(data, np.ndarray) and data.dtype.kind in "UTO" and data.ndim == 1:
    data = data.tolist()
  if isinstance(data, np.ndarray):
    return _in_memory(data, workdir, seed, keys)
  if isinstance(data, Mapping):
    raise InputError('data are a dict whose values are no lists; give each column all its cells, {"age": [37, 52]}')
  if isinstance(data, bytes) or not isinstance(data, Iterable):
    raise InputError(f"data are {shown(data)}; give a list of strings, a path, an array of integers or a data frame")
  texts = list(data)
  if texts and all(isinstance(text, str) for text in texts):
    return _of_texts(texts, workdir, seed)
  try:
    array = np.asarray(texts)
  except ValueError as error:
    raise InputError("data are examples of different shapes; bring all to one, or give a list of strings") from error
  if array.dtype.kind in "biu":
    return _in_memory(array, workdir, seed, keys)
  raise InputError(
    f"data are a {type(data).__name__} of {array.dtype}; give a list of strings, a path, an array of integers or a "
    "data frame"
  )


def _of_path(path: str, keys: Mapping[str, Any]) -> _Source:
  if is_folder(path):
    return _of_folder(path, keys)
  if path.endswith((".npy", ".npz")):
    from catgen.data.sets.array_file import load_arrays

    name, first = next(iter(load_arrays(path).items()))
    return _of_array(first, path, keys, single=not name)
  if not exists(path):
    shown = repr(path if len(path) <= _SHOWN else f"{path[:_SHOWN]}...")
    raise InputError(
      f"there is no file {shown}; give the path of a text, a .npy or .npz file, or of a folder of label maps, or the "
      "texts themselves as a list of strings"
    )
  if ending_of(path) in PICTURES:
    raise InputError(f"{path} is a single picture; give the folder of all, or an array or .npy file of label maps")
  if _FASTA.search(path):
    return _of_sequences(path, keys)
  if _TABLE.search(path):
    return _of_table({"kind": "table_file", "path": path, "unknown": "other"}, path, keys)
  return _stream(path, _characters_of(path), f"{path}: one stream of characters{_hint(path)}")


def _characters_of(path: str) -> int:
  """Returns how many characters a text has, unpacked and decoded, or as many as a stream of full length needs.

  No more of a large file is read. What is in another encoding is counted by bytes: it may be declared yet.
  """
  file = open_bytes(path, _MOST_BYTES * STREAM_LENGTH * SHORTEST_SPLIT + LONGEST_MARK)
  try:
    data = as_utf8(file).data
  except InputError:
    data = file.data
  return int(((data & 0xC0) != 0x80).sum())  # every byte of UTF-8 but the continuations starts a character


def _of_columns(columns: dict[str, list[Any]], workdir: str | os.PathLike[str], seed: int) -> _Source:
  """Returns what is chosen for a data frame, which is kept as a CSV file."""
  number = max(map(len, columns.values()), default=0)
  order = np.random.default_rng(seed).permutation(number) if number < FEW_RECORDS else None
  content = csv_of(columns, None if order is None else order.tolist())
  keys = {"separator": ",", "decimal": ".", "unknown": "other", "num_bins": bins_of(number), **_splits(number)}
  section = {"kind": "table_file", "path": join(workdir, "data.csv"), **keys}
  reason = f"{number:,} rows of {len(columns)} columns: a table"
  return _Source(section, "rows", (len(columns),), reason, content, number)


def bins_of(rows: int) -> int:
  """Returns how many categories numbers get in a table of so many rows."""
  return min(MOST_BINS, max(FEWEST_BINS, rows // ROWS_OF_A_BIN))


def _of_table(section: dict[str, Any], path: str, keys: Mapping[str, Any]) -> _Source:
  section = _dealt(section, keys)
  source = _read(section, keys)
  rows, columns = sum(split.num_examples for split in source.splits.values()), source.event.shape[0]
  section |= {"num_bins": bins_of(rows)}
  reason = f"{path}: a table of {rows:,} rows of {columns} columns (for the text of one column: data.kind text_table)"
  return _Source(section, "rows", source.event.shape, reason, rows=rows)


def _hint(path: str) -> str:
  return "; for a field of it train with the kind of data text_table" if _JSON_LINES.search(path) else ""


def _of_sequences(path: str, keys: Mapping[str, Any]) -> _Source:
  section = {"kind": "fasta", "path": path, "length": STREAM_LENGTH, "longer": "windows"}
  reason = f"{path}: sequences in windows of {STREAM_LENGTH} letters"
  return _Source(_dealt(section, keys), "text", (STREAM_LENGTH,), reason)


def _of_texts_in(folder: str, names: Sequence[str], keys: Mapping[str, Any]) -> _Source:
  section, number = {"kind": "text_folder", "path": folder, "length": STREAM_LENGTH}, sum(map(has_text, names))
  reason = f"{folder} is a folder of texts: {number:,} documents, none in two splits"
  return _Source(_dealt(section, keys, number), "text", (STREAM_LENGTH,), reason)


def _keyed(section: dict[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a section `data` after the changes that a user makes to it."""
  from catgen.config import apply_overrides

  changed: dict[str, Any] = apply_overrides({"data": section}, keys)["data"]
  return changed


def _read(section: dict[str, Any], keys: Mapping[str, Any], **splits: Any) -> DataSource:
  """Returns the data of a section as they are read by the keys of a user, and cut by `splits` where that is given."""
  from catgen.config import make_source

  return make_source(_keyed(section, keys) | splits)


def _dealt(section: dict[str, Any], keys: Mapping[str, Any], number: int | None = None) -> dict[str, Any]:
  """Returns a section with splits by count where there are too few records for fractions; number: of records."""
  try:
    _read(section, keys)
    return section
  except InputError:  # or what is wrong with them, which the second reading tells
    whole = _read(section, keys, splits=_WHOLE)
  return section | {"splits": _counts(number or whole.splits["train"].num_examples)}


def _of_folder(path: str, keys: Mapping[str, Any]) -> _Source:
  from catgen.data.sets.text_folder import files_of

  names = files_of(path)
  if all(name.lower().endswith(_TEXTS) for name in names):
    return _of_texts_in(path, names, keys)
  section = {"kind": "label_maps", "path": path}
  source = _read(section, keys, splits=_WHOLE)
  are_split = source.splits.keys() != {"train"}  # by folders that are called so
  section |= {} if are_split else _splits(source.splits["train"].num_examples)
  return _Source(section, "maps", source.event.shape, f"{path} is a folder: label maps")


def _of_texts(texts: Sequence[str], workdir: str | os.PathLike[str], seed: int) -> _Source:
  for number, text in enumerate(texts):
    if surrogates := re.findall("[\ud800-\udfff]", text):
      raise InputError(f"text {number} has {surrogates[0]!r}, half a character, which no file can hold; remove it")
  lengths, broken = {len(text) for text in texts}, any("\n" in text or "\r" in text for text in texts)
  path = join(workdir, "data.txt")
  if broken or len(lengths) > 1 or not 0 < max(lengths) <= LONGEST_RECORD:
    between, how = ("\n\n", "blank lines") if broken else ("\n", "line breaks")
    content = between.join(texts)
    reason = f"{len(texts):,} texts: one stream of characters, {how} between them"
    return _stream(path, len(content), reason)._replace(content=content.encode())
  order = np.random.default_rng(seed).permutation(len(texts)) if len(texts) < FEW_RECORDS else range(len(texts))
  content, length = "".join(f"{texts[i]}\n" for i in order), max(lengths)
  section = {"kind": "text_lines", "path": path, "length": length, **_splits(len(texts))}
  reason = f"{len(texts):,} texts of {length} characters: a record each"
  return _Source(section, "text", (length,), reason, content.encode())


def _stream(path: str, number: int, reason: str) -> _Source:
  length = min(STREAM_LENGTH, number // SHORTEST_SPLIT)
  if length < 2:
    raise InputError(f"{path} has {number} characters, too few to learn from; bring at least {2 * SHORTEST_SPLIT}")
  return _Source({"kind": "text_file", "path": path, "length": length}, "text", (length,), reason)


def _in_memory(
  array: Shaped[np.ndarray, "..."], workdir: str | os.PathLike[str], seed: int, keys: Mapping[str, Any]
) -> _Source:
  found = _of_array(array, join(workdir, "data.npy"), keys, single=True)
  few = array.ndim > 1 and len(array) < FEW_RECORDS
  content = io.BytesIO()
  np.save(content, array[np.random.default_rng(seed).permutation(len(array))] if few else array)
  return found._replace(content=content.getvalue())


def _of_array(array: Shaped[np.ndarray, "..."], path: str, keys: Mapping[str, Any], *, single: bool) -> _Source:
  """Returns what is chosen for an array of a file; single: it is not split yet."""
  if array.dtype.kind not in "biu":
    raise InputError(f"the array has dtype {array.dtype}; integers are needed: convert it")
  if array.ndim == 0 or not array.size:
    raise InputError(f"the array has shape {array.shape} and no data; the first axis must number examples")
  shape, number = array.shape, len(array)
  if len(shape) == 1:
    length = min(STREAM_LENGTH, number // SHORTEST_SPLIT)
    if length < 2:
      raise InputError(f"a stream of {number} integers is too short; bring at least {2 * SHORTEST_SPLIT}")
    section = {"kind": "array_file", "path": path, "length": length}
    return _Source(section, "values", (length,), f"{number:,} integers: one stream")
  section = {"kind": "array_file", "path": path, **(_splits(number) if single else {})}
  read = _keyed(section, keys)
  event = tuple(read.get("shape") or shape[1 : 3 if read["kind"] == "label_maps" else None])
  medium, what = ("maps", "label maps") if len(event) == 2 else ("values", "records")
  return _Source(section, medium, event, f"{number:,} {what} of {' x '.join(map(str, event))}")


def _splits(number: int) -> dict[str, Any]:
  """Returns splits by count where there are few records; otherwise the data set's own fractions."""
  return {} if number >= FEW_RECORDS else {"splits": _counts(number)}


def _counts(number: int) -> tuple[int, int, int]:
  held_out = max(1, number // 20)
  if number < 3:
    raise InputError(
      f"{terminal.counted(number, 'example')} cannot be split into train, validation and test; bring at least 3"
    )
  return number - 2 * held_out, held_out, held_out


def _family(source: _Source) -> tuple[str, str]:
  if source.medium == "text":
    return "autoregressive", "text reads best from left to right"
  if source.medium == "maps":
    return "multinomial", "maps are drawn as wholes, from coarse to fine"
  return "masked", "completes holes anywhere, exactly"


def _network(source: _Source, family: str, is_unet: bool, is_small: bool) -> tuple[dict[str, Any], str]:
  if is_unet and family != "autoregressive":
    patch = 2 if all(size % 8 == 0 for size in source.shape) else 1
    sizes = {"kind": "unet", "widths": (32, 64, 96), "patch_size": patch, "num_layers": 3}
    return sizes, "a U-Net of widths 32, 64, 96"
  if is_small:
    sizes = {"kind": "transformer", "width": 64, "num_layers": 2, "num_heads": 4, "dropout": 0.2}
    return sizes, "a transformer of 2 layers, 64 wide, and dropout, since there are few rows"
  taps = {"conv_width": 5} if len(source.shape) == 1 and source.medium != "rows" else {}
  sizes = {"kind": "transformer", "width": 128, "num_layers": 4, "num_heads": 4, **taps}
  return sizes, "a transformer of 4 layers, 128 wide"
