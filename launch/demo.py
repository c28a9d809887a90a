"""The whole tour, a quarter of an hour on two CPU cores: a trained model, then two that are trained here, compared.

  make demo        (or: python -m launch.demo --workdir=runs/demo)

Shows what a trained model can do. Then trains configs/quickstart.py, a diffusion model, and the autoregressive model of
the same size beside it, five eighths of its steps; samples, corrects a sentence, and evaluates both.
Running it again goes on where it was stopped. Other texts: see configs/text_file.py.
"""

import sys
from collections.abc import Sequence

from catgen.runs import demo
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code, that of training."""
  tour = Command(demo.demo, demo.describe, config="quickstart", devices=True)
  return cli.main(__doc__, words, tour)


if __name__ == "__main__":
  sys.exit(main())
