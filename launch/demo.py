"""The whole tour in about ten minutes on two CPU cores: train, evaluate, sample, correct a sentence.

  make demo        (or: python -m launch.demo --workdir=runs/demo)

Trains configs/quickstart.py; running it again goes on where it was stopped. Other texts: see configs/text_file.py.
"""

import operator
import sys
from collections.abc import Sequence

from catgen.runs import demo
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code, that of training."""
  tour = Command(demo.demo, demo.describe, operator.attrgetter("exit_code"), config="quickstart", devices=True)
  return cli.main(__doc__, words, tour)


if __name__ == "__main__":
  sys.exit(main())
