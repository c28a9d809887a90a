"""A folder of text files, or a pattern of paths: each file is a document, and none lies in two splits."""

import glob
from collections.abc import Iterator, Sequence

import numpy as np

from catgen.data.reading import SAVE, FileBytes, NoTextError, decoded, kept, open_text
from catgen.data.records import Records, record_source
from catgen.data.splits import SPLIT_RULE
from catgen.interfaces import InputError
from catgen.paths import expanded, is_folder, join, matching
from catgen.sources import DataSource


def text_folder(
  path: str,
  length: int = 256,
  alphabet: str = "infer",
  splits: Sequence[float | int] = (0.9, 0.05, 0.05),
  encoding: str = "utf-8",
  split_rule: int = SPLIT_RULE,
) -> DataSource:
  """Returns documents, cut into sequences of `length` that never span two of them.

  The last sequence of a document is padded with valid = False; training also takes sequences from everywhere in it.
  Empty files are left out, packed ones and those of a byte order mark alone too. Characters stay as they are: a line
  break of Windows is two, "\\r" and "\\n".

  Args:
    path: a folder, of which all files are taken, those in folders of it too, less hidden ones; or a pattern such as
      "books/**/*.txt". The files are text; .gz, .xz and .bz2 are unpacked.
    length: positions of a sequence, at least 1.
    alphabet: "infer" (the characters that occur, sorted), "bytes" (of UTF-8), "text8", or the characters themselves.
    splits: of train, validation, test. Fractions: a hash of the document decides, see `split_rule`. Counts of
      documents: in the order of their paths.
    encoding: of files without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...
    split_rule: as in `text_lines`; 3 keeps files of equal content in one split.
  """
  names, sizes = [], []

  def contents() -> Iterator[bytes]:
    for name in files_of(path):
      try:
        pieces = [text.encode() for text in decoded(open_text(name, encoding), SAVE)]
      except NoTextError:
        continue
      names.append(name)
      sizes.append(sum(map(len, pieces)))
      yield from pieces

  data = kept(contents())
  if not names:
    raise InputError(f"{path} has no file with text; correct the path")
  stop = np.cumsum(sizes)
  file = FileBytes(path, data, True)
  records = Records(file, stop - sizes, stop, "documents", lambda i: names[i])
  return record_source(
    records, length=length, alphabet=alphabet, splits=splits, longer="windows", split_rule=split_rule, whole=True
  )


def files_of(path: str) -> list[str]:
  """Returns the paths of the files of a folder or a pattern, sorted, empty ones too. Raises InputError without any."""
  top = expanded(path)
  found = matching(join(glob.escape(top), "**", "*") if is_folder(top) else top)
  if not found:
    raise InputError(f"{path} names no file; give a folder of text files, or a pattern such as 'books/**/*.txt'")
  return found
