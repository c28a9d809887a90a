"""Evaluated runs side by side: bits with their errors, differences on the same examples, cost, sampling time."""

import glob
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from catgen import orders, paths
from catgen.batches import batch_of
from catgen.evaluation import comparison, estimators, results
from catgen.evaluation.comparison import Evaluation
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.paths import join
from catgen.records import shown_briefly
from catgen.reporting import charts, terminal
from catgen.reporting.drawing import boxed
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.reporting.writers import FILE_NAME as METRICS_FILE
from catgen.reporting.writers import read_metrics
from catgen.runs.argument_types import checked, texts
from catgen.runs.compared_law import check_same as check_same_law
from catgen.runs.compared_law import law_of
from catgen.runs.experiment import first_examples
from catgen.runs.exported import located, written_in
from catgen.runs.load import Run, load
from catgen.runs.record import RunRecord, identity_without_seed, read_record
from catgen.training import distributed

NEEDED = ("unit", "value", "num_examples", "num_replicates", "monte_carlo_error", "data_fingerprint")  # of a result
_GIVE = "give work directories, --workdirs=runs/a,runs/b"


@shown_briefly
class Evaluations(NamedTuple):
  """One work directory and its evaluations."""

  workdir: str
  record: RunRecord
  evaluations: dict[tuple[str, int], Evaluation]  # by (estimator, num_draws)

  @property
  def step(self) -> int:
    """The step of the checkpoint that was evaluated."""
    return next(iter(self.evaluations.values())).record["step"]


@shown_briefly
class Compared(NamedTuple):
  """Models side by side."""

  rows: list[dict[str, Any]]  # of each model and estimator what is known; as they stand in the JSON file
  position: str
  path: str  # of the JSON file
  pictures: tuple[str, ...]


@checked
def compare(
  *,
  workdirs: tuple[str, ...] = (),
  split: str = "test",
  estimator: estimators.Name | None = None,
  context: int = 0,
  memory: int = 0,
  given: Literal["data", "none"] = "data",
  order: str | None = None,
  positions_per_call: int = 1,
  entropy_budget: float = 0.0,
  blocks: tuple[int, ...] = (),
  num_calls: int | None = None,
  num_steps: int | None = None,
  correction: float = 0.0,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float = 1.0,
  forbid: str | Sequence[int] = "",
  sampling_repeats: int = 3,
  num_maps: int = 6,
  output: str = "comparison",
  data: Sequence[str] = (),
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Compared:
  """Compares evaluated runs; those that differ in nothing but the seed share a row.

  Differences are from the first row's model, on the examples that both rows have. Sampling time is that of one example
  alone, as in the paper's Table 10, measured here and now.

  Args:
    workdirs: folders of runs, separated by commas; patterns such as runs/* are expanded.
    split: the split whose evaluations are compared.
    estimator: only evaluations by this one.
    context: only evaluations with so many positions of context.
    memory: only evaluations that carried a memory of so many positions.
    given: of models with labels only evaluations that were given those of the data, or none.
    order: only evaluations of samples by this order, restricted by exactly what is given below; by default those of the
      models' own p(x).
    positions_per_call: only those of samples that drew so many positions at a call.
    entropy_budget: only those of samples by the order of this name with so many nats at a call.
    blocks: only those of samples by the order blocks with these.
    num_calls: with the order blocks, in place of them: the blocks that an evaluation by so many calls found.
    num_steps: only evaluations of samples by so many moves.
    correction: only evaluations of samples that correct themselves so.
    temperature: only evaluations of samples at this temperature.
    top_k: only evaluations of samples that took one of so many categories.
    top_p: only evaluations of samples that took one of the categories with this share of the probability.
    forbid: only evaluations of samples without these categories, given as `evaluate` takes them: characters of text,
      ids or names of arrays, with commas between them, or in Python the numbers that results.json has.
    sampling_repeats: samples that are timed for each model; 0 = none.
    num_maps: samples of each model in a picture, where examples can be pictured; 0 = none.
    data: where the data of the runs are now; see `load`.
    output: what is written: this with .json and .png, and _samples.png of maps.
    say: receives lines about what is done.
    progress: opens the bars.

  Raises:
    InputError: there is nothing to compare, or the runs were not evaluated alike.
  """
  asked = {
    "temperature": temperature,
    "top_k": top_k,
    "top_p": top_p,
    "forbid": forbid,
    "order": order,
    "positions_per_call": positions_per_call,
    "entropy_budget": entropy_budget,
    "blocks": blocks,
    "num_steps": num_steps,
    "correction": correction,
  }
  groups: dict[str, list[Evaluations]] = {}
  laws: dict[str, SampleOptions] = {}
  for workdir in expanded(texts(workdirs, "workdirs")):
    record = read_record(workdir)
    laws[workdir] = law_of(workdir, record, split, num_calls, asked)
    found = comparison.read_evaluations(
      written_in(workdir),
      named=workdir,
      split=split,
      estimator=estimator,
      context=context,
      memory=memory,
      given=given,
      law=laws[workdir],
    )
    for each in found.values():
      results.check_has(each.record, NEEDED, workdir)
    groups.setdefault(identity_without_seed(record), []).append(Evaluations(workdir, record, found))
  check_same_law(laws)
  for group in groups.values():
    check_same_estimators(group)
  check_same_protocol([each for group in groups.values() for each in group])
  rows = _rows(list(groups.values()))
  runs = [load(group[0].workdir, step=group[0].step, data=data, say=say) for group in groups.values()]
  for group, run in zip(groups.values(), runs, strict=True):
    cost = _cost(group, run, sample_seconds(run, sampling_repeats, progress) if sampling_repeats else [])
    for row in rows:
      if row["workdirs"] == [each.workdir for each in group]:
        row |= cost
  output = paths.expanded(output)
  path, picture = f"{output}.json", f"{output}.png"
  distributed.first_does(lambda: _write(rows, path, picture))
  for line in boxed(row["name"] for row in rows):
    say(f"warning: {line}")
  pictures = [picture]
  if num_maps and len({run.record.event for run in runs}) == 1 and runs[0].media.pictured.models is not None:
    pictures.append(f"{output}_samples.png")
    draw_samples(pictures[-1], labels_of(list(groups.values())), runs, split, num_maps, progress)
  return Compared(rows, runs[0].record.position, path, tuple(pictures))


def describe(compared: Compared) -> str:
  """Returns the table of models: bits per position and their errors, and the cost of each in positions and seconds."""
  rows, position = compared.rows, compared.position
  header = ["model", "family", "seeds", "parameters", rows[0]["unit"], "± examples", "± Monte Carlo", "± seeds"]
  header += [
    "estimator",
    "examples",
    "difference from the first",
    f"training {position}s",
    "training seconds",
    "seconds for a sample",
  ]
  lines = [terminal.table(header, [_cells(row, first=row is rows[0]) for row in rows])]
  lines += [f"all {rows[0]['unit']}: {rows[0]['protocol']}"] if rows[0]["protocol"] else []
  lines += [f"all {rows[0]['unit']}: of samples by {rows[0]['law']}"] if rows[0]["law"] else []
  lines += [f"± examples: {results.error_over(consecutive=True)}"] if rows[0]["consecutive"] else []
  for row in rows:
    if row["invalid"] is not None:
      lines.append(f"{row['name']}: {row['invalid']['positions']:.2%} of sampled {position}s mean no category")
  return "\n".join([*lines, f"written to {compared.path}; pictures: {', '.join(compared.pictures)}"])


def expanded(patterns: Iterable[str]) -> list[str]:
  """Returns the folders that names and patterns mean, each once.

  Raises:
    InputError: there are none, or a pattern fits nothing.
  """
  found: list[str] = []
  for pattern in patterns:
    pattern = located(pattern)
    names = paths.matching_folders(pattern) if glob.has_magic(pattern) and not paths.is_folder(pattern) else [pattern]
    folders = [name for name in names if paths.is_folder(name)]
    if not folders:
      raise InputError(f"there is no folder {pattern!r}; {_GIVE}")
    found += folders
  if not found:
    raise InputError(f"nothing to compare; {_GIVE}")
  return list(dict.fromkeys(map(paths.normal, found)))


def check_same_estimators(group: Sequence[Evaluations]) -> None:
  """Raises InputError where one seed lacks an evaluation that another has."""
  for how in dict.fromkeys(how for each in group for how in each.evaluations):
    for each in group:
      if how not in each.evaluations:
        raise InputError(
          f"{each.workdir} has no evaluation by {how[0]} with {terminal.counted(how[1], 'draw')}, which another seed "
          "of the same model has; run launch.evaluate on it, or choose one --estimator"
        )


def check_same_protocol(runs: Sequence[Evaluations]) -> None:
  """Raises InputError where positions were given more of those before them in one evaluation than in another."""
  found: dict[tuple, str] = {}
  for run in runs:
    for each in run.evaluations.values():
      name = each.record.get("protocol", "examples by themselves")
      found.setdefault(results.protocol_of(each.record), f"{run.workdir} ({name})")
  if len(found) > 1:
    first, other = list(found.values())[:2]
    raise InputError(
      f"the runs were evaluated by different protocols, {first} and {other}: their numbers do not mean the same; run "
      "launch.evaluate on both with the same flags"
    )


def name_of(folders: Sequence[str]) -> str:
  """Returns what the folders' names share at their beginning."""
  names = [paths.name_of(folder) for folder in folders]
  if len(names) == 1:
    return names[0]
  shared = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
  return "".join(letters[0] for letters in shared).rstrip("._-") or names[0]


def labels_of(groups: Sequence[Sequence[Evaluations]]) -> list[str]:
  """Returns the names of models, or where two of them are the same, their first folders."""
  names = [name_of([each.workdir for each in group]) for group in groups]
  return names if len(set(names)) == len(names) else [group[0].workdir for group in groups]


def training_seconds(each: Evaluations) -> float:
  """Returns how long the steps up to the evaluated one took, by the rates in metrics.jsonl.

  These leave compilation, validation and pauses out. Not a number, where an exported model does not say it.
  """
  if each.record.exported is not None:
    return each.record.exported.training_seconds or math.nan
  last, seconds = 0, 0.0
  for line in read_metrics(join(each.workdir, METRICS_FILE), terminal.silent):
    if line["step"] <= each.step and line.get("train/positions_per_second"):
      seconds += (line["step"] - last) * _positions_a_step(each.record) / line["train/positions_per_second"]
      last = line["step"]
  return seconds


def sample_seconds(run: Run, repeats: int, progress: OpenProgress = no_progress) -> list[float]:
  """Returns the seconds of one sample, `repeats` times, after one for compilation."""
  seconds = []
  with closing(progress(repeats + 1, unit="sample", title=f"time samples of {run.workdir}")) as bar:
    for seed in range(repeats + 1):
      started = time.perf_counter()
      run.sample(1, seed=seed)
      seconds.append(time.perf_counter() - started)
      bar.update(1)
  return seconds[1:]


def draw_samples(
  path: str,
  names: Sequence[str],
  runs: Sequence[Run],
  split: str,
  number: int,
  progress: OpenProgress = no_progress,
) -> None:
  """Draws so many samples of each model, a column for each, beside a column of held-out data."""
  sets: dict[str, Batch] = {"held-out data": first_examples(runs[0].source(), split, number)}
  with closing(progress(len(runs), unit="model", title="draw samples")) as bar:
    for name, run in zip(names, runs, strict=True):
      drawn = run.sample(number)
      sets[name] = batch_of(drawn.x, drawn.valid)
      bar.update(1)
  draw = runs[0].media.pictured.models
  assert draw is not None
  distributed.first_does(lambda: draw(path, sets))


def _rows(groups: Sequence[Sequence[Evaluations]]) -> list[dict[str, Any]]:
  """Returns what the evaluations say of each model by each estimator, with the difference from the first of them.

  Raises:
    InputError: they are not of the same examples.
  """
  pairs = [(group, how) for group in groups for how in group[0].evaluations]
  evaluations = [[each.evaluations[how] for each in group] for group, how in pairs]
  rows = [_row(*pair, own) for pair, own in zip(pairs, evaluations, strict=True)]
  for row, own in zip(rows, evaluations, strict=True):
    less = comparison.difference(own, evaluations[0])
    row["difference"], row["difference_error"], row["difference_examples"] = less
  return rows


def _row(group: Sequence[Evaluations], how: tuple[str, int], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
  """Returns what is known of one model by one estimator."""
  first = evaluations[0].record
  return {
    "name": name_of([each.workdir for each in group]),
    "workdirs": [each.workdir for each in group],
    "family": group[0].record.config["model"]["kind"],
    "seeds": len(group),
    "estimator": how[0],
    "num_draws": how[1],
    **{key: first[key] for key in ("num_replicates", "unit", "split", "num_examples")},
    "invalid": first.get("invalid"),
    "protocol": first.get("protocol"),
    "law": orders.named(orders.of_record(first)),
    "consecutive": comparison.consecutive(evaluations),
    **comparison.summarize(evaluations)._asdict(),
  }


def _cost(group: Sequence[Evaluations], run: Run, seconds: Sequence[float]) -> dict[str, Any]:
  """Returns parameters, training positions and seconds (means over seeds), and the time of one sample."""
  steps = float(np.mean([each.step for each in group]))
  return {
    "parameters": sum(leaf.size for leaf in jax.tree.leaves(run.params)),
    "training_positions": round(steps * _positions_a_step(group[0].record)),
    "training_seconds": float(np.mean([training_seconds(each) for each in group])),
    "sampling_seconds": float(np.mean(seconds)) if seconds else None,
    "sampling_deviation": float(np.std(seconds, ddof=1)) if len(seconds) > 1 else None,
  }


def _positions_a_step(record: RunRecord) -> int:
  """Returns the positions of one training batch, padding included."""
  return record.config["training"]["batch_size"] * math.prod(record.event.shape)


def _write(rows: Sequence[Mapping[str, Any]], path: str, picture: str) -> None:
  results.write_rows(rows, path)
  _draw(rows, picture)


def _draw(rows: Sequence[Mapping[str, Any]], path: str) -> None:
  labels = [f"{row['name']} ({row['estimator']})" for row in rows]
  bits, errors, each = ([row[key] for row in rows] for key in ("bits", "data_error", "each"))
  charts.comparison(labels, bits, errors, each, path, unit=rows[0]["unit"])


def _cells(row: Mapping[str, Any], *, first: bool) -> list[str]:
  """Returns a row of the table as text."""
  draws = "" if row["estimator"] in estimators.EXACT else f", {row['num_draws']} x {row['num_replicates']}"
  sampling = row["sampling_seconds"]
  return [
    row["name"],
    row["family"],
    str(row["seeds"]),
    f"{row['parameters']:,}",
    _number(row["bits"]),
    *(_number(row[key]) for key in ("data_error", "monte_carlo_error")),
    _number(row["seed_error"]) if row["seeds"] > 1 else "",
    f"{row['estimator']}{draws}",
    f"{row['num_examples']:,}",
    "" if first else terminal.plus_minus(row["difference"], row["difference_error"]),
    f"{row['training_positions']:,}",
    f"{row['training_seconds']:,.0f}",
    "" if sampling is None else terminal.plus_minus(sampling, row["sampling_deviation"], 3),
  ]


def _number(value: float) -> str:
  return "?" if math.isnan(value) else f"{value:.4f}"
