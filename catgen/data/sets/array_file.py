"""Integers of any event shape from a NumPy file: label maps, tokens, binary images."""

from collections.abc import Sequence

from catgen.data.arrays import array_source, load_arrays
from catgen.data.labels import load_labels
from catgen.data.reading import existing_file
from catgen.interfaces import DataSource


def array_file(
  path: str,
  num_classes: int | None = None,
  length: int | None = None,
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
) -> DataSource:
  """Returns the integers of a .npy or .npz file, the first axis numbering the examples.

  Args:
    path: .npy: one array, memory-mapped. .npz: arrays named train, validation (or val, valid) and test, of which any
      may be absent, or one array of any name. Beside them `given` (with one array) or given_train and so on: labels,
      whole numbers from 0, or -1 for "not given", one for each example or [examples, attributes].
    num_classes: K, all values being in [0, K); None: the largest value plus one.
    length: cuts an array of one axis, a long stream of tokens, into sequences of this length.
    splits: of a single array, fractions or counts. A stream is cut in order; records as in `text_lines`: by a hash
      of their content for fractions, in order for counts. Not used where the file names its splits.

  Raises InputError for other dtypes than integers and booleans, differing shapes and values outside [0, K).
  """
  path = existing_file(path)
  return array_source(load_arrays(path), path, num_classes, splits, length=length, given=load_labels(path))
