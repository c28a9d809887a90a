"""Lists the columns of a table as a model would see them: kinds, categories, and what is missing.

  python -m launch.columns --data=people.csv
  python -m launch.columns --data=people.csv --config.data.unknown=other --output=schema.json

--output writes them as JSON. What is changed there, a kind (categorical, ordinal, numeric, or drop to leave a column
out), the order of ranks or the edges of bins, counts where --config.data.schema=schema.json names the file; what is
removed there is found again. See docs/TABLES.md.
"""

import sys
from collections.abc import Sequence

from catgen.runs import columns
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(columns.columns, columns.describe, config="table"))


if __name__ == "__main__":
  sys.exit(main())
