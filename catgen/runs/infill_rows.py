"""Rows of tables that are completed: what is known of them, where their holes are, and the rows without these."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from catgen.data.tabular.codec import listed, table_of
from catgen.interfaces import InputError
from catgen.media.medium import HOLE, Pattern
from catgen.reporting.terminal import counted
from catgen.runs.argument_types import texts
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.training import distributed


class Marks(NamedTuple):
  """How a file says what is to be completed, as `Media.read_holes` of tables takes it."""

  hole: str
  encoding: str


def marks(run: Run, hole: str, path: str | None, encoding: str | None) -> Marks:
  """Returns them. Raises InputError where an encoding is said of what is no file of rows."""
  if encoding is not None and (run.media.filled is None or path is None):
    raise InputError(f"--encoding={encoding} says how a table of --input is stored, and there is none; leave it out")
  return Marks(hole, encoding_for(run.record, path if run.media.filled is not None else None, encoding))


def observed(run: Run, where: Sequence[str], *others: Any) -> dict[str, str]:
  """Returns a row of which these columns are known. Raises InputError unless rows of a table are asked for so alone."""
  if run.media.filled is None:
    raise InputError(f"--where is of columns of tables, and this is a model of {run.media.name}; leave it out")
  if any(each is not None for each in others):
    raise InputError("--where says all that is known of a row; leave --input and --split out")
  row: dict[str, str] = {}
  for each in texts(where, "where"):
    name, equals, value = each.partition("=")
    if not equals or name in row:
      raise InputError(f"--where={each} is no column and its value, given once; write --where=name=value")
    row[name] = value
  return row


def filled(fill: Callable[..., list[str]], output: str | None) -> list[str]:
  """Returns what `Media.filled` gives of rows; writes them where an output is named, by one process, and shows none."""
  if output is None:
    return fill(output=None)
  distributed.first_does(lambda: fill(output=output))
  return []


def rows(run: Run, path: str, hole: Marks, mask: str | None) -> Pattern:
  """Returns all rows of a file of a table, with their holes: its arrays have a first axis of rows."""
  if mask is not None:
    raise InputError("--mask hides cells of one row; say which by --index, or mark holes in the file")
  assert run.media.read_holes is not None
  x = np.asarray(run.media.read_holes(path, **hole._asdict()).x)
  if (x != HOLE).all():
    raise InputError(
      f"{path} has no hole; write {hole.hole!r} in each cell that is to be completed, or give another --hole"
      f"{_staying(run, x)}"
    )
  return Pattern(x, x != HOLE)


def _staying(run: Run, x: Int[np.ndarray, "rows columns"]) -> str:
  """Returns what is said of missing cells that are no holes, since training rows have such too."""
  columns = table_of(run.record.codec.spec).columns
  there = [(x[:, i] == column.size - 1).sum() * (column.missing is not None) for i, column in enumerate(columns)]
  if not any(there):
    return ""
  names = [column.name for column, number in zip(columns, there, strict=True) if number]
  return (
    f". Its {counted(sum(there), 'missing cell')}, in {listed(names)}, may be the truth, since training rows have such"
    " too: --hole= (with nothing behind it) completes them all"
  )


def check_continues(
  run: Run, observed: Bool[np.ndarray, "completions *event"], rows: Int[np.ndarray, "completions"] | None
) -> None:
  """Raises InputError, with row and columns, where a model that only continues rows has a hole before a known cell."""
  if run.media.filled is None or run.model.infill is None or not run.model.infill.prefix_only:
    return
  broken = observed[:, 1:] & ~np.logical_and.accumulate(observed, axis=1)[:, :-1]
  if not broken.any():
    return
  which = int(np.flatnonzero(broken.any(axis=1))[0])
  names = table_of(run.record.codec.spec).names
  hole, known = int(np.argmin(observed[which])), 1 + int(np.argmax(broken[which]))
  row = "the row" if rows is None else f"row {int(rows[which]) + 1} below the names"
  raise InputError(
    f"{row} has a hole in column {names[hole]!r} before {names[known]!r}, which is known, and this model"
    " only continues rows in the order of its columns; train a masked model, --config.model=diffusion"
    " --config.model.process=absorbing, which completes any"
  )
