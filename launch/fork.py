"""Makes a work directory whose run begins at a checkpoint of another one.

  python -m launch.fork --workdir=runs/colder --origin=runs/quickstart@3000
  python -m launch.train --workdir=runs/colder --config.optimizer.learning_rate=1e-4    # goes on from there

Parameters, optimizer, moving average and the lines of metrics.jsonl up to that step are copied; config.json and every
evaluation say where the run came from. For the parameters alone, in another model or on other data, see --init_from of
launch.train.
"""

import sys
from collections.abc import Sequence

from catgen.runs import fork
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(fork.fork, fork.describe))


if __name__ == "__main__":
  sys.exit(main())
