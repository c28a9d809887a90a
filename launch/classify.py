"""Says which label examples have, and how surely: by Bayes' rule from a model whose data have labels.

  python -m launch.classify --workdir=runs/reviews --input=lines.txt          # a line each; .jsonl, .npy
  python -m launch.classify --workdir=runs/squares --split=test               # and how often that is right
  python -m launch.classify --workdir=runs/people --input=people.csv --column=income   # a column of a table
  python -m launch.classify --workdir=runs/squares --split=test --prior=uniform --num_draws=64 --output=labels.jsonl

No classifier is trained: p(label | x) is proportional to p(label) p(x | label). It is exact where the likelihood is.
Where that is a bound, the ratio of two bounds takes the place of the ratio of two probabilities, and the draws of a
bound make it noisy: take more --num_draws where the errors in the table are not small.
"""

import sys
from collections.abc import Sequence

from catgen.runs import classify
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(classify.classify, classify.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
