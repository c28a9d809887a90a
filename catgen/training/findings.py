"""What looks wrong in a compiled program: arrays and exchanges that nobody asked for, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from catgen.interfaces import PyTree
from catgen.training.collectives import Collective
from catgen.training.compiled import Compiled
from catgen.training.traffic import Kept
from catgen.trees import leaves

_GIB, _MIB = 2.0**30, 2.0**20
_WIDE_SHARE = 0.02  # of the operations, in wider numbers than were asked for
_TOLERATED = 1.5  # times the bytes that parameters and gradients explain
_LARGE_LEAF = 2**24  # bytes
_SHOWN = 3


class Placed(NamedTuple):
  """How a program is spread over devices."""

  mesh: Mesh
  params: PyTree  # shapes with shardings
  state: PyTree  # all that it works with: parameters, moments, averages
  batch_size: int  # examples of all devices together
  event: tuple[int, ...]  # axes of an example
  passes: int | None  # gathers of parameters and sums of gradients are so many times those of one step; None: unknown
  updates: int = 0  # arrays as large as the parameters that the optimizer exchanges


def too_large(peak_bytes: int, memory: int) -> Iterator[str]:
  """Yields the line that a program does not fit, in bytes of one device; of a GPU the compiler does not say so."""
  if peak_bytes > memory:
    needed, room = peak_bytes / _GIB, memory / _GIB
    yield f"out of memory: {needed:.2f} GiB are needed on a device that has {room:.2f} GiB"


def wide_products(flops: Mapping[str, float], asked: str) -> Iterator[str]:
  """Yields what is multiplied in float32 where bfloat16 was asked for, products of stated precision left out.

  Args:
    flops: by what is multiplied, see `flops_by_dtype`.
    asked: the dtype of the network.
  """
  total = sum(flops.values())
  for kind, number in sorted(flops.items(), key=lambda item: -item[1]):
    if asked == "bfloat16" and "float32" in kind and "high" not in kind and number > _WIDE_SHARE * total:
      yield f"{number / total:.1%} of the operations are products of {kind}, though the network's dtype is bfloat16"


def whole_batches(compiled: Compiled, placed: Placed) -> Iterator[str]:
  """Yields the largest arrays that have all examples of the batch on each device, though the devices share them."""
  parts, size, positions = _parts(placed.mesh), placed.batch_size, math.prod(placed.event)
  if parts == 1 or size % parts:
    return
  own, largest = size // parts, dict[str, Kept]()
  shapes = {leaf.shape for leaf in jax.tree.leaves(placed.params)}
  flat = 0 if any(size * positions in shape for shape in shapes) else size * positions  # or it may be features
  for each in sorted(compiled.kept, key=lambda each: each.array.num_bytes):
    if each.array.shape not in shapes and _is_whole(each.array.shape, size, own, flat, placed.event):
      largest[each.source] = each
  for each in sorted(largest.values(), key=lambda each: -each.array.num_bytes)[:_SHOWN]:
    yield (
      f"{each.array} ({each.array.num_bytes / _GIB:.2f} GiB) has all {size} examples on each device, which should have "
      f"{own}: {_named(each.source)}"
    )


def _is_whole(shape: tuple[int, ...], size: int, own: int, flat: int, event: tuple[int, ...]) -> bool:
  """Whether an array has axes of examples, of all the batch and not of this device's part; `flat`: as one axis."""
  axes = list(shape)
  if flat in axes:
    return own not in axes
  for axis in (size, *event):
    if axis not in axes:
      return False
    axes.remove(axis)
  return own not in axes


def unexplained(compiled: Compiled, placed: Placed) -> Iterator[str]:
  """Yields what is exchanged beyond parameters and gradients, with the largest exchanges of it."""
  if placed.mesh.size == 1 or placed.mesh.size > _parts(placed.mesh):
    return  # with a third axis activations are exchanged on purpose
  largest = sorted(compiled.collectives, key=lambda each: -each.num_bytes)
  if placed.passes is None:
    most = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(placed.params))
    for each in largest[:_SHOWN]:
      if each.num_bytes > each.runs * most:
        yield f"one exchange moves more than the parameters hold: {_exchange(each)}"
    return
  sent = sum(each.sent_bytes for each in compiled.collectives)
  if sent > _TOLERATED * (explained := explained_bytes(placed) + _MIB):
    yield (
      f"each device sends {sent / _GIB:.2f} GiB, {sent / explained:.1f} times what parameters and gradients explain; "
      f"the most by {'; '.join(map(_exchange, largest[:_SHOWN]))}"
    )


def explained_bytes(placed: Placed) -> float:
  """Returns the bytes that each device must send in a step: parameters gathered twice, gradients summed once.

  Parameters that are spread over "fsdp" are gathered for the forward pass and for the backward pass, and their
  gradients go to the devices that keep them; what is not has its gradients summed. Of what is spread over "tensor" a
  device gathers and sums its own part alone. What the optimizer exchanges comes to that, and what tensor parallelism
  exchanges of activations does not count.
  """
  data, fsdp = placed.mesh.shape["data"], placed.mesh.shape["fsdp"]
  total = 0.0
  for leaf in jax.tree.leaves(placed.params):
    size = math.prod(leaf.shape) * leaf.dtype.itemsize
    total += placed.updates * size * (placed.mesh.size - 1) / placed.mesh.size
    kept = math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    if "fsdp" in leaf.sharding.spec:
      total += 3 * kept * (fsdp - 1) * (placed.passes or 1) + 2 * kept * (data - 1) / data
    else:
      total += 2 * kept * (data * fsdp - 1) / (data * fsdp)
  return total


def repeated(placed: Placed, memory: int) -> Iterator[str]:
  """Yields large arrays that are the same on every device though others are spread, or a whole state that is.

  Args:
    memory: of one device, in bytes.
  """
  sizes = [(name, leaf, math.prod(leaf.shape) * leaf.dtype.itemsize) for name, leaf in leaves(placed.state)]
  whole = [(name, leaf, size) for name, leaf, size in sizes if leaf.sharding.is_fully_replicated]
  if placed.mesh.size == 1:
    return
  if placed.mesh.shape["fsdp"] == 1:
    if (total := sum(size for _, _, size in whole)) > memory / 4:
      yield (
        f"the state takes {total / _GIB:.2f} GiB on every device, {total / memory:.0%} of its memory: "
        "config.mesh.fsdp above 1 spreads it"
      )
    return
  for name, leaf, size in sorted(whole, key=lambda item: -item[2])[:_SHOWN]:
    if size > _LARGE_LEAF:
      shape = " x ".join(map(str, leaf.shape))
      yield f"{name} ({shape}, {size / _MIB:.0f} MiB) is whole on every device: no axis of it can be divided"


def _parts(mesh: Mesh) -> int:
  """Returns over how many devices the examples of a batch are spread."""
  return mesh.shape["data"] * mesh.shape["fsdp"]


def _exchange(each: Collective) -> str:
  shapes = ", ".join(map(str, each.arrays[:2])) + (", ..." if len(each.arrays) > 2 else "")
  times = "once" if each.runs == 1 else f"{each.runs} times"
  return f"{each.kind} of {shapes}, {times}, {each.num_bytes / _GIB:.2f} GiB ({_named(each.source)})"


def _named(source: str) -> str:
  return source or "without a name"
