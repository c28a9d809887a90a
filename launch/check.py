"""Proves the likelihood of a config's model on a space small enough to enumerate.

  python -m launch.check --config=quickstart

Takes the config's family with a small network, a few time steps and events of few positions and categories, trains it
shortly on made-up data, then enumerates all events: probabilities sum to one, ELBO <= log p, samples have the right
frequencies, also by the options of the section `sampling` and with labels. A table says how far samplers are from
p(x), by network calls, where every prediction is exact.
"""

import sys
from collections.abc import Sequence

from catgen.runs import check
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code: 1 where a claim does not hold."""
  return cli.main(__doc__, words, Command(check.check, check.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
