"""Sets evaluated runs side by side: bits with their errors, differences on the same examples, cost, sampling time.

  python -m launch.compare --workdirs=runs/argmax,runs/variational,runs/uniform
  python -m launch.compare --workdirs='runs/*' --estimator=iwbo --output=iwbo

Run launch.evaluate on each first. Runs that differ in nothing but the seed share a row. Differences are from the first
row's model, on the examples that both rows have. Sampling time is that of one example alone, as in the paper's Table
10, measured here and now. Writes the table as JSON and as a picture; of maps also samples of all models beside data.
"""

import glob
import itertools
import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from catgen import build
from catgen.evaluation import comparison, results
from catgen.evaluation.comparison import Evaluation
from catgen.experiment import examples_of
from catgen.interfaces import InputError
from catgen.reporting import figures_comparison, progress, text
from catgen.reporting.writers import FILE_NAME as METRICS_FILE
from catgen.reporting.writers import read_metrics
from launch import cli, pictures

FLAGS = flags.FLAGS


class Compared(NamedTuple):
  """One work directory: its evaluations, and what its model and its training cost."""

  workdir: str
  record: build.RunRecord
  evaluations: dict[tuple[str, int], Evaluation]


def main() -> None:
  compared = [read(workdir) for workdir in workdirs(FLAGS.workdirs)]
  groups: dict[str, list[Compared]] = {}
  for run in compared:
    groups.setdefault(build.identity_without_seed(run.record), []).append(run)
  for group in groups.values():
    check_same_estimators(group)
  runs = [first_run(group) for group in groups.values()]
  rows = [row for group, run in zip(groups.values(), runs, strict=True) for row in rows_of(group, run)]
  for row in rows:
    less = comparison.difference(row["evaluations"], rows[0]["evaluations"])
    row["difference"], row["difference_error"], row["difference_examples"] = less
  report(rows, compared[0].record.position)
  if FLAGS.num_maps and pictures.is_map(runs[0].record.event) and len({run.record.event for run in runs}) == 1:
    draw_maps(labels_of(list(groups.values())), runs)


def workdirs(patterns: Sequence[str]) -> list[str]:
  """Returns the folders that the names and patterns mean, each once.

  Raises:
    InputError: there are none, or a pattern fits nothing.
  """
  found: list[str] = []
  for pattern in patterns:
    names = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
    runs = [name for name in names if os.path.isdir(name)]
    if not runs:
      raise InputError(f"there is no folder {pattern!r}; give work directories, --workdirs=runs/a,runs/b")
    found += runs
  if not found:
    raise InputError("nothing to compare; give work directories, --workdirs=runs/a,runs/b")
  return list(dict.fromkeys(os.path.normpath(name) for name in found))


def read(workdir: str) -> Compared:
  """Returns a work directory's evaluations by --split and --estimator."""
  record = build.read_record(workdir)
  return Compared(workdir, record, comparison.read_evaluations(workdir, split=FLAGS.split, estimator=FLAGS.estimator))


def check_same_estimators(group: Sequence[Compared]) -> None:
  """Raises InputError where one seed lacks an evaluation that another has."""
  for how in dict.fromkeys(how for run in group for how in run.evaluations):
    for run in group:
      if how not in run.evaluations:
        raise InputError(
          f"{run.workdir} has no evaluation by {how[0]} with {how[1]} draw(s), which another seed of the same model "
          "has; run launch.evaluate on it, or choose one --estimator"
        )


def first_run(group: Sequence[Compared]) -> build.Run:
  """Returns the model of the first seed as it was evaluated."""
  return build.load(group[0].workdir, step=evaluated_step(group[0]), say=cli.say)


def evaluated_step(run: Compared) -> int:
  """Returns the step of a work directory's evaluations."""
  return next(iter(run.evaluations.values())).record["step"]


def rows_of(group: Sequence[Compared], run: build.Run) -> list[dict[str, Any]]:
  """Returns what is known of one model, a row for each estimator."""
  cost = cost_of(group, run)
  return [{**row_of(group, how), **cost} for how in group[0].evaluations]


def row_of(group: Sequence[Compared], how: tuple[str, int]) -> dict[str, Any]:
  """Returns what is known of one model by one estimator."""
  evaluations = [run.evaluations[how] for run in group]
  first = evaluations[0].record
  return {
    "name": name_of([run.workdir for run in group]),
    "workdirs": [run.workdir for run in group],
    "family": group[0].record.config["model"]["kind"],
    "seeds": len(group),
    "estimator": how[0],
    "num_draws": how[1],
    "num_replicates": first["num_replicates"],
    "unit": first["unit"],
    "split": first["split"],
    "num_examples": first["num_examples"],
    "evaluations": evaluations,
    "invalid": first.get("invalid"),
    **comparison.summarize(evaluations)._asdict(),
  }


def name_of(folders: Sequence[str]) -> str:
  """Returns what the folders' names share at their beginning."""
  names = [os.path.basename(folder) for folder in folders]
  if len(names) == 1:
    return names[0]
  shared = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
  return "".join(letters[0] for letters in shared).rstrip("._-") or names[0]


def labels_of(groups: Sequence[Sequence[Compared]]) -> list[str]:
  """Returns the names of models, or where two of them are the same, their first folders."""
  names = [name_of([run.workdir for run in group]) for group in groups]
  return names if len(set(names)) == len(names) else [group[0].workdir for group in groups]


def cost_of(group: Sequence[Compared], run: build.Run) -> dict[str, Any]:
  """Returns parameters, training positions and seconds (means over seeds), and the time of one sample."""
  steps = [evaluated_step(each) for each in group]
  seconds = sample_seconds(run, FLAGS.sampling_repeats, group[0].workdir) if FLAGS.sampling_repeats else []
  return {
    "parameters": sum(leaf.size for leaf in jax.tree.leaves(run.params)),
    "training_positions": round(float(np.mean(steps)) * positions_a_step(group[0].record)),
    "training_seconds": float(np.mean([training_seconds(*each) for each in zip(group, steps, strict=True)])),
    "sampling_seconds": float(np.mean(seconds)) if seconds else None,
    "sampling_deviation": float(np.std(seconds, ddof=1)) if len(seconds) > 1 else None,
  }


def positions_a_step(record: build.RunRecord) -> int:
  """Returns the positions of one training batch, padding included."""
  return record.config["training"]["batch_size"] * math.prod(record.event.shape)


def training_seconds(run: Compared, step: int) -> float:
  """Returns how long the steps up to `step` took, by the rates in metrics.jsonl.

  These leave compilation, validation and pauses out.
  """
  each, last, seconds = positions_a_step(run.record), 0, 0.0
  for line in read_metrics(os.path.join(run.workdir, METRICS_FILE)):
    if line["step"] <= step and line.get("train/positions_per_second"):
      seconds += (line["step"] - last) * each / line["train/positions_per_second"]
      last = line["step"]
  return seconds


def sample_seconds(run: build.Run, repeats: int, name: str) -> list[float]:
  """Returns the seconds of one sample, `repeats` times, after one for compilation."""
  bar = progress.open_progress(repeats + 1, unit="sample", title=f"time samples of {name}")
  seconds = []
  try:
    for seed in range(repeats + 1):
      started = time.perf_counter()
      jax.block_until_ready(run.sample(1, seed=seed).x)
      seconds.append(time.perf_counter() - started)
      bar.update(1)
  finally:
    bar.close()
  return seconds[1:]


def report(rows: Sequence[dict[str, Any]], position: str) -> None:
  """Prints the table, writes it as JSON and draws it."""
  header = ["model", "family", "seeds", "parameters", rows[0]["unit"], "± examples", "± Monte Carlo", "± seeds"]
  header += ["estimator", "examples", "less the first", f"training {position}s", "training s", "s a sample"]
  cli.say(text.table(header, [cells(row, first=row is rows[0]) for row in rows]))
  for row in rows:
    if row["invalid"] is not None:
      cli.say(f"{row['name']}: {row['invalid']['positions']:.2%} of sampled {position}s mean no category")
  picture, path = f"{FLAGS.output}.png", f"{FLAGS.output}.json"
  plain = [{key: value for key, value in row.items() if key != "evaluations"} for row in rows]
  with cli.writing(path), open(path, "w") as file:
    json.dump(results.without_nan(plain), file, indent=1, allow_nan=False)
  labels = [f"{row['name']} ({row['estimator']})" for row in rows]
  bits, errors, each = ([row[key] for row in rows] for key in ("bits", "data_error", "each"))
  figures_comparison.comparison(labels, bits, errors, each, picture, unit=rows[0]["unit"])
  cli.say(f"written to {path} and {picture}")


def draw_maps(names: Sequence[str], runs: Sequence[build.Run]) -> None:
  """Draws --num_maps samples of each model of maps beside held-out data."""
  record = runs[0].record
  held_out = examples_of(build.source_of(record), FLAGS.split, FLAGS.num_maps)
  sets = {"held-out data": pictures.marked(held_out.x, held_out.valid)}
  bar = progress.open_progress(len(runs), unit="model", title="draw samples")
  try:
    for name, run in zip(names, runs, strict=True):
      drawn = run.sample(FLAGS.num_maps)
      sets[name] = pictures.marked(np.asarray(drawn.x), np.asarray(drawn.valid))
      bar.update(1)
  finally:
    bar.close()
  path = pictures.draw_models(f"{FLAGS.output}_samples.png", sets, pictures.legend_of(record))
  cli.say(f"samples of all models are in {path}")


def cells(row: dict[str, Any], *, first: bool) -> list[str]:
  """Returns a row of the table as text."""
  draws = "" if row["estimator"] == "exact" else f", {row['num_draws']} x {row['num_replicates']}"
  sampling = row["sampling_seconds"]
  return [
    row["name"],
    row["family"],
    str(row["seeds"]),
    f"{row['parameters']:,}",
    f"{row['bits']:.4f}",
    *(_error(row[key]) for key in ("data_error", "monte_carlo_error", "seed_error")),
    f"{row['estimator']}{draws}",
    f"{row['num_examples']:,}",
    "" if first else text.plus_minus(row["difference"], row["difference_error"]),
    f"{row['training_positions']:,}",
    f"{row['training_seconds']:,.0f}",
    "" if sampling is None else text.plus_minus(sampling, row["sampling_deviation"], 3),
  ]


def _error(value: float) -> str:
  return "?" if math.isnan(value) else f"{value:.4f}"


def define_flags() -> None:
  flags.DEFINE_list("workdirs", [], "folders of runs, separated by commas; patterns such as runs/* are expanded")
  flags.DEFINE_string("split", "test", "the split whose evaluations are compared")
  flags.DEFINE_enum("estimator", None, ["exact", "elbo", "full", "iwbo"], "only evaluations by this one")
  flags.DEFINE_integer("sampling_repeats", 3, "samples that are timed for each model; 0 = none")
  flags.DEFINE_integer("num_maps", 6, "samples of each model in a picture, where examples are maps; 0 = none")
  flags.DEFINE_string("output", "comparison", "what is written: this with .json and .png, and _samples.png of maps")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
