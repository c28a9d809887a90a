"""How far stated errors can be trusted: what they say beside what happens, where the law is known.

  python -m benchmarks.calibration
  python -m benchmarks.calibration --parts=pieces

Parts: "pieces", errors over pieces of one text (`catgen.bounds.ratio_error`) on simulated streams, beside those that
take pieces as independent; "tables", the separation of two tables by trees and their likeness in shape, of one law and
of shifted ones; "shared", how often honest rows are taken for a model's training rows. Everything is NumPy's, by seed.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from catgen.bounds import ratio_error
from catgen.evaluation import table_trees
from catgen.evaluation.shared_rows import shared
from catgen.evaluation.table_fidelity import Rows, alike
from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.runs.command import Command
from launch import cli

PARTS = ("pieces", "tables", "shared")
PIECES = (50, 200, 1000, 5000)
ROWS = ((150, 0.0), (500, 0.0), (150, 1.0), (500, 1.0))  # of each table, and how far the first column is shifted
SHARED = ((5000, 300, 3000), (20_000, 200, 3000), (500, 20, 3000), (500, 20, 100))  # rows, training rows, kinds
_LEVEL = 1.96  # errors on either side that hold 95 %

Simulate = Callable[[np.random.Generator, int, int], Float[np.ndarray, "streams pieces"]]


class Table(NamedTuple):
  """What was found, as a table."""

  title: str
  header: Sequence[str]
  rows: list[list]


def calibration(
  *,
  parts: Sequence[str] = PARTS,
  streams: int = 2000,
  pairs: int = 200,
  trials: int = 2000,
  seed: int = 0,
  say: Callable[[str], None] = print,
) -> list[Table]:
  """Measures how often intervals hold the truth, and how often the innocent are accused.

  Args:
    parts: pieces, tables or shared; may be repeated.
    streams: simulated streams of each kind and number of pieces.
    pairs: pairs of tables of each size.
    trials: pairs of tables of which rows may be shared, of each size.
    seed: of all draws.
    say: receives a line for each part.

  Raises:
    InputError: there is no such part.
  """
  measures: Mapping[str, Callable[[np.random.Generator], Iterator[Table]]] = {
    "pieces": lambda rng: _pieces(rng, streams),
    "tables": lambda rng: _tables(rng, pairs),
    "shared": lambda rng: _shared(rng, trials),
  }
  found: list[Table] = []
  for part in parts:
    if part not in measures:
      raise InputError(f"part {part!r} is none of {', '.join(PARTS)}")
    say(part)
    found += measures[part](np.random.default_rng(seed))
  return found


def describe(tables: Sequence[Table]) -> str:
  """Returns the tables one below the other."""
  return "\n\n".join(f"{each.title}\n{terminal.table(each.header, each.rows)}" for each in tables)


def autoregressive(kept: float) -> Simulate:
  """Returns streams x_t = kept x_(t-1) + noise, of mean 0 and variance 1."""

  def simulate(rng: np.random.Generator, streams: int, pieces: int) -> Float[np.ndarray, "streams pieces"]:
    begin = math.ceil(10 / (1 - kept))  # where the start is forgotten
    noise = rng.normal(size=(streams, pieces + begin))
    return lfilter([math.sqrt(1 - kept**2)], [1, -kept], noise, axis=1)[:, begin:]

  return simulate


def mixed(shares: Mapping[float, float]) -> Simulate:
  """Returns sums of independent streams, what each keeps -> its share of the variance."""

  def simulate(rng: np.random.Generator, streams: int, pieces: int) -> Float[np.ndarray, "streams pieces"]:
    parts = [math.sqrt(share) * autoregressive(kept)(rng, streams, pieces) for kept, share in shares.items()]
    return np.sum(parts, axis=0)

  return simulate


STREAMS: Mapping[str, Simulate] = {
  "independent": autoregressive(0.0),
  "keeps 0.4": autoregressive(0.4),
  "0.45 keeps 0.88": mixed({0.88: 0.45, 0.0: 0.55}),
  "0.25 keeps 0.6, 0.2 keeps 0.97": mixed({0.6: 0.25, 0.97: 0.2, 0.0: 0.55}),
}


def _pieces(rng: np.random.Generator, streams: int) -> Iterator[Table]:
  rows = []
  for name, simulate in STREAMS.items():
    for number in PIECES:
      drawn = simulate(rng, streams, number)
      means, residuals = drawn.mean(axis=1), drawn - drawn.mean(axis=1, keepdims=True)
      covered = [
        np.mean(
          np.abs(means)
          < _LEVEL * np.array([ratio_error(each, float(number), consecutive=pieces) for each in residuals])
        )
        for pieces in (False, True)
      ]
      rows.append([name, number, *(f"{share:.1%}" for share in covered)])
  header = ["variance", "pieces", "taken as independent", "as pieces of one text"]
  yield Table(f"intervals of 95% around the mean of pieces that hold the truth, {streams} streams each", header, rows)


def _tables(rng: np.random.Generator, pairs: int) -> Iterator[Table]:
  trees, shapes = [], []
  with table_trees.one_thread():
    for number, shift in ROWS:
      told, shape = zip(*(_compared(rng, number, shift) for _ in range(pairs)), strict=True)
      auc, error = np.array(told).T
      right = 0.5 if shift == 0 else auc.mean()
      covered = np.mean(np.abs(auc - right) < _LEVEL * error)
      trees.append([number, f"{shift:g}", f"{auc.mean():.3f}", *_beside(auc, error), f"{covered:.1%}"])
      value, error = np.array(shape).T
      shapes.append([number, f"{shift:g}", f"{value.mean():.4f}", *_beside(value, error)])
  header = ["rows", "shift", "mean", "standard deviation", "stated error"]
  yield Table(f"separation by trees (AUC), {pairs} pairs of tables each", [*header, "95% hold the truth"], trees)
  yield Table(f"likeness in shape, {pairs} pairs of tables each", header, shapes)


def _compared(rng: np.random.Generator, number: int, shift: float) -> tuple[tuple[float, float], tuple[float, float]]:
  """Returns the separation of two tables of four columns and their likeness in shape, each with its error."""

  def table(shift: float) -> Rows:
    values = np.stack([rng.normal(size=number) + shift, rng.normal(size=number), *rng.integers(0, 5, (2, number))], 1)
    return Rows(("a", "b", "c", "d"), (0, 0, 5, 5), (True, True, False, False), values)

  one, other, seed = table(0.0), table(shift), int(rng.integers(2**31))
  told, found = table_trees.told_apart(one, other, seed=seed), alike(one, other, [(0, 1)], bootstraps=50, seed=seed)
  return (told.auc, told.error), (found.shape, found.shape_error)


def _beside(values: Float[np.ndarray, "n"], errors: Float[np.ndarray, "n"]) -> list[str]:
  return [f"{values.std(ddof=1):.4f}", f"{math.sqrt(np.mean(errors**2)):.4f}"]


def _shared(rng: np.random.Generator, trials: int) -> Iterator[Table]:
  rows = []
  for number, others, kinds in SHARED:
    p = 1 / np.arange(1, kinds + 1)  # by Zipf's law
    accused = handed_in = half = 0
    for _ in range(trials):
      honest, training = (rng.choice(kinds, (size, 1), p=p / p.sum()) for size in (number, others))
      accused += shared(honest, training).taken
      handed_in += shared(training, training).taken
      half += shared(rng.choice(training, others // 2, replace=False), training).taken
    shares = [f"{count / trials:.1%}" for count in (accused, handed_in, half)]
    rows.append([f"{number:,}", others, f"{kinds:,}", *shares])
  header = ["rows", "training rows", "kinds", "honest, accused", "training rows, found", "half of them, found"]
  yield Table(f"rows that are taken for training rows, {trials} pairs of tables each", header, rows)


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(calibration, describe)))
