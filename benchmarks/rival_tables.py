"""catgen's three families of tables beside rivals, on real tables of Python packages, in equal time.

  pip install -e ".[tables,rivals]" && pip install --no-deps ISLP statsmodels
  python -m benchmarks.rival_tables --seconds=180 --output=outputs/rival_tables

Rivals: columns by themselves, a chain and a tree of counts (benchmarks/table_counts.py; exact), and adversarial random
forests (arfpy, MIT licence), which say no likelihood. All learn the same training rows; bits are of the same
discretized table. What is finished is kept, a file for each table and system, so that the same command goes on where
it was stopped.
"""

import json
import math
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import forest, real_tables, table_counts
from benchmarks.real_tables import TABLES, Dealt
from benchmarks.subjects import describe_machine
from catgen.data.sets.table_file import table_file
from catgen.data.tabular.codec import table_of, written_cells
from catgen.data.tabular.parquet import csv_of
from catgen.evaluation import outliers
from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.reporting.progress import no_progress
from catgen.reporting.terminal import silent
from catgen.runs.choose import bins_of
from catgen.runs.command import Command
from catgen.runs.compare_tables import compare_tables
from catgen.runs.evaluate import evaluate
from catgen.runs.fit import fit
from catgen.runs.sample import sample
from catgen.runs.table_measures import records
from catgen.sources import DataSource
from launch import cli

FAMILIES = {"autoregressive": "autoregressive", "masked": "masked", "uniform": "multinomial"}
COUNTS = {"independent": table_counts.independent, "chain": table_counts.chain, "tree": table_counts.tree}
SYSTEMS = (*COUNTS, "forest", *FAMILIES)
_SPLITS = ("train", "validation", "test")


class Job(NamedTuple):
  """A table, dealt to splits, and where its files are."""

  name: str
  dealt: Dealt
  source: DataSource
  folder: pathlib.Path
  seed: int
  most: int  # rows that are drawn
  num_steps: int  # of samples
  seconds: float  # of training
  bins: dict[str, int]  # what the section `data` says of them

  def path(self, file: str) -> str:
    """Returns the path of a file of the job."""
    return str(self.folder / file)

  @property
  def drawn(self) -> int:
    """How many rows are drawn: as many as train, up to a limit."""
    return min(self.most, self.dealt.counts[0])


def rival_tables(
  *,
  tables: Sequence[str] = tuple(TABLES),
  systems: Sequence[str] = SYSTEMS,
  seconds: float = 180.0,
  most: int = 2000,
  num_steps: int = 100,
  num_bins: int = 0,
  seed: int = 0,
  output: str = "outputs/rival_tables",
  say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
  """Trains and judges every system on every table.

  Args:
    tables: names of tables; may be repeated.
    systems: independent, chain, tree, forest, autoregressive, masked, uniform; may be repeated.
    seconds: of `catgen.fit`, compiling included; rivals need what they need.
    most: rows that are drawn, as many as training has up to this number.
    num_steps: network calls of a draw of masked and uniform models.
    num_bins: of numeric columns, for all systems; 0: as many as `fit` chooses.
    seed: of the splits, of training and of all draws.
    output: folder for models, tables and records.
    say: receives a line for each system.
  """
  for given, known in ((tables, TABLES), (systems, SYSTEMS)):
    if strange := [each for each in given if each not in known]:
      raise InputError(f"there is no {strange[0]!r}; choose of {', '.join(known)}")
  found = []
  for name in tables:
    job = None
    for system in systems:
      kept = pathlib.Path(output, name, f"{system}.json")
      if not kept.exists():
        job = job or _job(name, pathlib.Path(output, name), seed, most, num_steps, seconds, num_bins)
        say(f"{name}: {system}")
        record = {"table": name, "system": system, **_judged(job, system), "machine": describe_machine()}
        kept.write_text(json.dumps(record, indent=1))
      found.append(json.loads(kept.read_text()))
  pathlib.Path(output, "results.json").write_text(json.dumps(found, indent=1))
  return found


def _job(name: str, folder: pathlib.Path, seed: int, most: int, num_steps: int, seconds: float, num_bins: int) -> Job:
  """Returns a table in files: all rows, and those of training and of the test."""
  dealt = real_tables.read(name, seed)
  folder.mkdir(parents=True, exist_ok=True)
  ends = np.cumsum(dealt.counts)
  parts = {"all": slice(None), "train": slice(0, ends[0]), "test": slice(ends[1], None)}
  for part, rows in parts.items():
    cells = {each: values[rows] for each, values in dealt.columns.items()}
    (folder / f"{part}.csv").write_bytes(csv_of(cells))
  bins = {"num_bins": num_bins or bins_of(sum(dealt.counts))}
  source = table_file(
    str(folder / "all.csv"), separator=",", decimal=".", unknown="other", splits=dealt.counts, **bins
  )  # as `fit` has it
  return Job(name, dealt, source, folder, seed, most, num_steps, seconds, bins)


def _judged(job: Job, system: str) -> dict[str, Any]:
  """Returns what a system reaches: bits per row, and what `compare_tables` says of rows that it draws."""
  made = _counted(job, system) if system in COUNTS else _grown(job) if system == "forest" else _trained(job, system)
  started = time.perf_counter()
  found = compare_tables(
    real=job.path("test.csv"),
    synthetic=job.path(f"{system}.csv"),
    train=job.path("train.csv"),
    target=TABLES[job.name].target,
    workdir=job.path(system) if system in FAMILIES else None,
    max_scored=1000,
    seed=job.seed,
    output=job.path(f"judged_{system}"),
    say=silent,
  )
  measures = {each["name"]: each for each in records(found)["measures"]}
  return {
    **made,
    "rows": dict(zip(_SPLITS, job.dealt.counts, strict=True)) | {"drawn": job.drawn},
    "columns": len(job.dealt.columns),
    **job.bins,
    "measures": measures,
    "judging_seconds": time.perf_counter() - started,
  }


def _counted(job: Job, system: str) -> dict[str, Any]:
  started = time.perf_counter()
  x = {name: split.examples(np.arange(split.num_examples)).x for name, split in job.source.splits.items()}
  counts = COUNTS[system](job.source.event.sizes, x["train"], x["validation"])
  seconds = time.perf_counter() - started
  table = table_of(job.source.codec.spec)
  cells = written_cells(table, counts.sample(job.drawn, job.seed))
  _write(job, system, dict(zip(table.names, cells, strict=True)))
  bits = {name: counts.bits(each) for name, each in x.items()}
  apart = outliers.separation(bits["test"], bits["train"])
  return {
    "bits": float(bits["test"].mean()),
    "data_error": float(bits["test"].std(ddof=1)) / math.sqrt(len(bits["test"])),
    "monte_carlo_error": 0.0,
    "estimator": "exact",
    "train_bits": float(bits["train"].mean()),
    "membership": list(apart),
    "seconds": seconds,
    "sampling_seconds": time.perf_counter() - started - seconds,
  }


def _grown(job: Job) -> dict[str, Any]:
  started = time.perf_counter()
  train = {name: cells[: job.dealt.counts[0]] for name, cells in job.dealt.columns.items()}
  _write(job, "forest", forest.drawn(table_of(job.source.codec.spec), train, job.drawn, job.seed))
  return {"seconds": time.perf_counter() - started}


def _trained(job: Job, system: str) -> dict[str, Any]:
  started = time.perf_counter()
  run = fit(
    job.dealt.columns,
    job.path(system),
    minutes=job.seconds / 60,
    family=FAMILIES[system],
    overrides={"data.splits": job.dealt.counts, "data.num_bins": job.bins["num_bins"]},
    seed=job.seed,
    say=silent,
    progress=no_progress,
  )
  seconds, columns = time.perf_counter() - started, len(job.dealt.columns)
  if run.record.fingerprint != job.source.fingerprint:
    raise InputError(f"{run.workdir} was trained on other rows; give another --output")
  result = evaluate(run, split="test", num_draws=16, pictures=False, seed=job.seed, say=silent).result
  started = time.perf_counter()
  steps = None if system == "autoregressive" else job.num_steps
  sample(
    run,
    num_samples=job.drawn,
    batch_size=min(256, job.drawn),
    num_steps=steps,
    seed=job.seed,
    output=job.path(f"{system}.csv"),
    say=silent,
  )
  return {
    "bits": result["value"] * columns,
    "data_error": result["data_error"] * columns,
    "monte_carlo_error": (result["monte_carlo_error"] or 0.0) * columns,
    "estimator": result["estimator"],
    "best_step": run.step,
    "num_steps": run.record.config["training"]["num_steps"],
    "seconds": seconds,
    "sampling_seconds": time.perf_counter() - started,
  }


def _write(job: Job, system: str, columns: Mapping[str, Sequence[str]]) -> None:
  (job.folder / f"{system}.csv").write_bytes(csv_of(columns))


def describe(found: Sequence[Mapping[str, Any]]) -> str:
  """Returns a table of all systems, those that need the fewest bits first in each table."""
  rows = []
  for name in dict.fromkeys(each["table"] for each in found):
    of_table = [each for each in found if each["table"] == name]
    rows += [_cells(each) for each in sorted(of_table, key=lambda each: each.get("bits", math.inf))]
  judged = ["bits per row", "detection AUC", "learned", "by real rows", "shape", "trend", "membership AUC", "s"]
  return terminal.table(["table", "system", *judged], rows)


def _cells(record: Mapping[str, Any]) -> list[str]:
  measures, bits = record["measures"], ""
  if "bits" in record:
    bits = terminal.plus_minus(record["bits"], record["data_error"], 3)
    bits += f" ± {record['monte_carlo_error']:.3f}" if record["estimator"] != "exact" else ""
  learned = next(name for name in measures if " learned, " in name)

  def shown(name: str, whose: str = "synthetic") -> str:
    found = measures.get(name)
    return "" if found is None else terminal.plus_minus(found[whose], found[f"{whose}_error"], 3)

  member = shown("membership AUC")
  if "membership" in record:
    member = terminal.plus_minus(*record["membership"], 3)
  return [
    record["table"],
    record["system"],
    bits,
    shown("detection AUC"),
    shown(learned),
    shown(learned, "real"),
    shown("shape, mean of columns"),
    shown("trend, mean of pairs"),
    member,
    f"{record['seconds']:.0f}",
  ]


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(rival_tables, describe)))
