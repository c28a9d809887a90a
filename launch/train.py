"""Trains a model.

  python -m launch.train --config=quickstart --workdir=runs/quickstart
  python -m launch.train --config=text_file --workdir=runs/mine --config.data.path=mine.txt
  python -m launch.train --config=paper/text8_multinomial --dry_run --compile_step
  python -m launch.train --config=paper/text8_multinomial --dry_run --topology=tpu:v5e:2x2

The same command goes on where a run was stopped. On several machines each has the same command with --coordinator,
--process_id and --num_processes, or without them on clusters that JAX detects.
"""

import sys
from collections.abc import Sequence

from catgen.runs import dry_run, train
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code: 0, or 128 + the number of the signal that stopped the training."""
  return cli.main(
    __doc__,
    words,
    Command(train.train, train.describe, devices=True, comfort=train.comfort),
    Command(
      dry_run.dry_run,
      dry_run.describe,
      flag="dry_run",
      help="print parameters, operations and bytes of a step, and train nothing",
      devices=True,
      elsewhere="topology",
    ),
  )


if __name__ == "__main__":
  sys.exit(main())
