"""Sets two runs side by side: keys of the configuration that differ, results with their errors, curves.

  python -m launch.diff --workdirs=runs/a,runs/b
  python -m launch.diff --workdirs=runs/a,pretrained/text-autoregressive --output=curves.png

Results are paired by example where both runs were evaluated on the same ones. It only reads, and disturbs no run that
is being trained.
"""

import sys
from collections.abc import Sequence

from catgen.runs import diff
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(diff.diff, diff.describe))


if __name__ == "__main__":
  sys.exit(main())
