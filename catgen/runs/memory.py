"""Out of memory in a line: what was asked for, what takes most, and what makes it smaller."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from catgen.config import make_stand_in
from catgen.interfaces import InputError
from catgen.runs.experiment import make_experiment
from catgen.runs.load import Run
from catgen.training import sharding
from catgen.training.dry_run import bytes_per_device

_ASKED = re.compile(r"allocat\w*\s+([\d.]+)\s*(bytes|[KMGT]i?B|[KMGT])?", re.IGNORECASE)
_COMPILED = (  # what a compiler for TPUs says that a program needs, and what there is
  re.compile(r"Used ([\d.]+)([KMGT]) of ([\d.]+)([KMGT]) hbm"),
  re.compile(r"\(([\d.]+)([KMGT])\) exceeds available HBM \(([\d.]+)([KMGT])\)"),
)
_UNITS = {unit: 2.0 ** (10 * power) for power, unit in enumerate("bKMGT")}
_GIB = 2.0**30
_FLAGS = {  # of a command -> what a smaller value does
  "batch_size": "fewer examples at a time",
  "draws_at_once": "fewer draws in one call",
  "context": "less context",
  "num_draws": "fewer draws of an example",
  "num_samples": "fewer samples",
  "max_examples": "fewer examples",
  "reference": "fewer training examples",
}


class Need(NamedTuple):
  """What is known of the memory of a command."""

  parts: Mapping[str, int] = {}  # what takes it -> bytes on one device
  remedies: Sequence[str] = (
    "fewer or shorter examples",
    "a device with more memory",
    "the host's memory, with JAX_PLATFORMS=cpu",
  )


@contextlib.contextmanager
def explained(need: Callable[[], Need] = Need) -> Iterator[None]:
  """Turns running out of memory, of a device or of the host, into a line; other errors pass.

  Args:
    need: () -> what to tell, called only then.

  Raises:
    InputError: there was not enough memory.
  """
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    if not is_out_of_memory(error):
      raise
    raise InputError(_line(error, need)) from error


def is_out_of_memory(error: BaseException) -> bool:
  """Returns whether an error says that memory ran out: Python's, NumPy's, or XLA's RESOURCE_EXHAUSTED."""
  return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)


def of_training(config: Mapping[str, Any], devices: Sequence[jax.Device] | None = None) -> Need:
  """Returns what a training run keeps on a device, in bytes, and what makes it smaller; `devices` all there are."""
  parts: dict[str, int] = {}
  with contextlib.suppress(InputError, MemoryError, OSError, jax.errors.JaxRuntimeError):  # what did not fit, maybe
    made = make_experiment(config, make_stand_in(config["data"]), devices)
    target, batch = made.target, sharding.placed_shapes(made.example, made.mesh)
    trees = {"parameters": target.params, "their average": target.ema, "optimizer": target.opt_state, "batch": batch}
    trees |= {} if target.memory is None else {"memory of streams": target.memory}
    parts = {name: bytes_per_device(tree) for name, tree in trees.items()}
  settings, shared = config["training"], config["mesh"]["fsdp"]
  pieces, size = settings["num_microbatches"], settings["batch_size"]
  remedies = [
    f"--config.training.num_microbatches={2 * pieces} (now {pieces}; the same numbers, a smaller piece at a time)",
    f"--config.training.batch_size={max(1, size // 2)} (now {size})",
    f"--config.mesh.fsdp={2 * shared} (now {shared}; parameters and optimizer spread over devices)",
    "a network with fewer layers, less width or dtype=bfloat16",
  ]
  return Need(parts, remedies)


def of_run(run: Run, flags: Mapping[str, Any]) -> Need:
  """Returns what a trained model keeps on a device, in bytes, and what makes the rest smaller.

  Args:
    run: whose parameters are in memory.
    flags: of the command, with their values.
  """
  defaults = {**run.record.config["evaluation"], **run.record.config["sampling"]}
  remedies = []
  for flag, effect in _FLAGS.items():
    value = flags.get(flag) or (defaults.get(flag) if flag in flags else None)
    if value and value > 1:
      remedies.append(f"--{flag}={value // 2} (now {value}; {effect})")
  parts = {"parameters": bytes_per_device(run.params), "model state": bytes_per_device(run.state)}
  return Need(parts, [*remedies, *Need().remedies])


def _line(error: BaseException, need: Callable[[], Need]) -> str:
  asked, line = _ASKED.search(str(error)), "out of memory"
  compiled = next((found for found in (each.search(str(error)) for each in _COMPILED) if found), None)
  if compiled:
    needed, room = (float(compiled[i]) * _UNITS[compiled[i + 1]] / _GIB for i in (1, 3))
    line += f": {needed:.4g} GiB are needed on a device that has {room:.4g} GiB"
  elif asked:
    number, unit = float(asked[1]), (asked[2] or "b")[0].upper().replace("B", "b")
    line += f": {number * _UNITS[unit] / _GIB:.3g} GiB more were asked for"
  parts, remedies = need()
  found = sorted(parts.items(), key=lambda part: -part[1])
  if largest := [f"{name} {size / _GIB:.3g} GiB" for name, size in found if size][:3]:
    line += f"; on each device there are {', '.join(largest)}, and what is computed from them"
  return f"{line}. Try {', or '.join(remedies[:3])}"
