"""Which kernels a training step spends its time in: where the utilization goes that is missing."""

import glob
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax

from benchmarks.budget import Row
from benchmarks.measurements import Program, stepping

_STEPS = 5
_KINDS = (  # what is in a kernel's name, and what it is called here; the first that fits
  ("attention", ("fmha", "flash", "sdpa", "mha", "attention")),
  (
    "products",
    ("gemm", "nvjet", "cutlass", "cublas", "matmul", "dot", "wgrad", "dgrad", "fprop", "convolution", "conv2d"),
  ),
  ("sums and norms", ("reduce", "norm", "softmax")),
  ("transposes and copies", ("transpose", "copy", "memcpy", "memset", "concatenate", "slice", "pad", "gather")),
  ("elementwise", ("fusion", "loop", "elementwise", "add", "multiply", "select", "convert", "broadcast", "rng")),
)


def of_a_step(program: Program) -> Sequence[Row]:
  """Returns how long each kind of kernel takes in a step, and its share in the time of all; see `rows`.

  A device whose profile names no kernels (a CPU) gives one row that says so.
  """
  run, wait = stepping(program, [])
  wait(run())
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      for _ in range(_STEPS):
        found = run()
      wait(found)
    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    spent = Counter[str]()
    for kernel, seconds in kernels(jax.profiler.ProfileData.from_file(path).planes):
      spent[kernel] += seconds / _STEPS
  return rows(spent)


def kernels(planes: Iterable[Any]) -> Iterator[tuple[str, float]]:
  """Yields the name and the seconds of each kernel on the streams of GPUs, or the operations of TPUs."""
  for plane in planes:
    if plane.name.startswith("/device:"):
      for line in plane.lines:
        if line.name.startswith("Stream") or line.name == "XLA Ops":
          yield from ((event.name, event.duration_ns * 1e-9) for event in line.events)


def kind_of(kernel: str) -> str:
  """Returns what a kernel does, judged by its name."""
  lower = kernel.lower()
  return next((kind for kind, words in _KINDS if any(word in lower for word in words)), "other")


def rows(spent: Counter[str], longest: int = 5) -> Sequence[Row]:
  """Returns a row for all kernels, for each kind, and for each of the longest; spent: the seconds of each in a step."""
  name = "its kernels"
  if not spent:
    return [Row(name, note="left out: the profile of this device names none")]
  total, kinds = sum(spent.values()), Counter[str]()
  for kernel, seconds in spent.items():
    kinds[kind_of(kernel)] += seconds
  found = [Row(name, total, note=f"{len(spent)} kernels")]
  for kind, seconds in kinds.most_common():
    found.append(Row(f"  {kind}", seconds, note=f"{seconds / total:.1%} of them"))
  for kernel, seconds in spent.most_common(longest):
    found.append(Row(f"  {kernel[:40]}", seconds, note=f"{seconds / total:.1%} of them"))
  return found
