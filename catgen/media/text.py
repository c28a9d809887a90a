"""Text and bytes: examples are strings."""

import os
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from catgen.batches import batch_of, concatenate
from catgen.data.codecs import end_of
from catgen.data.reading import read_text
from catgen.evaluation import infilling, samples
from catgen.files import writing
from catgen.interfaces import Batch, Codec, EventSpec, InputError
from catgen.media import sequences, text_chain
from catgen.media.medium import Examples, Media, Pattern, Pictures, chain_labels, evenly, statistics
from catgen.reporting import terminal

_END = "\N{END OF PROOF}"  # where a text ends, in what shows every position
_CHAIN_FRAMES = 12  # in a still picture
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})  # so that one example is one line, and which one


def text_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how strings are typed, shown, written, pictured and counted."""
  length, frames = event.shape[0], partial(_frames, codec, event.num_classes)

  def typed(examples: Examples) -> Batch:
    return concatenate(_padded(codec.encode(each), length, number) for number, each in enumerate(examples))

  def read(path: str) -> Batch:
    parts = []
    for number, line in read_lines(path).items():
      try:
        parts.append(_padded(codec.encode(line), length, number))
      except InputError as error:
        raise InputError(f"{path}, line {number}: {error}") from error
    return concatenate(parts)

  def texts(batch: Batch) -> list[str]:
    return [codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]

  def written(path: str, batch: Batch) -> None:
    with writing(path) as file:
      if path.endswith(".npy"):
        np.save(file, batch.x)
      else:
        file.writelines(f"{line.translate(_ESCAPES)}\n".encode() for line in texts(batch))

  def compared(sets: Mapping[str, Batch]) -> list[list[str]]:
    rows, _ = statistics(dict(sets), event.num_classes, position)
    lines = [texts(each) for each in sets.values()]
    vocabulary = {word for line in lines[-1] for word in samples.whole_words(line)}
    known = ("{:,} of {:,}".format(*samples.word_rate(each, vocabulary)) for each in lines)
    return [*rows, ["words that training has", *known]]

  def corrections(
    typed: Batch, corrected: Int[np.ndarray, "length"], probability: Float[np.ndarray, "length"], *, color: bool
  ) -> str:
    rows = [x[typed.valid[0]] for x in (typed.x[0], corrected, probability)]
    used = 1 + max(end_of(x, codec.end) for x in rows[:2])  # the later end, of what was typed or of the correction
    before, after = (_every_position(codec, x[:used]) for x in rows[:2])
    return terminal.corrections(before, after, rows[2][:used], color=color)

  def parse(text: str, *, hole: str, pad: bool) -> Pattern:
    pattern = text + hole * (length - len(text)) if pad else text
    return Pattern(*infilling.parse_pattern(pattern, partial(_without_end, codec), length=length, hole=hole))

  return Media(
    name="sequences",
    typed=typed,
    read=read,
    shown=lambda batch: [terminal.visible(line) for line in texts(batch)],
    written=written,
    compared=compared,
    pictured=Pictures(chain=partial(_draw_chain, frames)),
    baselines=sequences.baselines,
    parse=parse,
    frames=frames,
    corrections=corrections,
  )


def read_lines(path: str) -> dict[int, str]:
  """Returns the lines of a file of text by their number, from 1, as `text_lines` has them; empty ones are left out.

  Raises:
    InputError: it cannot be read, or every line is empty.
  """
  every = (line.removesuffix("\r") for line in read_text(path).split("\n"))
  lines = {number: line for number, line in enumerate(every, 1) if line}
  if not lines:
    raise InputError(f"{path} has no text; give one example a line")
  return lines


def _padded(x: Int[np.ndarray, "positions"], length: int, number: int) -> Batch:
  """Returns a batch of one sequence, numbered so, that is filled up to `length` by positions that do not count."""
  if len(x) > length:
    raise InputError(f"the input has shape {x.shape}, but this model's events have shape {(length,)}; cut it")
  padded, valid = np.pad(x, (0, length - len(x))), np.arange(length) < len(x)
  return batch_of(padded[None], valid[None], index=np.array([number], np.int32))


def _without_end(codec: Codec, text: str) -> Int[np.ndarray, "positions"]:
  """Returns a part of a text: the end, if texts have one, is no part of it."""
  x = codec.encode(text)
  return x[: end_of(x, codec.end)]


def _every_position(codec: Codec, x: Int[np.ndarray, "positions"]) -> str:
  """Returns the text of all positions, with a sign for each end: decoding leaves out what is after the first."""
  ends = np.flatnonzero(np.zeros(len(x), bool) if codec.end is None else x == codec.end)
  return _END.join(codec.decode(part) for part in _between(x, ends))


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
  few, paths = evenly(len(states), _CHAIN_FRAMES), [os.path.join(folder, f"chain.{end}") for end in ("png", "gif")]
  text_chain.chain_picture([shown[i] for i in few], [labels[i] for i in few], paths[0])
  text_chain.chain_animation(shown, labels, paths[1])
  return paths
