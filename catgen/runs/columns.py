"""What the columns of a table are found to be, and the file in which a user changes that."""

import json
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from catgen.config import make_source
from catgen.data.reading import read_text
from catgen.data.tabular.codec import KIND, table_of
from catgen.data.tabular.columns import Column, decode_known
from catgen.data.tabular.grid import UnsettledError
from catgen.data.tabular.schema import schema_text
from catgen.files import check_writable, from_json, writing
from catgen.interfaces import InputError
from catgen.paths import join
from catgen.reporting import terminal
from catgen.sources import Attribute, DataSource

_EXAMPLES, _CHARACTERS = 4, 48


class Columns(NamedTuple):
  """The columns of a table."""

  columns: tuple[Column, ...]
  attributes: tuple[Attribute, ...]  # columns that are labels
  description: str
  output: str | None
  warnings: tuple[str, ...] = ()  # columns that may be meant otherwise


def columns(config: Mapping[str, Any], *, output: str | None = None) -> Columns:
  """Returns what the columns of the table in a config's section `data` are.

  Args:
    config: resolved; its section `data` counts.
    output: also write them to this .json file, for the key data.schema, after changes by hand. A column that only a
      schema can settle, such as dates whose days and months cannot be told apart, is written as what it most probably
      is, with a warning; without --output it is refused.

  Raises:
    InputError: the data are no table, or cannot be read.
  """
  check_writable(output)
  source, guessed = (make_source(config["data"]), {}) if output is None else _guessed(config["data"])
  if source.codec.spec["kind"] != KIND:
    raise InputError(f"data of kind {config['data']['kind']!r} have no columns; take table_file")
  found = table_of(source.codec.spec).columns
  warnings = source.warnings
  if output is not None:
    with writing(output) as file:
      file.write(schema_text(found, {name: error.guess for name, error in guessed.items()}).encode())
    warnings = (*(_said(error, output) for error in guessed.values()), *warnings)
  return Columns(found, source.attributes, source.description, output, warnings)


def _guessed(section: Mapping[str, Any]) -> tuple[DataSource, dict[str, UnsettledError]]:
  """Returns the data, columns that only a schema can settle being taken for what they most probably are, and these.

  What a schema says that the section names is left as it is. Values that training rows have not are no error here, as
  they would be of numbers that are taken for categories.
  """
  guessed: dict[str, UnsettledError] = {}
  with tempfile.TemporaryDirectory() as folder:
    while True:
      try:
        return make_source(section), guessed
      except UnsettledError as error:
        said = from_json(read_text(section["schema"]))["columns"] if section["schema"] else []
        if any(each["name"] == error.name for each in said):
          raise
        guessed[error.name] = error
        path = join(folder, f"{len(guessed)}.json")
        with writing(path) as file:
          file.write(json.dumps({"columns": [*said, {"name": error.name, **error.guess}]}).encode())
        lenient = "other" if section["unknown"] == "error" else section["unknown"]
        section = {**section, "schema": path, "unknown": lenient}


def _said(error: UnsettledError, output: str) -> str:
  guess = ", ".join(f"{field} {value}" for field, value in error.guess.items())
  return f"{error.doubt}; {output} says {guess}, which is a guess: settle it there"


def describe(found: Columns) -> str:
  """Returns a table of the columns, one a line."""
  rows = [
    [
      terminal.visible(column.name),
      column.kind,
      f"{column.size:,}",
      "no" if column.missing is None else f"yes, {column.missing!r}",
      _examples(column),
    ]
    for column in found.columns
  ]
  labels = [f"given with each row: {name} ({len(values):,} values)" for name, values in found.attributes]
  written = [] if found.output is None else [f"written to {found.output}"]
  warned = [f"warning: {terminal.visible(line)}" for line in found.warnings]
  table = terminal.table(["column", "kind", "categories", "missing", "values"], rows)
  return "\n".join([found.description.split(": ")[0], table, *labels, *warned, *written])


def _examples(column: Column) -> str:
  """Returns the first values and the last one, or the smallest and the largest number."""
  shown = [terminal.visible(cell) for cell in decode_known(column, _EXAMPLES)]
  text = ", ".join(shown)
  return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."
