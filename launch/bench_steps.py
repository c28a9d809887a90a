"""Judges samples of a diffusion model by the number of its steps, with and without self-correction.

  python -m launch.bench_steps --workdir=runs/a
  python -m launch.bench_steps --workdir=runs/a --num_steps=16,64,256 --corrections=0,0.05,0.2 --num_samples=512
  python -m launch.bench_steps --workdir=runs/streets --given=human=no --guidance=2 --corrections=0

Where the samples' own likelihood is known, in orders of a masked model, launch.bench_sampler is the better judge. Here
they are set beside held-out data: their bits under counts of the training split (5-grams of sequences, neighbors of
maps), the entropy of a position, pairs of neighbors, and words that training has. A table, bench_steps.json and a
picture, bench_steps.png, in the work directory. The same command goes on where it was stopped.
"""

import sys
from collections.abc import Sequence

from catgen.runs import bench_steps
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(bench_steps.bench_steps, bench_steps.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
