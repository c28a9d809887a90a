"""One prepared run on one accelerator: peaks, training steps, sampling, a short training; one table at the end.

  benchmarks/accelerator.sh --output=results --text=text8_head.xz
  python -m benchmarks.accelerator --smoke

What matters most comes first, and what does not fit into --seconds is a row that says so. The folder --output gets
results.json, curves.png and log.txt, with the tracebacks of what failed. Utilization (MFU) is against the product of
large matrices of the row's dtype that was measured first; memory is that of the compiled program.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks import curves, kernels, peaks
from benchmarks.budget import Budget, Measurement, Row, perform, still_compiling
from benchmarks.measurements import Subject, Timing, beside_pytorch, draws, training_step
from benchmarks.subjects import describe_machine
from catgen.reporting import terminal
from catgen.runs.command import Command
from launch import cli

_RESERVE = 15.0  # seconds for the table, the picture and the end
_PATIENCE = 240.0  # seconds that a stage waits for its compilers
HEADER = ("measurement", "ms", "positions/s", "TFLOP/s", "MFU", "GiB", "compiling s", "")
_TINY_TRANSFORMER = {
  "data.length": 32,
  "model.network.width": 32,
  "model.network.num_layers": 1,
  "model.network.num_heads": 2,
}
_TINY_MAPS = {"data.shape": (4, 8), "model.network.width": 8, "model.network.multipliers": (1,)}
_TINY_FLOW = {
  "data.length": 8,
  "model.encoder.width": 8,
  "model.density.num_layers": 1,
  "model.density.conditioner.lstm_width": 8,
  "model.density.conditioner.num_layers": 1,
}


class Plan(NamedTuple):
  """What is measured, at which sizes."""

  default: Subject  # the default transformer
  uniform: Subject  # the same, in multinomial diffusion
  text: Subject  # the paper's text network
  maps: Subject  # the paper's U-Net
  flows: tuple[Subject, ...]
  second: tuple[int, ...]  # other batch sizes of default, text, maps and flows, in this order
  steps: tuple[int, ...]  # of draws
  batch_sizes: tuple[int, ...]  # of draws
  peaks: peaks.Sizes
  window: float
  repeats: int
  curve_seconds: float
  curve_steps: int  # at most
  examples: int  # held out


FULL = Plan(
  default=Subject("default_masked", "bfloat16", 64),
  uniform=Subject("default_uniform", "bfloat16", 64),
  text=Subject("paper_text8", "float32", 32),
  maps=Subject("paper_maps", "float32", 16),
  flows=(
    Subject("paper_argmax_autoregressive", "float32", 64),
    Subject("paper_argmax_coupling", "float32", 16),
  ),
  second=(256, 128, 64, 256, 64),
  steps=(1000, 100, 20),
  batch_sizes=(1, 64),
  peaks=peaks.Sizes(8192, 2**28, 0.5, 5),
  window=1.0,
  repeats=3,
  curve_seconds=45.0,
  curve_steps=20_000,
  examples=1024,
)
SMOKE = Plan(
  default=Subject("default_masked", "bfloat16", 2, _TINY_TRANSFORMER),
  uniform=Subject("default_uniform", "bfloat16", 2, _TINY_TRANSFORMER),
  text=Subject("paper_text8", "float32", 2, {**_TINY_TRANSFORMER, "model.network.window": 16}),
  maps=Subject("paper_maps", "float32", 2, _TINY_MAPS),
  flows=(Subject("paper_argmax_coupling", "float32", 2, _TINY_FLOW),),
  second=(),
  steps=(4,),
  batch_sizes=(1,),
  peaks=peaks.Sizes(128, 2**16, 0.01, 2),
  window=0.01,
  repeats=2,
  curve_seconds=1.0,
  curve_steps=6,
  examples=4,
)


class Report(NamedTuple):
  """All rows, and what they were measured on."""

  rows: list[Row]
  heading: str
  output: str


def accelerator(
  *,
  output: str = "accelerator",
  text: str | None = None,
  seconds: float = 540.0,
  smoke: bool = False,
  workers: int = 0,
  say: Callable[[str], None] = print,
) -> Report:
  """Measures what fits into the time.

  Args:
    output: folder for results.json, curves.png and log.txt.
    text: what the curves are trained on: a text, .xz, .gz and .bz2 too, or categories as .npy; default: the
      documentation inside Python.
    seconds: for all together, from now on.
    smoke: tiny sizes, to see that everything runs, on any device.
    workers: programs that are compiled at a time; 0: one for every two cores.
    say: receives a line for each measurement.
  """
  budget, plan = Budget(seconds - _RESERVE), SMOKE if smoke else FULL
  os.makedirs(output, exist_ok=True)
  found: dict[str, curves.Curve] = {}
  heading = f"{describe_device()}, {platform.python_implementation()} {platform.python_version()}"
  say(heading)
  with open(os.path.join(output, "log.txt"), "w", encoding="utf-8") as log:
    rows: list[Row] = []
    for row in perform(
      stages(plan, text, rows, found, budget),
      budget,
      workers=workers or max(1, (os.cpu_count() or 1) // 2),
      patience=_PATIENCE,
      say=say,
      log=lambda lines: print(lines, file=log, flush=True),
    ):
      rows.append(row)
      _keep(rows, heading, found, output)
  if found:
    curves.draw(found, os.path.join(output, "curves.png"))
  return Report(rows, f"{heading}\n{describe_machine()}", output)


def stages(
  plan: Plan, text: str | None, rows: Sequence[Row], found: dict[str, curves.Curve], budget: Budget
) -> list[list[Measurement]]:
  """Returns all measurements, the most important first; `rows` will hold what was measured, `found` the curves."""
  timing = Timing(plan.window, plan.repeats, {})
  default = training_step(plan.default, timing, then=kernels.of_a_step)

  def measure_peaks(_: None) -> list[Row]:
    measured = peaks.measure(plan.peaks)
    timing.rates.update(peaks.rates(measured))
    return measured

  def step_seconds() -> float | None:
    return next((row.seconds for row in rows if row.name == default.name), None)

  length = curves.Length(plan.curve_seconds, step_seconds, plan.curve_steps, plan.examples)
  source = curves.text_source(text, plan.default.changes.get("data.length", 256))
  first = [plan.default, plan.text, plan.maps, *plan.flows]

  def curve(subject: Subject) -> Measurement:
    least = min(plan.curve_seconds, 1.0) if plan is SMOKE else 1.5 * plan.curve_seconds
    keep = lambda made: found.update({made.name: made})  # noqa: E731
    return curves.training_curve(subject, source, length, keep, least)

  again = [subject._replace(batch_size=size) for subject, size in zip(first, plan.second, strict=False)]
  return [
    [
      Measurement("peaks", lambda: None, lambda nothing: nothing, measure_peaks),
      default,
      beside_pytorch(plan.text, timing),
      training_step(plan.text._replace(dtype="bfloat16"), timing),
    ],
    [  # all compiled together: on one H100 compiling took most of the time, and each stage waits for its slowest
      curve(plan.default),
      curve(plan.uniform),
      *(training_step(subject, timing) for subject in (plan.maps, *plan.flows)),
      training_step(plan.default, timing, fused=False),
      *(training_step(subject, timing) for subject in again),
      *draws(plan.default, timing, plan.steps, plan.batch_sizes, left=lambda: budget.left() / 3),
    ],
  ]


def describe(report: Report) -> str:
  """Returns the table."""
  return f"{report.heading}\n{terminal.table(HEADER, [cells(row) for row in report.rows])}"


def cells(row: Row) -> list[str]:
  """Returns a row of the table; what it has no number for is empty."""

  def shown(value: float | None, form: str, unit: float = 1.0) -> str:
    return "" if value is None else format(value / unit, form)

  each = row.seconds
  return [
    row.name,
    shown(each, ".2f", 1e-3),
    "" if each is None or row.positions is None else f"{row.positions / each:,.0f}",
    "" if each is None or row.flops is None else f"{row.flops / each / 1e12:,.1f}",
    shown(row.utilization, ".1%"),
    shown(row.peak_bytes, ".2f", 2.0**30),
    shown(row.compile_seconds, ".0f"),
    row.note,
  ]


def describe_device() -> str:
  """Returns what is measured, in words."""
  device = jax.devices()[0]
  return f"{device.device_kind} ({device.platform}), {os.cpu_count()} cores, jax {jax.__version__}"


def _keep(rows: Sequence[Row], heading: str, found: dict[str, curves.Curve], output: str) -> None:
  """Writes what is known so far, so that a run that is ended by force leaves it."""
  record: dict[str, Any] = {
    "heading": heading,
    "rows": [row._asdict() for row in rows],
    "curves": [curve._asdict() for curve in found.values()],
  }
  Path(output, "results.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
  code = cli.main(__doc__, None, Command(accelerator, describe))
  if still_compiling():
    sys.stdout.flush()
    os._exit(code)
  sys.exit(code)
