"""Rows that a command has measured before: the same command goes on where it was stopped, and measures none twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen import __version__
from catgen.data.reading import read_text
from catgen.files import from_json
from catgen.interfaces import InputError, PyTree
from catgen.paths import exists
from catgen.runs.load import Run
from catgen.trees import leaves

_ASKED = "asked"


class Measurement(NamedTuple):
  """One row of a command, and a digest of all that decides what it says; "" where it is measured in any case."""

  asked: str
  make: Callable[[], dict[str, Any]]

  def row(self) -> dict[str, Any]:
    """Measures the row."""
    return self.make() | ({_ASKED: self.asked} if self.asked else {})


def digest_of(about: Any, arrays: PyTree) -> str:
  """Returns a SHA-256 of what JSON has of something, and of arrays by their names."""
  digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
  for path, leaf in leaves(arrays):
    digest.update(path.encode())
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()


def digest_of_run(run: Run, about: Any, arrays: PyTree) -> str:
  """Returns a digest of a run with its parameters, of what else all its rows depend on, and of the version of catgen.

  It is "" where several processes work together: none has all parameters, and not each of them may see the file.
  """
  if jax.process_count() > 1:
    return ""
  of_run = {"params": run.params, "state": run.state, "arrays": arrays}
  return digest_of([__version__, run.record.config, about], of_run)


def measurement(run: str, about: Any, make: Callable[[], dict[str, Any]]) -> Measurement:
  """Returns a row that depends on what the digest `run` is of, and on `about`."""
  return Measurement(digest_of([run, about], {}) if run else "", make)


def rows_in(path: str, measurements: Sequence[Measurement]) -> list[dict[str, Any] | None]:
  """Returns the row of each measurement that a command's JSON file has already, None where it has none."""
  rows: list[Any] = []
  if any(each.asked for each in measurements) and exists(path):
    try:
      found = from_json(read_text(path))
      rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    except (InputError, ValueError):  # damaged: it is written anew
      pass
  known = {row[_ASKED]: row for row in rows if isinstance(row.get(_ASKED), str)}
  return [known.get(each.asked) for each in measurements]


def note(number: int, path: str) -> list[str]:
  """Returns the line that says how many rows were measured before."""
  return [f"{number} of the rows were measured before; remove {path} to measure them again"] if number else []
