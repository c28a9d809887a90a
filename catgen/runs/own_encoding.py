"""The encoding of a file that a run is handed: the one that its own data have, unless the file is UTF-8."""

import codecs

from catgen.data.encodings import LONGEST_MARK, encoding_of
from catgen.data.reading import open_bytes
from catgen.data.splits import BLOCK
from catgen.paths import ending_of
from catgen.runs.record import RunRecord

_NO_TEXT = (".npy", ".npz", ".parquet", ".pq")
_NOT_UTF8 = (b"\0", b"\x1b")  # in text only of UTF-16 and UTF-32, and of encodings that switch between alphabets


def encoding_for(record: RunRecord, path: str | None, encoding: str | None) -> str:
  """Returns the encoding of a text of a user: the one that is given, or that of the run's own data, or UTF-8.

  What catgen writes is UTF-8 whatever it was trained on, so a file that is UTF-8 is read so.

  Args:
    record: of the run.
    path: of the file; None: nothing is read.
    encoding: what the user says; None: nothing.

  Raises:
    InputError: the file cannot be read.
  """
  if encoding is not None:
    return encoding
  return "utf-8" if path is None else unless_utf8(path, encoding_of_data(record))


def encoding_of_data(record: RunRecord) -> str:
  """Returns the encoding of the texts that a run was trained on."""
  own = record.config.get("data", {}).get("encoding")
  return own if isinstance(own, str) else "utf-8"


def unless_utf8(path: str, own: str) -> str:
  """Returns an encoding, or "utf-8" where a file is UTF-8. Raises InputError where it cannot be read."""
  if own.lower().replace("_", "-") in ("utf-8", "utf8") or ending_of(path.lower()) in _NO_TEXT:
    return "utf-8"
  content, decoder = open_bytes(path).data, codecs.getincrementaldecoder("utf-8")()
  if encoding_of(path, content[:LONGEST_MARK].tobytes(), "utf-8")[1]:
    return "utf-8"  # the mark decides
  for start in range(0, len(content), BLOCK):
    block = content[start : start + BLOCK].tobytes()
    if any(sign in block for sign in _NOT_UTF8):
      return own
    try:
      decoder.decode(block, final=start + BLOCK >= len(content))
    except UnicodeDecodeError:
      return own
  return "utf-8"
