"""What the columns of a table are found to be, and the file in which a user changes that."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from catgen.config import make_source
from catgen.data.tabular.codec import KIND, table_of
from catgen.data.tabular.columns import Column, decode_known
from catgen.data.tabular.schema import schema_text
from catgen.files import check_writable, writing
from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.sources import Attribute

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
    output: also write them to this .json file, for the key data.schema, after changes by hand.

  Raises:
    InputError: the data are no table, or cannot be read.
  """
  check_writable(output)
  source = make_source(config["data"])
  if source.codec.spec["kind"] != KIND:
    raise InputError(f"data of kind {config['data']['kind']!r} have no columns; take table_file")
  found = table_of(source.codec.spec).columns
  if output is not None:
    with writing(output) as file:
      file.write(schema_text(found).encode())
  return Columns(found, source.attributes, source.description, output, source.warnings)


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
