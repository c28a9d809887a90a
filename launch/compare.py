"""Sets evaluated runs side by side: bits with their errors, differences on the same examples, cost, sampling time.

  python -m launch.compare --workdirs=runs/argmax,runs/variational,runs/uniform
  python -m launch.compare --workdirs='runs/*' --estimator=iwbo --output=iwbo

Run launch.evaluate on each first. Runs that differ in nothing but the seed share a row. Differences are from the first
row's model, on the examples that both rows have. Sampling time is that of one example alone, as in the paper's Table
10, measured here and now. Writes the table as JSON and as a picture; of maps also samples of all models beside data.
"""

import sys
from collections.abc import Sequence

from catgen.runs import compare
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(compare.compare, compare.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
