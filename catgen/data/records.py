"""Records of text, whatever file they came from: checked, numbered by an alphabet, split, and read by their number."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64, Shaped

from catgen.batches import batch_of
from catgen.data.characters import TEXT8_ALPHABET, character_table, code_points, show
from catgen.data.codecs import alphabet_codec, byte_codec, ended
from catgen.data.labels import Labels, labels_of
from catgen.data.reading import FileBytes, byte_counts, decoded, inferred_alphabet, present_characters, room_for
from catgen.data.splits import (
  INTEGERS_ALONE,
  SPLIT_RULE,
  blocks,
  check_split_rule,
  fingerprint,
  record_numbers,
  record_split,
)
from catgen.given import sizes_of
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.sources import Codec, DataSource, Split

RECORDS_AT_ONCE = 4096
LONGER = ("refuse", "cut", "drop", "windows")


class Records(NamedTuple):
  """Records of text, one after the other: where each starts and stops, in bytes."""

  file: FileBytes  # UTF-8, or any bytes
  start: Int64[np.ndarray, "records"]
  stop: Int64[np.ndarray, "records"]
  unit: str  # what several of them are called: "lines"
  place: Callable[[int], str]  # where a user finds a record: "line 3"
  between: str = ""  # characters that stand between records and in none of them
  labels: Labels | None = None
  note: str = ""  # for the description


class _Numbers(NamedTuple):
  """The records as numbers: `table[values]` are categories, or `values` themselves where there is no table."""

  values: Shaped[np.ndarray, "positions"]
  table: Shaped[np.ndarray, "256"] | None
  start: Int64[np.ndarray, "records"]  # in `values`
  stop: Int64[np.ndarray, "records"]

  def at(self, where: slice | Int64[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "..."]:
    """Returns categories."""
    values = self.values[where]
    return values if self.table is None else self.table[values]


class _Examples(NamedTuple):
  """What of the records becomes an example each."""

  start: Int64[np.ndarray, "examples"]  # in `_Numbers.values`
  stop: Int64[np.ndarray, "examples"]
  owner: Int64[np.ndarray, "examples"]  # the record that an example is of, ascending


def record_source(
  records: Records,
  *,
  length: int,
  alphabet: str,
  splits: Sequence[float | int],
  longer: str,
  end: bool = False,
  split_rule: int = SPLIT_RULE,
  whole: bool = False,
) -> DataSource:
  """Returns the source of records, each padded to `length`, or filled up by ends.

  Args:
    records: where they are.
    length, alphabet, splits, longer, end, split_rule: see `text_lines`.
    whole: counts in `splits` are of records even where they are cut into windows.
  """
  _check(length, longer, end, split_rule)
  codec, num_classes, numbers = _numbered(records, TEXT8_ALPHABET if alphabet == "text8" else alphabet)
  examples = _fitted(records, numbers, length, longer, end)
  if end:
    codec, num_classes = ended(codec, num_classes, length), num_classes + 1
  chosen = _split_examples(records, numbers, examples, splits, split_rule, whole=whole)
  labels = None if records.labels is None else records.labels.numbers[""][examples.owner]
  attributes = () if records.labels is None else records.labels.attributes
  sizes = sizes_of(attributes)
  read = _reader(numbers, length, num_classes - 1 if end else None)
  parts = {}
  for name, members in chosen.items():
    own = None if labels is None else labels[members]
    taken = _Examples(*(field[members] for field in examples))
    split = _split(taken, length, read, own, sizes, crops=longer == "windows")
    parts[name] = split._replace(whole=end or bool((taken.stop - taken.start == length).all()))
  kinds = "bytes" if alphabet == "bytes" else "characters"
  used = np.minimum(examples.stop - examples.start, length)
  kept = np.unique(examples.owner)
  sums = [int((each.stop - each.start)[kept].sum()) for each in (records, numbers)]
  size = sums[0] / max(1, sums[1])  # bytes of a character, on average
  return DataSource(
    event=EventSpec((length,), num_classes, sizes),
    splits=parts,
    codec=codec,
    position="position" if end else kinds[:-1],
    bytes_per_position=size * float(used.mean()) / length if end else size,
    fingerprint=fingerprint(
      {name: _in_order(split) for name, split in parts.items()},
      num_classes + 1,
      attributes,
      None if labels is None else {name: labels[members] for name, members in chosen.items()},
    ),
    description=_description(records, numbers, num_classes - end, kinds) + records.note,
    attributes=attributes,
    longest=int(used.max()) if not end and used.min() < length else None,
  )


def _check(length: int, longer: str, end: bool, split_rule: int) -> None:
  if longer not in LONGER:
    raise InputError(f'longer is {longer!r}; it must be "refuse", "cut", "drop" or "windows"')
  if length < 1 + end:
    raise InputError(f"length is {length}; it must be at least {1 + end}")
  if end and longer == "windows":
    raise InputError('longer="windows" cuts records where they do not end; leave end out, or choose another')
  check_split_rule(split_rule)


def _numbered(records: Records, alphabet: str) -> tuple[Codec, int, _Numbers]:
  """Returns codec, number of categories, and the records as numbers."""
  data = records.file.data
  if alphabet == "bytes":
    return byte_codec(), 256, _Numbers(data, None, records.start, records.stop)
  counts = byte_counts(data)
  is_ascii = not counts[128:].any()
  alphabet = _checked_alphabet(records, counts if is_ascii else None, alphabet)
  codec, table = alphabet_codec(alphabet), character_table(alphabet)
  if is_ascii:
    return codec, len(alphabet), _Numbers(data, table[:256], records.start, records.stop)
  values = room_for(int(counts.sum() - counts[0x80:0xC0].sum()), table.dtype)
  done = 0
  for text in decoded(records.file):
    values[done : done + len(text)] = table[code_points(text)]
    done += len(text)
  start, stop = (_characters_before(data, edges) for edges in (records.start, records.stop))
  return codec, len(alphabet), _Numbers(values[:done], None, start, stop)


def _checked_alphabet(records: Records, counts: Int[np.ndarray, "256"] | None, alphabet: str) -> str:
  """Returns the alphabet, inferred if so wished; raises InputError naming the first record with a character outside.

  counts: of byte values, where all are ASCII.
  """
  file = records.file
  if counts is None:
    present = present_characters(file)
  else:
    present = np.zeros(0x110000, bool)
    present[:256] = counts > 0
  present[code_points(records.between)] = False
  if alphabet == "infer":
    return inferred_alphabet(np.flatnonzero(present), file.path)
  present[code_points(alphabet)] = False
  unknown = set(map(chr, np.flatnonzero(present).tolist()))
  if unknown:
    for i, (start, stop) in enumerate(zip(records.start, records.stop, strict=True)):
      text = file.data[start:stop].tobytes().decode()
      outside = [place for place, character in enumerate(text) if character in unknown]
      if outside:
        raise InputError(
          f"{file.path}: character {text[outside[0]]!r} at offset {outside[0]} of {records.place(i)} is not in the "
          f"alphabet {show(alphabet)}; remove it or choose an alphabet that has it"
        )
  return alphabet


def _characters_before(
  data: Shaped[np.ndarray, "bytes"], edges: Int64[np.ndarray, "records"]
) -> Int64[np.ndarray, "records"]:
  """Returns how many UTF-8 characters start before each of ascending byte offsets."""
  found, first, before = np.empty_like(edges), 0, 0
  for block in blocks(data):
    inside = slice(*np.searchsorted(edges, [first, first + block.size]))
    starts = np.concatenate([[0], np.cumsum((block & 0xC0) != 0x80)])
    found[inside] = before + starts[edges[inside] - first]
    first, before = first + block.size, before + int(starts[-1])
  found[np.searchsorted(edges, first) :] = before
  return found


def _fitted(records: Records, numbers: _Numbers, length: int, longer: str, end: bool) -> _Examples:
  """Returns the examples that records make: one each, none, or several windows."""
  room, path, lengths = length - end, records.file.path, numbers.stop - numbers.start
  limit = f"length = {length}" + (", one position of which is the end" if end else "")
  too_long, every = lengths > room, np.arange(lengths.size)
  if too_long.any() and longer == "refuse":
    raise InputError(
      f"{path} has {int(too_long.sum()):,} {records.unit} longer than {limit} (the longest: "
      f'{int(lengths.max()):,}); raise length, or say longer="cut", "drop" or, without end, "windows"'
    )
  if longer == "drop":
    if too_long.all():
      raise InputError(f"{path} has only {records.unit} longer than {limit}; raise length")
    every = every[~too_long]
  if longer != "windows":
    start = numbers.start[every]
    return _Examples(start, np.minimum(numbers.stop[every], start + length), every)
  counts = np.maximum(1, -(-lengths // length))
  owner = np.repeat(every, counts)
  number = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)  # of a window in its record
  start = numbers.start[owner] + number * length
  return _Examples(start, np.minimum(start + length, numbers.stop[owner]), owner)


def _split_examples(
  records: Records,
  numbers: _Numbers,
  examples: _Examples,
  splits: Sequence[float | int],
  split_rule: int,
  *,
  whole: bool,
) -> dict[str, Int[np.ndarray, "_"]]:
  """Returns the numbers of the examples of each split: whole records by their content, or counts in their order."""
  owners, first = np.unique(examples.owner, return_index=True)
  last = np.append(first[1:], examples.owner.size) - 1

  def content(i: int) -> bytes:
    if split_rule < INTEGERS_ALONE:
      return records.file.data[records.start[owners[i]] : records.stop[owners[i]]].tobytes()
    return numbers.at(slice(examples.start[first[i]], examples.stop[last[i]])).astype("<u4").tobytes()

  unit = f"{records.unit} of {records.file.path}"
  if not whole and sum(splits) > 1 + 1e-9:  # counts: of windows, where there are such
    return record_numbers(examples.owner.size, splits, unit, content)
  beside = [] if records.labels is None else [labels_of(records.labels.numbers[""][owners])]
  fill = owners.size == examples.owner.size  # none is cut into windows
  chosen = record_numbers(owners.size, splits, unit, content, rule=split_rule, beside=beside, fill=fill)
  return {name: np.flatnonzero(np.isin(examples.owner, owners[members])) for name, members in chosen.items()}


def _reader(
  numbers: _Numbers, length: int, end: int | None
) -> Callable[[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]], tuple[np.ndarray, Bool[np.ndarray, "n length"]]]:
  """Returns (start, stop) -> categories [n, length], and which of them are valid.

  end: the category that marks the end and fills up what is after it, so that all is valid.
  """
  columns = np.arange(length)

  def read(start: Int64[np.ndarray, "n"], stop: Int64[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray]:
    at = start[:, None] + columns
    inside = at < stop[:, None]
    ids = numbers.at(np.minimum(at, numbers.values.size - 1)).astype(np.int32)
    return np.where(inside, ids, np.int32(end or 0)), inside if end is None else np.ones(inside.shape, bool)

  return read


def _split(
  examples: _Examples,
  length: int,
  read: Callable[..., tuple[np.ndarray, np.ndarray]],
  labels: Int32[np.ndarray, "examples attributes"] | None,
  sizes: tuple[int, ...],
  *,
  crops: bool,
) -> Split:
  def batch(start: np.ndarray, stop: np.ndarray, index: np.ndarray, members: np.ndarray) -> Batch:
    return batch_of(*read(start, stop), index=index, given=None if labels is None else labels[members])

  def example(chosen: Int[np.ndarray, "n"]) -> Batch:
    return batch(examples.start[chosen], examples.stop[chosen], chosen, chosen)

  split = record_split(examples.owner.size, example, sizes)
  if not crops:
    return split
  first = np.unique(examples.owner, return_index=True)[1]
  last = np.append(first[1:], examples.owner.size) - 1
  start, stop = examples.start[first], examples.stop[last]  # of each record, as far as it is in this split
  ends = np.cumsum(np.maximum(1, stop - start - length + 1))  # of the numbers of the crops of each record

  def crop(chosen: Int[np.ndarray, "n"]) -> Batch:
    record = np.searchsorted(ends, chosen, side="right")
    begin = start[record] + chosen - np.append(0, ends)[record]
    return batch(begin, np.minimum(begin + length, stop[record]), chosen, first[record])

  return split._replace(num_crops=int(ends[-1]), crops=crop)


def _in_order(split: Split) -> Iterator[Int32[np.ndarray, "_ length"]]:
  """Yields the examples of a split for the fingerprint: categories plus one, 0 for padding."""
  for first in range(0, split.num_examples, RECORDS_AT_ONCE):
    batch = split.examples(np.arange(first, min(first + RECORDS_AT_ONCE, split.num_examples)))
    yield np.where(batch.valid, batch.x + 1, 0)


def _description(records: Records, numbers: _Numbers, num_classes: int, kinds: str) -> str:
  lengths = numbers.stop - numbers.start
  shortest, longest = int(lengths.min()), int(lengths.max())
  of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
  return f"{records.file.path}: {lengths.size:,} {records.unit} of {of} {kinds}, {num_classes} distinct {kinds} in all"
