"""Integers of any event shape from a NumPy file: label maps, tokens, binary images."""

import glob
from collections.abc import Sequence
from typing import Any

from catgen.data.arrays import Ids, array_source, load_arrays
from catgen.data.labels import load_labels
from catgen.data.legends import make_legend
from catgen.data.reading import existing_file
from catgen.data.remembered import of_files
from catgen.data.shard_files import find_shards, open_shards
from catgen.data.splits import SPLIT_RULE
from catgen.paths import expanded, is_file, is_folder
from catgen.sources import DataSource, Legend


def array_file(
  path: str,
  num_classes: int | None = None,
  length: int | None = None,
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  ignore: Sequence[int] = (),
  relabel: bool = False,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns the integers of a .npy or .npz file, or of many .npy files, the first axis numbering the examples.

  Args:
    path: .npy: one array, memory-mapped. .npz: arrays named train, validation (or val, valid) and test, of which any
      may be absent, or one array of any name. Beside them `given` (with one array) or given_train and so on: labels,
      whole numbers from 0, or -1 for "not given", one for each example or [examples, attributes]. A folder or a pattern
      of .npy files, "tokens/*.npy": in the order of their names one array, or one for each split where all their names
      begin with train, validation (val, valid) or test; they are mapped too, and in an object store read where training
      asks for them, so that they need fit into no memory and on no disk.
    num_classes: K, all values being in [0, K); None: the largest value plus one, where not nearly all of so many
      categories are without an example (see `number_of_categories`).
    length: cuts an array of one axis, a long stream of tokens, into sequences of this length.
    splits: of a single array, fractions or counts. A stream is cut in order; records as in `text_lines`: by a hash
      of their content for fractions, see `split_rule`, in order for counts. Not used where the file names its splits.
    ignore: values that are no category, such as 255 for "void": positions with them are not valid, so that they are
      read by no network and count 0 nats.
    relabel: number the values that occur, ascending, as categories 0 to K - 1. Files of samples and inputs hold the
      values as they are.
    split_rule: which rule splits records by fractions and makes the SHA-256. 4: by the integers and which copy of them
      a record is, so that each split is a sample of the same law. 3: by the integers alone, so that equal records never
      lie in two splits, as where repeats are copies of the same thing. 1 and 2 read as earlier versions did, for work
      directories of theirs.

  Raises InputError for other dtypes than integers and booleans, differing shapes and values outside [0, K).
  """
  settings = {"K": num_classes, "length": length, "splits": splits, "ignore": ignore, "relabel": relabel}
  path = expanded(path)
  several = is_folder(path) or (glob.has_magic(path) and not is_file(path))
  files = find_shards(path) if several else {"": [existing_file(path)]}
  arrays: dict[str, Any] = {name: open_shards(some) for name, some in files.items()} if several else load_arrays(path)

  def legend(count: int, ids: Ids | None) -> Legend | None:
    are_maps = next(iter(arrays.values())).ndim == 3
    return None if ids is None or not are_maps else make_legend(count, tuple(map(str, ids.tolist())))

  return array_source(
    arrays,
    path,
    num_classes,
    splits,
    length=length,
    legend=legend,
    given=None if several else load_labels(path),
    ignore=ignore,
    relabel=relabel,
    split_rule=split_rule,
    recall=of_files([file for some in files.values() for file in some], settings | {"rule": split_rule}),
  )
