"""Lists the runs below a folder: how far each is, whether it is running and where, its last numbers, and its size.

  python -m launch.ls --folder=runs

It only reads, and disturbs no run that is being trained.
"""

import sys
from collections.abc import Sequence

from catgen.runs import ls
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(ls.ls, ls.describe))


if __name__ == "__main__":
  sys.exit(main())
