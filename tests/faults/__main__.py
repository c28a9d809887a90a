"""Throws faults at real runs, as processes, and checks after each that nothing is lost and at last every bit.

  python -m tests.faults --kills=100 --others=100 --seed=0

A round takes one work directory from its first step to its last through some twenty faults, then evaluates it and draws
samples, through more. The same command goes on at the first round that has not ended; --only=N repeats a round.
As root each work directory is on a small disk of its own, which can be full or read-only.
"""

import argparse
import os
import pathlib
import sys
import tempfile

from tests import compiling

os.environ["XLA_FLAGS"] = compiling.xla_flags(8)
os.environ |= compiling.cached()


def main() -> int:
  """Returns the exit code: 1 where something was lost."""
  from tests.faults.campaign import Campaign

  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--kills", type=int, default=100, help="how often a process is killed (SIGKILL)")
  parser.add_argument("--others", type=int, default=100, help="how many other faults")
  parser.add_argument("--seed", type=int, default=0, help="of which faults come when")
  parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "catgen-faults")
  parser.add_argument("--only", type=int, default=None, help="number of the round to repeat")
  parser.add_argument("--kind", action="append", default=[], help="draw only this kind of fault; may be repeated")
  given = parser.parse_args()
  campaign = Campaign(given.folder, given.kills, given.others, given.seed, kinds=tuple(given.kind))
  campaign.run(given.only)
  print(campaign.table())
  return 1 if campaign.failures else 0


if __name__ == "__main__":
  sys.exit(main())
