"""Integers of any event shape from a NumPy file: label maps, tokens, binary images."""

from collections.abc import Sequence

from catgen.data.arrays import Ids, array_source, load_arrays
from catgen.data.labels import load_labels
from catgen.data.legends import make_legend
from catgen.data.reading import existing_file
from catgen.data.splits import SPLIT_RULE
from catgen.interfaces import DataSource, Legend


def array_file(
  path: str,
  num_classes: int | None = None,
  length: int | None = None,
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  ignore: Sequence[int] = (),
  relabel: bool = False,
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns the integers of a .npy or .npz file, the first axis numbering the examples.

  Args:
    path: .npy: one array, memory-mapped. .npz: arrays named train, validation (or val, valid) and test, of which any
      may be absent, or one array of any name. Beside them `given` (with one array) or given_train and so on: labels,
      whole numbers from 0, or -1 for "not given", one for each example or [examples, attributes].
    num_classes: K, all values being in [0, K); None: the largest value plus one, where not nearly all of so many
      categories are without an example (see `number_of_categories`).
    length: cuts an array of one axis, a long stream of tokens, into sequences of this length.
    splits: of a single array, fractions or counts. A stream is cut in order; records as in `text_lines`: by a hash
      of their content for fractions, in order for counts. Not used where the file names its splits.
    ignore: values that are no category, such as 255 for "void": positions with them are not valid, so that they are
      read by no network and count 0 nats.
    relabel: number the values that occur, ascending, as categories 0 to K - 1. Files of samples and inputs hold the
      values as they are.
    split_rule: which rule splits by fractions and makes the SHA-256: 3, by the integers alone; 1 and 2 read as earlier
      versions did, for work directories of theirs.

  Raises InputError for other dtypes than integers and booleans, differing shapes and values outside [0, K).
  """
  path = existing_file(path)
  arrays = load_arrays(path)

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
    given=load_labels(path),
    ignore=ignore,
    relabel=relabel,
    split_rule=split_rule,
  )
