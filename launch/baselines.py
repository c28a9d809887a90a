"""Prints what counts of the training split reach on held-out data: the rivals of any model of text or maps.

  python -m launch.baselines --config=quickstart
  python -m launch.baselines --config=text_file --config.data.path=mine.txt
  python -m launch.baselines --config=label_maps --config.data.path=folder

Sequences: n-grams. Maps: every pixel by itself (one marginal for all, or one for each place), and pixels given their
neighbors to the left and above. All are exact. Scored on the same examples as models are: each by itself, without
what came before it.
"""

import sys
from collections.abc import Sequence

from catgen.runs import baselines
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(baselines.baselines, baselines.describe))


if __name__ == "__main__":
  sys.exit(main())
