"""Measures what each way of drawing of a masked model costs and gives: exact bits, calls of the network, samples.

  python -m launch.bench_sampler --workdir=runs/masked
  python -m launch.bench_sampler --workdir=runs/masked --orders=margin,blocks,steps --positions_per_call=1,4,16
  python -m launch.bench_sampler --workdir=runs/text --beside=runs/streets --pictured_calls=64

Bits are of held-out examples, exact for each order (docs/NUMBERS.md). Samples, also of first_hitting and of the steps
of the model itself, are judged by counts of the training split, beside held-out data, as in launch.bench_steps; of an
order KL(samples || counts) is unbiased too, since the samples' own probabilities are known. Where all events can be
enumerated, each law is set beside their frequencies. A table, bench_sampler.json and two pictures in the work
directory: bench_sampler.png, bits against calls and a sample of each way, with a panel for each run, and
bench_sampler_samples.png, what samples are worth. The same command goes on where it was stopped, and one with more
laws measures those that are new.
"""

import sys
from collections.abc import Sequence

from catgen.runs import bench_sampler
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(bench_sampler.bench_sampler, bench_sampler.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
