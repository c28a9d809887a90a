"""Time from the command to the end of the first training step, without a cache and with a cold and a warm one.

  python -m benchmarks.startup --config=quickstart

Runs `launch.train` for two steps in a fresh process, three times, with CATGEN_CACHE off and in a temporary folder, and
waits for the report of the first step: that of the last comes after its checkpoint and validation.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.runs.command import Command
from launch import cli

TWO_STEPS = ("num_steps=2", "report_every=1", "validation_examples=1")


def startup(*, config: str = "quickstart", override: Sequence[str] = ()) -> list[list[str]]:
  """Measures the seconds to the first step, without a cache, with an empty one and with a full one.

  Args:
    config: name or path of a configuration.
    override: passed on, for example --override=--config.data.path=mine.txt; may be repeated.
  """
  with tempfile.TemporaryDirectory() as folder:
    return [[cache, f"{first_step(folder, cache, config, override):.1f}"] for cache in ("off", "cold", "warm")]


def describe(rows: list[list[str]]) -> str:
  """Returns the table."""
  return terminal.table(["cache", "seconds to first step"], rows)


def first_step(folder: str, name: str, config: str, override: Sequence[str]) -> float:
  """Returns the seconds until the line that reports step 1."""
  environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
  environment["CATGEN_CACHE"] = "off" if name == "off" else os.path.join(folder, "cache")
  command = [
    sys.executable,
    "-m",
    "launch.train",
    f"--config={config}",
    f"--workdir={os.path.join(folder, name)}",
  ]
  command += [f"--config.training.{setting}" for setting in TWO_STEPS]
  command += ["--config.optimizer.warmup_steps=0", *(f"--config.{each}" for each in override)]
  started = time.perf_counter()
  process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  output = []
  for line in process.stdout or ():
    output.append(line)
    if line.startswith("train: 1 of 2 "):
      seconds = time.perf_counter() - started
      process.wait()
      return seconds
  raise InputError(f"{' '.join(command)} ended without a step: {''.join(output)[-500:]}")


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(startup, describe)))
