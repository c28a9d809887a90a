"""What differs between text, label maps and plain integers, as one record of functions."""

import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

from catgen.batches import batch_of
from catgen.bounds import Estimate
from catgen.data.integers import check_range, check_unmasked
from catgen.data.reading import existing_file
from catgen.data.sets.array_file import load_arrays
from catgen.evaluation import samples
from catgen.evaluation.judges import Judge
from catgen.evaluation.samples import Frequencies
from catgen.files import is_stream
from catgen.interfaces import Batch, InputError
from catgen.paths import ending_of, expanded, is_folder
from catgen.records import shown_briefly
from catgen.sources import Split

Examples = Sequence[Any] | np.ndarray  # texts, or arrays along a first axis
HOLE = -1  # in a batch: no category, or one that is not known; in what a user has it is `LabelIds.nothing`


@shown_briefly
class Pattern(NamedTuple):
  """An example of which some positions are to be completed."""

  x: Int[np.ndarray, "*event"]  # anything where not observed
  observed: Bool[np.ndarray, "*event"]
  truth: Int[np.ndarray, "*event"] | None = None  # the whole example, where it is known; -1 where it has no category
  ignored: int = 0  # positions to be completed that have no category in the data


class Counted(NamedTuple):
  """What counts of the training split reach on other examples."""

  estimates: dict[str, Estimate]
  note: str  # how they were counted, where it needs saying


class Pictures(NamedTuple):
  """How examples become pictures; None where a medium has no such picture. A set of examples is a `Batch`."""

  samples: Callable[..., None] | None = None  # (path, batch, *, title): one set
  beside: Callable[..., None] | None = None  # (path, {name: batch}, *, title): sets side by side
  models: Callable[..., None] | None = None  # (path, {name: batch}): a column for each of several models
  statistics: Callable[..., None] | None = None  # (path, {name: batch}): how often categories and neighbors occur
  chain: Callable[..., list[str]] | None = None  # (folder, states [frames, examples, *event]) -> paths
  completions: Callable[..., list[str]] | None = None  # (folder, pattern, completions) -> paths
  corrections: Callable[..., None] | None = None  # (path, {name: x}): one example, before and after
  colors: Callable[..., UInt8[np.ndarray, "*event 3"]] | None = None  # (x): one example as the colors of its categories


@shown_briefly
class Media(NamedTuple):
  """One kind of example. A function that it lacks is None."""

  name: str  # of several examples: "sequences", "maps", "arrays"
  typed: Callable[..., Batch]  # (examples): what a user hands in, strings or arrays; raises InputError
  # (path): examples of a file, not valid where HOLE; `index` is how a user would number them. Of text, and
  # where `encoded`, (path, encoding)
  read: Callable[..., Batch]
  shown: Callable[[Batch], list[str]]  # lines for the terminal, one an example where `line_each`
  written: Callable[[str, Batch], None]  # (path, batch): a file of examples, which `read` gives back as they are
  # (path, *, invalid): raises InputError where a file of this name cannot hold whatever may be written; invalid: also
  # positions without a category
  check_output: Callable[..., Any]
  named: Callable[[str], tuple[int, ...]]  # (text): categories as a user calls them -> their numbers
  compared: Callable[..., list[list[str]]]  # ({name: batch}): rows of statistics, those of the last set as reference
  line_each: bool = True
  pictured: Pictures = Pictures()
  baselines: Callable[..., Counted] | None = None  # (source, batch): counts of the training split, scored on a batch
  # (training split): what its counts say of samples; raises InputError where there is nothing to count
  judge: Callable[[Split], Judge] | None = None
  parse: Callable[..., Pattern] | None = None  # (text, *, hole, pad): a typed pattern
  read_holes: Callable[..., Batch] | None = None  # (path): as `read`, but x may be HOLE
  typed_holes: Callable[..., Batch] | None = None  # (examples): as `typed`, but x may be HOLE
  # (path or examples, rows, x, *, hole, output, encoding, changed): lines of examples whose holes, or what is changed,
  # are filled by x, all else being as it was typed, or a file of them; rows: the example that each is of. Only where
  # holes are cells that users choose: then `read_holes` and `typed_holes` take hole= too, and `read_holes` encoding=
  filled: Callable[..., list[str]] | None = None
  # (path or examples, encoding): examples as `read` and `typed` give them, and by the number of the example, numbers
  # beyond all that training has
  with_beyond: Callable[..., tuple[Batch, dict[int, list[Any]]]] | None = None
  encoded: bool = False  # files that are read have an encoding, which `read` takes
  frames: Callable[..., list[str]] | None = None  # (states [frames, *event]): a sampler's states as lines
  warnings: Callable[[], tuple[str, ...]] = tuple  # () -> lines about what pictures cannot show; reads fonts
  corrections: Callable[..., str] | None = None  # (typed, corrected, probability, *, color): changes, one by one


def marked(batch: Batch) -> Int[np.ndarray, "*batch"]:
  """Returns examples with -1 where they have no category."""
  return np.where(batch.valid, batch.x, -1)


def unmarked(x: Int[np.ndarray, "*batch"]) -> Batch:
  """Returns the examples that `marked` gives with -1 where they have no category."""
  return batch_of(np.maximum(x, 0), x >= 0)


def statistics(
  sets: dict[str, Batch], num_classes: int, position: str
) -> tuple[list[list[str]], dict[str, Frequencies]]:
  """Returns rows that set each set beside the last one, and the frequencies that they are made of."""
  found = {name: samples.frequencies(each, num_classes) for name, each in sets.items()}
  *_, reference = found.values()
  names = {"classes": "categories", "pairs": "neighbor pairs"}
  if reference.pairs_below is not None:
    names |= {"pairs": "pairs to the right", "pairs_below": "pairs below"}
  rows = [
    ["examples", *(f"{len(each.x):,}" for each in sets.values())],
    [f"entropy of a {position}, bits", *(f"{samples.entropy(each.classes):.3f}" for each in found.values())],
  ]
  for field, name in names.items():
    divergences = (samples.divergence(getattr(each, field), getattr(reference, field)) for each in found.values())
    rows.append([f"{name}: divergence from training, bits", *(f"{value:.4f}" for value in divergences)])
  return rows, found


def chain_labels(number: int) -> list[str]:
  """Returns how far each frame of a chain is, in percent."""
  return [f"{i / max(1, number - 1):.0%}" for i in range(number)]


def evenly(number: int, wanted: int) -> Int[np.ndarray, "chosen"]:
  """Returns the numbers of so many of `number` things, evenly spaced, first and last among them."""
  return np.unique(np.round(np.linspace(0, number - 1, wanted)).astype(np.int64))


def chosen_ending(path: str, known: Sequence[str], *, for_pipes: str) -> str:
  """Returns which of the known endings a path has; `for_pipes` for a device or a pipe, whose name says nothing.

  Raises:
    InputError: it has another one, or none.
  """
  if is_stream(path):
    return for_pipes
  if is_folder(expanded(path)):
    raise InputError(f"{path} is a folder; name a file in it")
  ending = ending_of(path)
  if ending not in known:
    has = f"ends in {ending}" if ending else "has no ending"
    raise InputError(f"{path} {has}, which says what is written; give a name that ends in {' or '.join(known)}")
  return ending


def npy_bytes(array: Int[np.ndarray, "*shape"]) -> bytes:
  """Returns the content of a .npy file: NumPy by itself does not write to a pipe."""
  content = io.BytesIO()
  np.save(content, array)
  return content.getvalue()


def check_categories(array: Int[np.ndarray, "*shape"], num_classes: int) -> Int[np.ndarray, "*shape"]:
  """Returns an array of categories, or HOLE, as int32. Raises InputError that names what is neither."""
  check_range(np.where(array == HOLE, 0, array), num_classes)
  return array.astype(np.int32)


def numbered(text: str, ids: Sequence[int], names: Sequence[str] = ()) -> tuple[int, ...]:
  """Returns which categories are listed with commas, each by its name or its id.

  Args:
    text: the list.
    ids: of all categories, in their order: what a user calls them.
    names: of all categories, or none.

  Raises:
    InputError: one does not exist.

  Example:
    >>> numbered("sky, 7", [7, 8, 24], ("void", "road", "sky"))
    (2, 0)
  """
  found = []
  for entry in filter(None, map(str.strip, text.split(","))):
    if entry in names:
      found.append(names.index(entry))
    elif re.fullmatch(r"-?[0-9]{1,18}", entry) and int(entry) in ids:
      found.append(ids.index(int(entry)))
    else:
      known = f"0 to {ids[-1]}" if ids == range(len(ids)) else _shortened(list(map(str, ids)))
      known += f", or {_shortened(names)}" if any(map(str.__ne__, names, map(str, ids))) else ""
      raise InputError(f"there is no category {entry!r}; the categories are {known}")
  return tuple(found)


def _shortened(words: Sequence[str]) -> str:
  return ", ".join(words[:8]) + " ..." * (len(words) > 8)


def reader(media: Media, path: str | None, encoding: str) -> Callable[..., Batch]:
  """Returns what reads a file of examples in a declared encoding. Raises InputError where there is no text to read."""
  if encoding == "utf-8":
    return media.read
  if path is None or not (media.encoded or media.parse):
    raise InputError(f"--encoding={encoding} says how the text of --input is stored, and there is none; leave it out")
  return partial(media.read, encoding=encoding)


def read_array(path: str) -> Int[np.ndarray, "*shape"]:
  """Returns the integers of a .npy file, or of a .npz file of one array.

  Raises:
    InputError: it cannot be read, or holds something else.
  """
  arrays = load_arrays(existing_file(path))
  if "" not in arrays:
    raise InputError(f"{path} holds several arrays ({', '.join(arrays)}); give a file of one")
  return integers_of(arrays[""], path)


def integers_of(values: Any, owner: str) -> Int[np.ndarray, "*shape"]:
  """Returns an array of integers as int64.

  Args:
    values: an array, or nested lists.
    owner: what holds them, for the message.

  Raises:
    InputError: they are no integers, have a mask or more than 63 bits, or are lists of different lengths.
  """
  check_unmasked(values, owner)
  try:
    array: Shaped[np.ndarray, "*shape"] = np.asarray(values)
  except ValueError as error:
    raise InputError(f"{owner}: the examples have different shapes; bring all to one") from error
  if array.dtype.kind not in "biu":
    raise InputError(f"{owner} holds {array.dtype}; integers are needed: convert it")
  if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
    raise InputError(f"{owner} holds {array.max()}, which has more than 63 bits; correct it")
  return array.astype(np.int64)
