"""What a program of a configuration will cost, without running it: also for devices that are not there."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from catgen.config import make_stand_in
from catgen.data import summary
from catgen.files import check_writable, writing
from catgen.reporting import terminal
from catgen.runs import memory, programs
from catgen.runs.experiment import Experiment, make_experiment
from catgen.sources import DataSource
from catgen.training import dry_run as cost
from catgen.training import findings
from catgen.training.accelerators import LeastTime, least_time
from catgen.training.collectives import by_kind
from catgen.training.compiled import Compiled
from catgen.training.topology import Topology, find_topology, slices_of

_GIB = 2.0**30


class DryRun(NamedTuple):
  """The cost of a program."""

  step: cost.Description
  program: programs.Name
  meaning: str  # what one run of it does
  data: str  # one line
  position: str
  positions: int  # of a run of it, on all processes
  batch_size: int
  num_steps: int  # of training
  devices: str
  topology: Topology | None  # None: this machine's devices
  least: LeastTime | None  # of a run, where the topology says what its devices can do
  explained: float | None  # bytes that parameters and gradients make each of several devices send in a step of training
  warnings: tuple[str, ...]
  output: str | None  # file that was written
  exit_code: int = 0  # 2: it needs more memory than a device has


def dry_run(
  config: Mapping[str, Any],
  *,
  compile_step: bool = False,
  topology: str | None = None,
  program: programs.Name = "train",
  output: str | None = None,
) -> DryRun:
  """Returns what a program costs. Data are read only where they decide the shapes of examples.

  Args:
    config: resolved.
    compile_step: also compile it for this machine's devices, to know its temporary memory; may take minutes.
    topology: compile it for such devices, which need not be there: tpu:v5e:4x4, two such slices tpu:v5e:4x4:2,
      cuda:h100:8, two such hosts cuda:h100:2x8.
    program: a step of training, the evaluator's call for a batch, or the sampler of a batch.
    output: also write the record to this file, as JSON.

  Raises:
    InputError: there is no such topology, what compiles for it is not installed, or the program needs more memory
      than a device has.
  """
  check_writable(output)
  found = None if topology is None else find_topology(topology)
  stand_in = make_stand_in(config["data"])
  made = make_experiment(config, stand_in, None if found is None else found.devices)
  traced = programs.trace(made, program)
  with memory.explained(lambda: memory.of_training(config, made.mesh.devices.flatten().tolist())):
    step = cost.describe(
      traced.traced, traced.params, traced.state, traced.batch, compile_step=compile_step or found is not None
    )
  placed = findings.Placed(
    made.mesh, traced.params, traced.state, traced.batch_size, made.source.event.shape, traced.passes, traced.updates
  )
  over = [*findings.too_large(step.compiled.peak_bytes, found.accelerator.memory)] if found and step.compiled else []
  record = DryRun(
    step=step,
    program=program,
    meaning=traced.meaning,
    data=_data(made, stand_in),
    position=made.source.position,
    positions=traced.batch_size * made.example.x[0].size,
    batch_size=traced.batch_size,
    num_steps=config["training"]["num_steps"],
    devices=f"{made.mesh.size} x {made.mesh.devices.flat[0].device_kind}, mesh {dict(made.mesh.shape)}",
    topology=found,
    least=_least(step, made, found),
    explained=findings.explained_bytes(placed) if placed.passes and made.mesh.size > 1 else None,
    warnings=(*over, *_warnings(step, placed, made, found)),
    output=output,
    exit_code=2 if over else 0,
  )
  if output is not None:
    with writing(output) as file:
      file.write(json.dumps(as_json(record), indent=2).encode() + b"\n")
  return record


def describe(found: DryRun) -> str:
  """Returns the cost in lines, from the operations of a run to the GiB of each device."""
  step = found.step
  temporary = "temporaries not known (--compile_step)"
  if step.temporary_bytes is not None:
    temporary = f"temporaries {step.temporary_bytes / _GIB:.3f} GiB"
  lines = [
    f"data          {found.data}",
    f"devices       {found.devices}",
    f"parameters    {step.num_parameters:,}",
    f"program       {found.meaning}",
    f"FLOPs a {'step' if found.program == 'train' else 'run '}  {step.flops:.4g} on all devices (matrix products, "
    f"{step.flops / found.positions:.4g} a position){_shares(step.flops_by_dtype)}",
  ]
  if found.program == "train":
    lines += [
      f"steps         {found.num_steps:,} of {found.batch_size} examples, {found.positions * found.num_steps:,} "
      f"{found.position}s in all",
    ]
  lines += [
    f"per device    parameters {step.parameter_bytes / _GIB:.3f} GiB, whole state {step.state_bytes / _GIB:.3f} GiB,"
    f" batch {step.batch_bytes / _GIB:.5f} GiB, {temporary}"
  ]
  lines += [] if step.compiled is None else _compiled_lines(step.compiled, found)
  lines += [f"warning: {warning}" for warning in found.warnings]
  return "\n".join([*lines, *([] if found.output is None else [f"written to {found.output}"])])


def as_json(found: DryRun) -> dict[str, Any]:
  """Returns the record as objects of JSON: sizes in bytes and of one device, operations of all, times in seconds."""
  step, made = found.step, found.step.compiled
  record: dict[str, Any] = {
    "program": found.program,
    "meaning": found.meaning,
    "topology": None if found.topology is None else found.topology.name,
    "devices": found.devices,
    "jax": jax.__version__,
    "parameters": step.num_parameters,
    "parameter_bytes": step.parameter_bytes,
    "state_bytes": step.state_bytes,
    "batch_bytes": step.batch_bytes,
    "flops": step.flops_by_dtype,
    "warnings": list(found.warnings),
  }
  if made is not None:
    record |= {
      "compile_seconds": made.seconds,
      "argument_bytes": made.argument_bytes,
      "temporary_bytes": made.temporary_bytes,
      "result_bytes": made.result_bytes,
      "peak_bytes": made.peak_bytes,
      "traffic_bytes": made.traffic_bytes,
      "explained_bytes": found.explained,
      "collectives": {kind: total._asdict() for kind, total in by_kind(made.collectives).items()},
      "largest_collectives": [
        {"kind": each.kind, "arrays": list(map(str, each.arrays)), "runs": each.runs, "devices": each.group}
        | {"bytes": each.num_bytes, "source": each.source}
        for each in sorted(made.collectives, key=lambda each: -each.num_bytes)[:20]
      ],
    }
  return record | ({} if found.least is None else {"least_seconds": found.least._asdict()})


def _compiled_lines(made: Compiled, found: DryRun) -> list[str]:
  room = "" if found.topology is None else f" of {found.topology.accelerator.memory / _GIB:.2f} GiB"
  lines = [
    f"compiled      in {made.seconds:.0f} s; at its peak a device holds {made.peak_bytes / _GIB:.3f} GiB{room}: "
    f"arguments {made.argument_bytes / _GIB:.3f}, temporaries {made.temporary_bytes / _GIB:.3f}, "
    f"results beside them {made.result_bytes / _GIB:.3f}"
  ]
  rows = [
    [f"  {kind}", f"{total.runs:,}", f"{total.num_bytes / _GIB:.3f}", f"{total.sent_bytes / _GIB:.3f}"]
    for kind, total in by_kind(made.collectives).items()
  ]
  if rows:
    lines += ["collectives   of each device and run", terminal.table(["  kind", "times", "GiB", "GiB sent"], rows)]
    unknown = sum(not each.bounded for each in made.collectives)
    lines += [f"  ({unknown} in loops of unknown length, counted once)"] if unknown else []
    if found.explained:
      sent = math.fsum(each.sent_bytes for each in made.collectives)
      needed = f"the {found.explained / _GIB:.3f} GiB that parameters and gradients take"
      lines.append(f"  sent: {sent / found.explained:.2f} times {needed}")
  if found.least is not None:
    least = found.least
    total = least.products / max(least)
    lines.append(
      f"least time    {_seconds(max(least))} a run, by {least.longest}: products {_seconds(least.products)}, memory "
      f"{_seconds(least.memory)} ({made.traffic_bytes / _GIB:.2f} GiB), links {_seconds(least.links)}, network "
      f"{_seconds(least.network)}; at most {total:.0%} of the device's products"
    )
  return lines


def _data(made: Experiment, stand_in: DataSource | None) -> str:
  if stand_in is None:
    return summary(made.source)
  shape = " x ".join(map(str, made.source.event.shape))
  return f"{stand_in.description}: {shape} {stand_in.position}s ({stand_in.event.num_classes} categories)"


def _shares(flops: Mapping[str, float]) -> str:
  total = sum(flops.values())
  shares = [f"{kind} {number / total:.1%}" for kind, number in sorted(flops.items(), key=lambda each: -each[1])]
  return f": {', '.join(shares)}" if shares else ""


def _seconds(number: float) -> str:
  return f"{number:.2f} s" if number >= 1 else f"{1e3 * number:.2f} ms"


def _least(step: cost.Description, made: Experiment, topology: Topology | None) -> LeastTime | None:
  if topology is None or step.compiled is None:
    return None
  own = {kind: number / made.mesh.size for kind, number in step.flops_by_dtype.items()}
  found, slices = step.compiled.collectives, slices_of(topology, made.mesh)
  across = math.fsum(each.between(slices) for each in found)
  return least_time(
    topology.accelerator, own, float(step.compiled.traffic_bytes), math.fsum(c.sent_bytes for c in found), across
  )


def _warnings(
  step: cost.Description, placed: findings.Placed, made: Experiment, topology: Topology | None
) -> list[str]:
  lines = list(findings.wide_products(step.flops_by_dtype, programs.network_dtype(made.config["model"])))
  if step.compiled is None:
    return lines
  lines += [*findings.whole_batches(step.compiled, placed), *findings.unexplained(step.compiled, placed)]
  return lines + ([] if topology is None else list(findings.repeated(placed, topology.accelerator.memory)))
