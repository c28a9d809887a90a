"""Says how unusual examples are: bits per position under a trained model, and where they stand among training examples.

  python -m launch.score --workdir=runs/quickstart --input=sentences.txt                # a line each; .jsonl, .npy
  python -m launch.score --workdir=runs/maps --input=maps.npy --output=scores.jsonl     # one map, or several
  python -m launch.score --workdir=runs/maps --split=test

Percentile 99 = less likely (more bits per position) than 99 % of --reference examples spread over the training split.
Those are scored once, by the same estimator with the same draws, and kept in scores/ of the work directory; then no
data are needed. A bound that is drawn at random is noisy for a single example: take more --num_draws where the errors
in the table are not small beside the spread of the training examples.
"""

import sys
from collections.abc import Sequence

from catgen.runs import score
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(score.score, score.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
