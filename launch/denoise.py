"""Corrects a corrupted map with a trained model, or scores how well it corrects held-out ones.

  python -m launch.denoise --workdir=runs/maps --split=test --index=3 --error_rate=0.1
  python -m launch.denoise --workdir=runs/maps --input=noisy.npy --output=corrected.npy
  python -m launch.denoise --workdir=runs/maps --score --error_rate=0.1

A map of the run's data is corrupted first: each pixel becomes, with probability --error_rate, another category. A map
of --input is taken as corrupted already, at about that rate. A model of diffusion corrects twice: "bayes" weighs its
prediction by the likelihood of the seen pixel; "paper" takes the most probable category given the other pixels. Another
one that is read pixel by pixel, an autoregressive model, does it by "channel": it looks for the map that most probably
led to what is seen. The picture denoised.png in the work directory shows all beside each other. For text it is the same
as launch.spellcheck.
"""

import sys
from collections.abc import Sequence

from catgen.runs import correct
from catgen.runs.command import Command

from . import cli

_SCORE = "corrupt held-out examples and count what each method repairs and breaks"
COMMANDS = (
  Command(correct.correct, correct.describe, devices=True),
  Command(correct.score_corrections, correct.describe_scores, flag="score", help=_SCORE, devices=True),
)


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, *COMMANDS)


if __name__ == "__main__":
  sys.exit(main())
