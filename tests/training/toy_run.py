"""Trains a toy model as a process of its own: `python toy_run.py --workdir=... --num_steps=...`; restarts go on.

With --whole=... it then does the same in another folder, for what needs a run to compare with.
"""

import argparse
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--workdir", required=True)
parser.add_argument("--whole")
parser.add_argument("--num_steps", type=int, required=True)
parser.add_argument("--model", default="denoiser")
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--fsdp", type=int, default=1)
parser.add_argument("--checkpoint_every", type=int, default=5)
parser.add_argument("--step_seconds", type=float, default=0.0)
parser.add_argument("--coordinator")
parser.add_argument("--process_id", type=int)
parser.add_argument("--num_processes", type=int)
flags = parser.parse_args()

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(here)))

from tests import compiling  # noqa: E402

os.environ["XLA_FLAGS"] = compiling.xla_flags(flags.devices)
os.environ |= compiling.cached()

import jax  # noqa: E402

from catgen.interfaces import InputError  # noqa: E402
from catgen.training.checkpoint import Checkpointer  # noqa: E402
from catgen.training.distributed import initialize  # noqa: E402
from catgen.training.loop import Hooks, Periods, train  # noqa: E402
from tests import toys  # noqa: E402
from tests.training.trainer import Setting, build  # noqa: E402


def main() -> int:
  initialize(flags.coordinator, flags.process_id, flags.num_processes)
  codes = [train_in(folder) for folder in (flags.workdir, flags.whole) if folder]
  return max(codes)


def train_in(workdir: str) -> int:
  trainer = build(flags.model, Setting(fsdp=flags.fsdp))

  def batches(start):
    for batch in toys.batches(start, process=jax.process_index(), processes=jax.process_count()):
      time.sleep(flags.step_seconds)
      yield batch

  def report(step, numbers):
    print(f"step {step} {numbers['bits']!r}", flush=True)

  with Checkpointer(workdir, say=lambda line: print(line, flush=True)) as checkpoints:
    state = checkpoints.restore(trainer.target) or trainer.init()
    print(f"start {int(state.step)}", flush=True)
    result = train(
      state=state,
      train_step=trainer.train_step,
      batches=batches(int(state.step)),
      key=trainer.key,
      num_steps=flags.num_steps,
      mesh=trainer.mesh,
      workdir=workdir,
      checkpoints=checkpoints,
      periods=Periods(report=1, checkpoint=flags.checkpoint_every),
      hooks=Hooks(report=report),
    )
  print(f"end {result.step}", flush=True)
  return result.exit_code


if __name__ == "__main__":
  try:
    sys.exit(main())
  except InputError as error:
    sys.exit(f"error: {error}")
