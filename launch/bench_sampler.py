"""Measures what each order of drawing of a masked model costs and gives: exact bits, calls of the network, samples.

  python -m launch.bench_sampler --workdir=runs/masked
  python -m launch.bench_sampler --workdir=runs/masked --orders=margin,entropy_budget --positions_per_call=1,4,16
  python -m launch.bench_sampler --workdir=runs/masked --temperature=0.8 --num_samples=256

Bits are of held-out examples, exact for each order (docs/NUMBERS.md). Samples of sequences are judged by n-grams of the
training split: KL(samples || n-grams) is unbiased, since the samples' own probabilities are known; low entropy shows
samples that repeat themselves. Where all events can be enumerated, each law is set beside their frequencies. A table,
bench_sampler.json and a picture, bench_sampler.png, in the work directory.
"""

import operator
import sys
from collections.abc import Sequence

from catgen.runs import bench_sampler
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(
    __doc__,
    words,
    Command(bench_sampler.bench_sampler, bench_sampler.describe, operator.attrgetter("exit_code"), devices=True),
  )


if __name__ == "__main__":
  sys.exit(main())
