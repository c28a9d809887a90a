"""Renders results for the terminal: tables, corrections, the chain of a sampler."""

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from catgen.interfaces import InputError

BOLD, GREEN, DIM, RESET = "\x1b[1m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
MASK = "\u2591"  # a light block: a position that has no category yet


def say(line: str) -> None:
  """Prints a line at once; characters that the terminal or pipe has no code for become question marks."""
  try:
    print(line, flush=True)
  except UnicodeEncodeError:
    encoding = sys.stdout.encoding
    print(line.encode(encoding, "replace").decode(encoding), flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """Returns aligned columns, numbers to the right. A float is shown with four digits after the point.

  Example:
    >>> print(table(["model", "bits"], [["bigram", 3.41], ["5-gram", 2.25]]))
    model     bits
    ------  ------
    bigram  3.4100
    5-gram  2.2500
  """
  body = [list(row) for row in rows]
  cells = [[_cell(value) for value in row] for row in body]
  widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
  right = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(header))]

  def line(values: Sequence[str]) -> str:
    aligned = (value.rjust(w) if r else value.ljust(w) for value, w, r in zip(values, widths, right, strict=True))
    return "  ".join(aligned).rstrip()

  return "\n".join([line(list(header)), "  ".join("-" * w for w in widths), *map(line, cells)])


def plus_minus(value: float | None, error: float | None, digits: int = 4) -> str:
  """Returns "2.8571 ± 0.0031", with "?" for what is unknown (None or NaN), as where an example is impossible.

  Example:
    >>> plus_minus(2.85714, 0.0031)
    '2.8571 ± 0.0031'
  """
  return " ± ".join("?" if each is None or each != each else f"{each:.{digits}f}" for each in (value, error))


def corrections(
  typed: str, corrected: str, probability: Sequence[float] | Float[np.ndarray, "length"], *, color: bool
) -> str:
  """Returns the corrected text with each change marked, and a line per change: what, where, how sure.

  Args:
    typed, corrected: texts of the same length.
    probability: of the chosen category at each position.
    color: True marks by color (a terminal), False by [brackets].

  Raises:
    InputError: the lengths differ, as they may where one position is not one character.
  """
  if not len(typed) == len(corrected) == len(probability):
    raise InputError("corrections can be shown only where one position is one character")
  changes = [i for i, (old, new) in enumerate(zip(typed, corrected, strict=True)) if old != new]
  changed = set(changes)
  mark = (f"{BOLD}{GREEN}", RESET) if color else ("[", "]")
  shown = "".join(f"{mark[0]}{new}{mark[1]}" if i in changed else new for i, new in enumerate(corrected))
  lines = [f"  position {i + 1}: {typed[i]!r} -> {corrected[i]!r} (probability {probability[i]:.2f})" for i in changes]
  return "\n".join([shown, *(lines or ["  nothing to correct"])])


def chain_frames(frames: Sequence[str], labels: Sequence[str], *, color: bool, width: int = 100) -> str:
  """Returns the states of a sampler below one another, noise first; what changed since the frame before stands out.

  Args:
    frames: texts of one length, shown as far as `width`.
    labels: one per frame, for example the time step.
    color: True dims what stayed and prints what changed bold; False prints plain text.
    width: characters of each frame to show.
  """
  pad = max(map(len, labels), default=0)
  lines, before = [], ""
  for label, frame in zip(labels, frames, strict=True):
    shown = visible(frame[:width])
    lines.append(f"{label.rjust(pad)}  {_emphasize(shown, before) if color else shown}")
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


def _cell(value: Any) -> str:
  return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) or re.fullmatch(r"[-+]?[\d.,]+(%| .*)?", str(value)) is not None
