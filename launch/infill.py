"""Completes examples of which some positions are missing: a text with gaps, a map with unknown regions.

  python -m launch.infill --workdir=runs/quickstart --text="the ______ of a list"
  python -m launch.infill --workdir=runs/maps --split=test --index=3 --region=8,20,12,16 --num_samples=16
  python -m launch.infill --workdir=runs/people --input=gaps.csv --output=filled.csv
  python -m launch.infill --workdir=runs/people --where=job=clerk --num_samples=100 --output=clerks.csv
  python -m launch.infill --workdir=runs/maps --input=map.npy --mask=unknown.npy --output=completions.npy

Each hole is drawn from the model given the rest; the program says whether that is exact for this model. A pattern of
text shorter than the model's sequences is continued by holes; where positions are bytes, a hole is one byte. In an
array a hole is -1, or lies in a --region (top,left,height,width), or where --mask is True. For maps infill.png in the
work directory shows what was given, a completion, the truth where it is known, and how unsure each pixel is;
infill_completions.png shows all completions. Of a table all rows of --input are completed, a hole being a cell "_"
(--hole), or a missing one where the column has no category for that; see docs/TABLES.md. --output takes the endings
that those of launch.sample may have.
"""

import sys
from collections.abc import Sequence

from catgen.runs import infill
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(infill.infill, infill.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
