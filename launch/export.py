"""Writes a model into a folder of its own, in a stable format: to keep, to give away, to begin from.

  python -m launch.export --workdir=runs/a --output=models/a                               # every bit
  python -m launch.export --workdir=runs/a --output=models/a --dtype=bfloat16 --card=a.md  # half the size, with a card
  python -m launch.export --workdir=runs/a --output=models/b --program                     # runs without catgen too
  python -m launch.sample --workdir=models/a        # likewise score, infill, denoise, compress, evaluate ...

The folder holds model.safetensors, config.json, card.md, results.json where the run was evaluated, and SHA256SUMS,
which is checked whenever the model is loaded. Neither data nor a pickle is in it. docs/MODELS.md describes the format.
"""

import sys
from collections.abc import Sequence

from catgen.runs import export
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(export.export, export.describe))


if __name__ == "__main__":
  sys.exit(main())
