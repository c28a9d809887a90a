"""A program compiled, and not run: seconds, bytes of memory, what is moved within a device and between devices."""

import time
from typing import Any, NamedTuple

from catgen.training.collectives import Collective, of_program
from catgen.training.hlo import read
from catgen.training.traffic import Kept, kept, traffic

_LARGE = 2**20  # bytes


class Compiled(NamedTuple):
  """What the compiler says of a program. Bytes are those of one device."""

  seconds: float  # that compiling took
  argument_bytes: int
  temporary_bytes: int
  result_bytes: int  # beside those that take the place of arguments
  peak_bytes: int
  traffic_bytes: int  # read from and written to the memory in one run; see `traffic`
  collectives: tuple[Collective, ...]
  kept: tuple[Kept, ...]  # arrays of at least a MiB that it puts into memory


def compile_program(traced: Any) -> Compiled:
  """Compiles a program for the devices that its arguments' shardings name, and says what it takes; nothing runs.

  Args:
    traced: a `jax.stages.Traced`, of `jax.jit(...).trace(...)`.
  """
  start = time.perf_counter()
  made = traced.lower().compile()
  seconds = time.perf_counter() - start
  sizes, program = made.memory_analysis(), read(made.as_text())
  return Compiled(
    seconds,
    int(sizes.argument_size_in_bytes),
    int(sizes.temp_size_in_bytes),
    int(sizes.output_size_in_bytes - sizes.alias_size_in_bytes),
    peak_of(sizes),
    traffic(program),
    of_program(program),
    tuple(each for each in kept(program) if each.array.num_bytes >= _LARGE),
  )


def peak_of(sizes: Any) -> int:
  """Returns the bytes that a device holds at the peak of a program; sizes: its `memory_analysis()`.

  XLA for CPUs leaves temporaries out of the peak that it names, which is no more than arguments and results; they are
  added there.
  """
  named, temporary = int(sizes.peak_memory_in_bytes), int(sizes.temp_size_in_bytes)
  others = int(sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes)
  return named if named > others else others + temporary
