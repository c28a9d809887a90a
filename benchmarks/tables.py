"""Seconds and memory of a large table: reading it and finding its columns, one epoch of batches in shuffled order.

  python -m benchmarks.tables --rows=1000000

The table is written first, in a process of its own: numbers and times that nearly all differ, a column of 40,000 texts,
few categories, gaps. Seconds are of the CPU of this process.
"""

import csv
import multiprocessing
import os
import resource
import sys
import tempfile
import time

import numpy as np

from catgen.data.pipeline import train_batch
from catgen.data.sets.table_file import table_file
from catgen.reporting import terminal
from catgen.runs.command import Command
from launch import cli

_BATCH = 256
NAMES = ("id", "paid", "height", "born", "seen", "town", "job", "kids", "ok", "note")


def tables(*, rows: int = 1_000_000) -> list[list[str]]:
  """Measures a table of ten columns.

  Args:
    rows: how many.
  """
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "table.csv")
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, rows))
    writer.start()
    writer.join()
    found = [["file", f"{os.path.getsize(path) / 1e6:.0f} MB", ""]]
    before, started = _peak(), time.process_time()
    source = table_file(path, unknown="other")
    found.append(["read, columns found, rows split", _seconds(started), f"{_peak() - before:.0f} MB"])
    split, started = source.splits["train"], time.process_time()
    before = _peak()
    steps = split.num_examples // _BATCH
    for step in range(steps):
      train_batch(split, seed=0, step=step, batch_size=_BATCH, crops=False)
    found.append([f"an epoch: {steps:,} batches of {_BATCH}", _seconds(started), f"{_peak() - before:.0f} MB"])
  return found


def describe(rows: list[list[str]]) -> str:
  """Returns the table."""
  return terminal.table(["", "CPU seconds", "more memory"], rows)


def write(path: str, rows: int) -> None:
  """Writes the table."""
  rng = np.random.default_rng(0)
  with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(NAMES)
    for start in range(0, rows, 10_000):
      number = min(10_000, rows - start)
      days = np.datetime64("1970-01-01") + rng.integers(0, 20_000, number)
      seconds = np.datetime64("2020-01-01T00:00:00") + rng.integers(0, 10**8, number)
      columns = [
        range(start, start + number),
        np.round(np.exp(rng.normal(8, 1, number)), 2),
        np.where(rng.random(number) < 0.1, "", np.round(rng.normal(170, 10, number), 3).astype(str)),
        days,
        np.char.replace(seconds.astype(str), "T", " "),
        [f"town {i}" for i in rng.integers(0, 40_000, number)],
        rng.choice(["clerk", "cook", "smith"], number),
        rng.integers(0, 6, number),
        rng.choice(["True", "False"], number),
        np.where(rng.random(number) < 0.5, "", "seen"),
      ]
      writer.writerows(zip(*columns, strict=True))


def _peak() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(started: float) -> str:
  return f"{time.process_time() - started:.1f}"


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(tables, describe)))
