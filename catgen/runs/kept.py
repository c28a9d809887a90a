"""Rows that a command has measured before: the same command goes on where it was stopped, and measures none twice."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen.data.reading import read_text
from catgen.files import from_json
from catgen.interfaces import InputError, PyTree
from catgen.paths import exists
from catgen.trees import leaves

_ASKED = "asked"


class Measurement(NamedTuple):
  """One row of a command, and what is asked for by it."""

  asked: str
  row: Callable[[], dict[str, Any]]


def digest_of(about: Any, arrays: PyTree) -> str:
  """Returns a SHA-256 of what JSON has of something, and of arrays by their names."""
  digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
  for path, leaf in leaves(arrays):
    digest.update(path.encode())
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()


def rows_in(path: str) -> dict[str, dict[str, Any]]:
  """Returns the rows of a command's JSON file by what they were asked for; none where there is no such file.

  Several processes measure all rows: not each of them may see the file.
  """
  if jax.process_count() > 1 or not exists(path):
    return {}
  try:
    found = from_json(read_text(path))
  except (InputError, ValueError):
    return {}
  rows = found if isinstance(found, list) else []
  return {row[_ASKED]: row for row in rows if isinstance(row, dict) and isinstance(row.get(_ASKED), str)}


def measured(measurement: Measurement, before: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
  """Returns a row that was measured before, or measures it."""
  row = before.get(measurement.asked)
  return measurement.row() | {_ASKED: measurement.asked} if row is None else row
