"""What a training run will cost, without running it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from catgen.config import make_stand_in
from catgen.data import summary
from catgen.runs.experiment import make_experiment
from catgen.training import dry_run as cost
from catgen.training import sharding

_GIB = 2.0**30


class DryRun(NamedTuple):
  """The cost of a run."""

  step: cost.Description
  data: str  # one line
  position: str
  positions: int  # of a step, on all processes
  batch_size: int
  num_steps: int
  devices: str


def dry_run(config: Mapping[str, Any], *, compile_step: bool = False) -> DryRun:
  """Returns what a step costs. Data are read only where they decide the shapes of examples.

  Args:
    config: resolved.
    compile_step: also compile a step for this machine's devices, to know its temporary memory; may take minutes.
  """
  stand_in = make_stand_in(config["data"])
  made = make_experiment(config, stand_in)
  placed = sharding.place(made.example, made.mesh)
  shape = " x ".join(map(str, made.source.event.shape))
  return DryRun(
    step=cost.describe(made.train_step, made.target, placed, made.key, compile_step=compile_step),
    data=summary(made.source)
    if stand_in is None
    else f"{stand_in.description}: {shape} {stand_in.position}s ({stand_in.event.num_classes} categories)",
    position=made.source.position,
    positions=made.example.x.size * jax.process_count(),
    batch_size=config["training"]["batch_size"],
    num_steps=config["training"]["num_steps"],
    devices=f"{jax.device_count()} x {jax.devices()[0].device_kind}, mesh {dict(made.mesh.shape)}",
  )


def describe(found: DryRun) -> str:
  """Returns the cost in six lines, from the operations of a step to the GiB of each device."""
  step = found.step
  temporary = "temporaries not known (--compile_step)"
  if step.temporary_bytes is not None:
    temporary = f"temporaries {step.temporary_bytes / _GIB:.3f} GiB"
  return "\n".join(
    (
      f"data          {found.data}",
      f"devices       {found.devices}",
      f"parameters    {step.num_parameters:,}",
      f"FLOPs a step  {step.flops:.4g} (matrix products, forward and backward; {step.flops / found.positions:.4g} a "
      "position)",
      f"steps         {found.num_steps:,} of {found.batch_size} examples, {found.positions * found.num_steps:,} "
      f"{found.position}s in all",
      f"per device    parameters {step.parameter_bytes / _GIB:.3f} GiB, whole state {step.state_bytes / _GIB:.3f} GiB,"
      f" batch {step.batch_bytes / _GIB:.5f} GiB, {temporary}",
    )
  )
