"""Renders results for the terminal: tables, corrections, the chain of a sampler."""

import itertools
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from catgen.files import is_stream

BOLD, GREEN, DIM, RESET = "\x1b[1m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
_LOST: dict[Any, OSError] = {}  # streams that took no more, the last time that something was said
_FRAME_LINES = 3  # of the terminal, for a state of a chain
MASK = "\u2591"  # a light block: a position that has no category yet
_SPELLED = {"\u00b1": "+/-", "\u23ce": "\\n", "\u00b7": ".", MASK: "_"}  # our own signs where an encoding lacks them


def say(line: str, stream: Any = None) -> None:
  """Prints a line at once, by default to the standard output, in characters that it has, see `encodable`.

  Where the reader has gone, or there never was one, nothing is said any more, and whoever speaks goes on. So does who
  speaks into a file on a full disk, where lines are lost until there is room again.
  """
  stream = sys.stdout if stream is None else stream
  if stream is None:  # closed before the program started
    return
  try:
    print(encodable(line, getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)
    _LOST.pop(stream, None)
  except BrokenPipeError:
    _silence(stream)
  except OSError as error:
    _LOST[stream] = error


def silent(line: str) -> None:
  """Says nothing: in the place of `say`."""


def settled(code: int) -> int:
  """Returns the exit code of a program that has said all: 1 instead of 0 where the end of its output found no room."""
  for stream in list(_LOST):
    error = _LOST.pop(stream)
    _silence(stream)  # or Python would try again when it ends
    if stream is sys.stdout:
      say(f"error: the output could not be written: {error.strerror}; free space, or send it elsewhere", sys.stderr)
      code = code or 1
  return code


def _silence(stream: Any) -> None:
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, stream.fileno())
  os.close(nowhere)


def one_line(text: str) -> str:
  """Returns the text with line breaks and other controls as escapes: a path may hold some, and a message is one line.

  Example:
    >>> print(one_line("runs/a\\nb does not exist"))
    runs/a\\nb does not exist
  """
  return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def voice(output: str | None) -> Callable[[str], None]:
  """Returns `say`, on the standard error stream where the standard output is the file that a user asked for."""
  return partial(say, stream=sys.stderr) if output is not None and is_stream(output, 1) else say


def encodable(text: str, encoding: str) -> str:
  """Returns the text in characters that the encoding has: signs of ours are spelled, others become escapes.

  Example:
    >>> encodable("2.85 \u00b1 0.01 caf\u00e9 \u6771", "ascii")
    '2.85 +/- 0.01 caf\\\\xe9 \\\\u6771'
  """
  try:
    text.encode(encoding)
  except UnicodeEncodeError:
    spelled = {ord(sign): spelled for sign, spelled in _SPELLED.items() if not sign.encode(encoding, "ignore")}
    return text.translate(spelled).encode(encoding, "backslashreplace").decode(encoding)
  return text


def has_color() -> bool:
  """Returns whether the standard output is a terminal that shows colors; https://no-color.org says how to refuse."""
  return os.isatty(1) and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """Returns aligned columns, numbers to the right, without those in which no row has anything.

  A float is shown with four digits after the point.

  Cells are in characters that the standard output has, see `encodable`: signs that are spelled take more room.

  Example:
    >>> print(table(["model", "bits"], [["bigram", 3.41], ["5-gram", 2.25]]))
    model     bits
    ------  ------
    bigram  3.4100
    5-gram  2.2500
  """
  body, encoding = [list(row) for row in rows], getattr(sys.stdout, "encoding", None) or "utf-8"
  columns = [
    each for each in zip(header, *body, strict=True) if not body or any(cell not in ("", None) for cell in each[1:])
  ]
  header, *body = map(list, zip(*columns, strict=True))
  titles, *cells = ([encodable(_cell(value), encoding) for value in row] for row in (header, *body))
  widths = [max(map(_width, column)) for column in zip(titles, *cells, strict=True)]
  right = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(header))]

  def line(values: Sequence[str]) -> str:
    aligned = (
      " " * (w - _width(value)) + value if r else value + " " * (w - _width(value))
      for value, w, r in zip(values, widths, right, strict=True)
    )
    return "  ".join(aligned).rstrip()

  return "\n".join([line(titles), "  ".join("-" * w for w in widths), *map(line, cells)])


def counted(number: int, noun: str) -> str:
  """Returns a number with what is counted: "1 draw", "2,560 examples", "3 batches"."""
  return f"{number:,} {plural(number, noun)}"


def plural(number: float, noun: str) -> str:
  """Returns a noun as it stands after a number."""
  if number == 1:
    return noun
  return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def plus_minus(value: float | None, error: float | None, digits: int = 4) -> str:
  """Returns "2.8571 ± 0.0031", with "?" for what is unknown (None or NaN), as where an example is impossible.

  Example:
    >>> plus_minus(2.85714, 0.0031)
    '2.8571 ± 0.0031'
  """
  return " ± ".join("?" if each is None or each != each else f"{each:.{digits}f}" for each in (value, error))


def corrections(
  typed: Sequence[str],
  corrected: Sequence[str],
  probability: Sequence[float] | Float[np.ndarray, "length"],
  changed: Sequence[bool] | Bool[np.ndarray, "length"],
  *,
  color: bool,
) -> str:
  """Returns the corrected text with each change marked, and a line per change: what, where, how sure.

  Args:
    typed, corrected: what each position shows, of one length; "" where the character of several positions has not
      ended yet, which is then marked as a whole.
    probability: of the chosen category at each position.
    changed: which categories were changed.
    color: True marks by color (a terminal), False by [brackets].
  """
  mark = (f"{BOLD}{GREEN}", RESET) if color else ("[", "]")
  shown, pending = "", False
  for new, is_changed in zip(corrected, changed, strict=True):
    pending |= bool(is_changed)
    if new:
      shown += f"{mark[0]}{visible(new)}{mark[1]}" if pending else visible(new)
      pending = False
  lines = [
    f"  position {i + 1}: {_spelled(typed, i)} -> {_spelled(corrected, i)} (probability {probability[i]:.2f})"
    for i in np.flatnonzero(changed).tolist()
  ]
  return "\n".join([shown, *(lines or ["  nothing to correct"])])


def chain_frames(frames: Sequence[str], labels: Sequence[str], *, color: bool, width: int = 100) -> str:
  """Returns the states of a sampler below one another, noise first; what changed since the frame before stands out.

  Args:
    frames: texts of one length, shown as far as three lines hold them.
    labels: one per frame, for example the time step.
    color: True dims what stayed and prints what changed bold; False prints plain text.
    width: characters of a line.
  """
  pad = max(map(len, labels), default=0)
  lines, before = [], ""
  for label, frame in zip(labels, frames, strict=True):
    shown = visible(frame[: _FRAME_LINES * width])
    for start in range(0, max(1, len(shown)), width):
      own, old = (each[start : start + width] for each in (shown, before))
      lines.append(f"{('' if start else label).rjust(pad)}  {_emphasize(own, old) if color else own}")
    before = shown
  return "\n".join(lines)


def visible(text: str) -> str:
  """Returns the text on one line, with as many characters: line breaks and other controls become a visible sign.

  Example:
    >>> visible("a\\nb")
    'a⏎b'
  """
  return "".join("⏎" if c == "\n" else c if c.isprintable() else "·" for c in text)


def _emphasize(frame: str, before: str) -> str:
  if not before:
    return frame
  stayed = [old == new for old, new in itertools.zip_longest(before, frame)][: len(frame)]
  runs = itertools.groupby(range(len(frame)), key=stayed.__getitem__)
  return "".join(f"{DIM if same else BOLD}{''.join(frame[i] for i in run)}{RESET}" for same, run in runs)


def _spelled(shown: Sequence[str], position: int) -> str:
  """Returns the character that a position is a part of, quoted."""
  return repr(next((each for each in shown[position:] if each), ""))


def _width(text: str) -> int:
  """Returns the columns that a terminal needs: two for a Chinese sign, say, and none for a mark above a letter."""
  if text.isascii():
    return len(text)
  return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _cell(value: Any) -> str:
  return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) or re.fullmatch(r"[-+]?[\d.,]+(%| .*)?", str(value)) is not None
