"""Sets a synthetic table beside real ones: what is alike, what tells them apart, what is learned from it, what leaks.

  python -m launch.compare_tables --real=test.csv --synthetic=synthetic.csv --train=train.csv --output=judged
  python -m launch.compare_tables --real=test.csv --synthetic=synthetic.csv --target=income --workdir=runs/people

--real holds rows that nothing was trained on. Each number stands beside the one that real rows get in the place of the
synthetic ones: no table is nearer to real rows than real rows are. Shape and trend are those of the literature on
tables; detection and what is learned are by boosted trees (pip install "catgen[tables]"); with --workdir the model's
own scores are tried on training rows, which says what it knows of single ones. Writes results.json and report.html, a
page with pictures that needs no other file; see docs/TABLES.md.
"""

import sys
from collections.abc import Sequence

from catgen.runs import compare_tables
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(compare_tables.compare_tables, compare_tables.describe))


if __name__ == "__main__":
  sys.exit(main())
