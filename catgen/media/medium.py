"""What differs between text, label maps and plain integers, as one record of functions."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped

from catgen.bounds import Estimate
from catgen.data.reading import existing_file
from catgen.data.sets.array_file import load_arrays
from catgen.evaluation import samples
from catgen.evaluation.samples import Frequencies
from catgen.interfaces import Batch, InputError

Examples = Sequence[Any] | np.ndarray  # texts, or arrays along a first axis
HOLE = -1  # in a batch: a position that is not known; in a user's array it is `LabelIds.nothing`


class Pattern(NamedTuple):
  """An example of which some positions are to be completed."""

  x: Int[np.ndarray, "*event"]  # anything where not observed
  observed: Bool[np.ndarray, "*event"]
  truth: Int[np.ndarray, "*event"] | None = None  # the whole example, where it is known; -1 where it has no category


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


class Media(NamedTuple):
  """One kind of example. A function that it lacks is None."""

  name: str  # of several examples: "sequences", "maps", "arrays"
  typed: Callable[..., Batch]  # (examples): what a user hands in, strings or arrays; raises InputError
  read: Callable[..., Batch]  # (path): examples of a file; `index` is how a user would number them
  shown: Callable[[Batch], list[str]]  # lines for the terminal, one an example where `line_each`
  written: Callable[[str, Batch], None]  # (path, batch): a file of examples, as they are
  compared: Callable[..., list[list[str]]]  # ({name: batch}): rows of statistics, those of the last set as reference
  line_each: bool = True
  pictured: Pictures = Pictures()
  baselines: Callable[..., Counted] | None = None  # (source, batch): counts of the training split, scored on a batch
  parse: Callable[..., Pattern] | None = None  # (text, *, hole, pad): a typed pattern
  read_holes: Callable[..., Batch] | None = None  # (path): as `read`, but x may be HOLE
  typed_holes: Callable[..., Batch] | None = None  # (examples): as `typed`, but x may be HOLE
  frames: Callable[..., list[str]] | None = None  # (states [frames, *event]): a sampler's states as lines
  corrections: Callable[..., str] | None = None  # (typed, corrected, probability, *, color): changes, one by one


def marked(batch: Batch) -> Int[np.ndarray, "*batch"]:
  """Returns examples with -1 where they have no category."""
  return np.where(batch.valid, batch.x, -1)


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


def read_array(path: str) -> Int[np.ndarray, "*shape"]:
  """Returns the integers of a .npy file, or of a .npz file of one array.

  Raises:
    InputError: it cannot be read, or holds something else.
  """
  arrays = load_arrays(existing_file(path))
  if "" not in arrays:
    raise InputError(f"{path} holds several arrays ({', '.join(arrays)}); give a file of one")
  array: Shaped[np.ndarray, "*shape"] = np.asarray(arrays[""])
  if array.dtype.kind not in "biu":
    raise InputError(f"{path} holds {array.dtype}; integers are needed: convert it")
  return array.astype(np.int64)
