"""Corrects a sentence with a trained model, or scores how well it corrects held-out text.

  python -m launch.spellcheck --workdir=runs/quickstart --text="the functoin retunrs a new strimg"
  python -m launch.spellcheck --workdir=runs/quickstart --text="..." --error_rate=0.1 --method=paper
  python -m launch.spellcheck --workdir=runs/quickstart --score --error_rate=0.05

Only wrong letters can be corrected, not missing or additional ones. --method=bayes weighs the prediction of a diffusion
model by the likelihood of the typed letter at the assumed error rate; --method=paper is the paper's: the most probable
letter given the others. --method=channel is of autoregressive, block diffusion and masked models: the sentence that
most probably led to what was typed, by a beam of --beam beginnings. Without --text an example of --split is corrupted
and corrected.
"""

import sys
from collections.abc import Sequence

from . import cli
from .denoise import COMMANDS


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, *COMMANDS)


if __name__ == "__main__":
  sys.exit(main())
