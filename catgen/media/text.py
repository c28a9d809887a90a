"""Text and bytes: examples are strings."""

import codecs
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from catgen.batches import batch_of, concatenate
from catgen.data.codecs import end_of, without_end
from catgen.data.reading import read_text
from catgen.evaluation import infilling, judges, samples
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.media import sequences, text_chain, text_files
from catgen.media.medium import (
  HOLE,
  Examples,
  Media,
  Pattern,
  Pictures,
  chain_labels,
  check_categories,
  evenly,
  integers_of,
  numbered,
  statistics,
)
from catgen.paths import join
from catgen.reporting import terminal
from catgen.reporting.drawing import missing_glyphs, undrawable
from catgen.sources import Codec

_END = "\N{END OF PROOF}"  # where a text ends, in what shows every position
_CHAIN_FRAMES = 12  # in a still picture


def text_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how strings are typed, shown, written, pictured and counted."""
  length, frames = event.shape[0], partial(_frames, codec, event.num_classes)

  def typed(examples: Examples) -> Batch:
    return concatenate(_padded(categories(each), length, number) for number, each in enumerate(examples))

  def categories(example: Any) -> Int[np.ndarray, "positions"]:
    if isinstance(example, np.ndarray | jax.Array) and example.dtype.kind in "biu":
      return check_categories(integers_of(example, "the example"), event.num_classes)
    return codec.encode(example)

  def texts(batch: Batch) -> list[str]:
    return [codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]

  def compared(sets: Mapping[str, Batch]) -> list[list[str]]:
    rows, _ = statistics(dict(sets), event.num_classes, position)
    lines = [texts(each) for each in sets.values()]
    vocabulary = {word for line in lines[-1] for word in samples.whole_words(line)}
    known = ("{:,} of {:,}".format(*samples.word_rate(each, vocabulary)) for each in lines)
    return [*rows, ["words that training has", *known]]

  def parse(text: str, *, hole: str, pad: bool) -> Pattern:
    encode = without_end(codec).encode  # what is after a pattern is to be completed
    return Pattern(*infilling.parse_pattern(text, encode, length=length, hole=hole, pad=pad))

  return Media(
    name="sequences",
    typed=typed,
    read=partial(_read, event, codec),
    shown=lambda batch: [terminal.visible(line) for line in texts(batch)],
    written=partial(text_files.write, codec),
    check_output=partial(text_files.ending_for, codec),
    named=partial(_named, codec, event.num_classes),
    compared=compared,
    pictured=Pictures(chain=partial(_draw_chain, frames)),
    baselines=sequences.baselines,
    judge=partial(judges.of_sequences, num_classes=event.num_classes, texts=texts),
    parse=parse,
    frames=frames,
    warnings=lambda: missing_glyphs(
      undrawable([codec.spec.get("alphabet", "")]), "sample --chain draws boxes for them"
    ),
    corrections=partial(_corrections, codec),
  )


def read_lines(path: str, encoding: str = "utf-8") -> dict[int, str]:
  """Returns the lines of a file of text by their number, from 1, as `text_lines` has them; empty ones are left out.

  Raises:
    InputError: it cannot be read, or every line is empty.
  """
  every = (line.removesuffix("\r") for line in read_text(path, encoding, remedy=text_files.DECLARE).split("\n"))
  lines = {number: line for number, line in enumerate(every, 1) if line}
  if not lines:
    raise InputError(f"{path} has no text; give one example a line")
  return lines


def _read(event: EventSpec, codec: Codec, path: str, encoding: str = "utf-8") -> Batch:
  """Returns the examples of a file of lines, of JSON lines or of an array, by its ending; see `read_text`."""
  records: Mapping[int, Any]
  place = "line"
  if text_files.is_array(path):
    if encoding != "utf-8":
      raise InputError(f"{path} holds numbers, which have no encoding; leave out --encoding")
    place, records = "number", text_files.read_rows(path, event.num_classes)
  elif text_files.is_json_lines(path):
    records = text_files.read_json_lines(path, codec, event.num_classes, encoding)
  else:
    records = read_lines(path, encoding)
  parts = []
  for number, record in records.items():
    try:
      x = codec.encode(record) if isinstance(record, str) else record
      parts.append(_padded(x, event.shape[0], number))
    except InputError as error:
      raise InputError(f"{path}, {place} {number}: {error}") from error
  return concatenate(parts)


def _padded(x: Int[np.ndarray, "positions"], length: int, number: int) -> Batch:
  """Returns a batch of one sequence, numbered so, in which what HOLE fills up to `length` does not count."""
  if x.ndim != 1 or len(x) > length:
    raise InputError(f"the input has shape {x.shape}, but this model's events have shape {(length,)}; cut it")
  if (x == HOLE).all():
    raise InputError(f"there is no category at all{f', only {HOLE}' if x.size else ''}; leave that example out")
  padded = np.pad(x, (0, length - len(x)), constant_values=HOLE)
  known = padded != HOLE
  return batch_of(np.where(known, padded, 0)[None], known[None], index=np.array([number], np.int32))


def _named(codec: Codec, num_classes: int, text: str) -> tuple[int, ...]:
  """Returns the categories of the characters of a text, each of which is one; of tokens, those that it numbers."""
  if codec.spec["kind"] == "tokens":
    return numbered(text, range(num_classes))
  if codec.spec["kind"] == "bytes" and not text.isascii():
    raise InputError(f"{text!r} is not ASCII, so that its characters are several bytes each; name single bytes")
  return tuple(without_end(codec).encode(text).tolist())


def _corrections(
  codec: Codec,
  typed: Batch,
  corrected: Int[np.ndarray, "length"],
  probability: Float[np.ndarray, "length"],
  *,
  color: bool,
) -> str:
  before, after, sure = (x[typed.valid[0]] for x in (typed.x[0], corrected, probability))
  used = 1 + max(end_of(x, codec.end) for x in (before, after))  # the later end, of what was typed or of the correction
  before, after = before[:used], after[:used]
  shown = characters(codec, before), characters(codec, after)
  return terminal.corrections(*shown, sure[:used], before != after, color=color)


def characters(codec: Codec, x: Int[np.ndarray, "positions"]) -> list[str]:
  """Returns what each position adds to the text: of a character of several bytes the last shows it, an end a sign.

  Raises:
    InputError: a position is not one character, nor a byte of one.
  """
  first, *others = (_characters_of_part(codec, part) for part in _between(x, _ends(codec, x)))
  return [*first, *(shown for part in others for shown in (_END, *part))]


def _characters_of_part(codec: Codec, x: Int[np.ndarray, "positions"]) -> list[str]:
  if codec.spec["kind"] != "bytes":
    found = list(codec.decode(x))
    if len(found) != len(x):
      raise InputError("corrections can be shown only where one position is one character")
    return found
  decoder = codecs.getincrementaldecoder("utf-8")("replace")
  found = [decoder.decode(bytes([value])) for value in x.tolist()]
  return [*found[:-1], *(last + decoder.decode(b"", True) for last in found[-1:])]


def _every_position(codec: Codec, x: Int[np.ndarray, "positions"]) -> str:
  """Returns the text of all positions, with a sign for each end: decoding leaves out what is after the first."""
  return _END.join(codec.decode(part) for part in _between(x, _ends(codec, x)))


def _ends(codec: Codec, x: Int[np.ndarray, "positions"]) -> Int[np.ndarray, "ends"]:
  return np.flatnonzero(np.zeros(len(x), bool) if codec.end is None else x == codec.end)


def _between(x: Int[np.ndarray, "positions"], places: Int[np.ndarray, "places"]) -> list[Int[np.ndarray, "_"]]:
  """Returns the parts of x before, between and after some of its places."""
  starts, stops = np.append(0, places + 1), np.append(places, len(x))
  return [x[start:stop] for start, stop in zip(starts, stops, strict=True)]


def _frames(codec: Codec, num_classes: int, states: Int[np.ndarray, "frames length"]) -> list[str]:
  """Returns states of a chain as text; masked positions are shown as light blocks."""
  parts = [_between(state, np.flatnonzero(state >= num_classes)) for state in states]
  return [terminal.MASK.join(terminal.visible(_every_position(codec, part)) for part in state) for state in parts]


def _draw_chain(
  frames: Callable[..., list[str]], folder: str, states: Int[np.ndarray, "frames examples length"]
) -> list[str]:
  """Draws the first example's way from noise as a strip and as an animation, and returns the paths."""
  shown, labels = frames(states[:, 0]), chain_labels(len(states))
  few, paths = evenly(len(states), _CHAIN_FRAMES), [join(folder, f"chain.{end}") for end in ("png", "gif")]
  text_chain.chain_picture([shown[i] for i in few], [labels[i] for i in few], paths[0])
  text_chain.chain_animation(shown, labels, paths[1])
  return paths
