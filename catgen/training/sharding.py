"""Which device holds what: a mesh with axes "data", "fsdp" and "tensor", rules for parameters, placement of batches.

Examples are spread over the first two axes. Parameters, their moving average and their optimizer moments are spread
over "fsdp" (and copied along "data") where a rule says so; those of attention and perceptrons over "tensor" too, whose
devices have the same examples and each some heads and hidden features. One device is the mesh of 1 x 1 x 1.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from catgen.interfaces import Batch, InputError, PyTree
from catgen.meshes import BATCH_AXES, TENSOR_AXIS, num_parts
from catgen.training.state import TrainState
from catgen.trees import leaves, path_name

_GPUS = ("gpu", "cuda")
AXES = (*BATCH_AXES, TENSOR_AXIS)
# (regular expression found in a parameter's path, layout); the first that is found counts. A layout is "fsdp" (the
# largest axis that the devices divide; small leaves are copied), "columns" or "rows" (the last axis or the one before
# it over "tensor", of what is left the largest over "fsdp"), "replicate", or a tuple with a mesh axis or None for each
# array axis.
Layout = str | tuple
Rules = Sequence[tuple[str, Layout]]
# Heads and hidden features are outputs of the first products, columns of kernels, and inputs of the second, rows.
DEFAULT_RULES: Rules = (
  (r"(attention/(query|key|value|distance)|mlp/(gate|value))/kernel$", "columns"),
  (r"(attention|mlp)/output/kernel$", "rows"),
  (".*", "fsdp"),
)


def make_mesh(*, data: int = -1, fsdp: int = 1, tensor: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
  """Returns a mesh [data, fsdp, tensor] of devices, over all devices of all processes unless some are given.

  Where devices are of several slices, which a slower network joins, each slice has whole copies of the parameters.
  JAX takes each host of GPUs for such a slice: these hold whole copies where they can, and else parts of the same ones.

  Args:
    data: copies of the parameters; -1 = as many as the devices allow.
    fsdp: parts of a copy, each with examples of its own.
    tensor: devices that share the heads and hidden features of the same examples.
    devices: of type `jax.Device`, also those of a topology; default all.

  Raises:
    InputError: data * fsdp * tensor is not the number of devices, or they cannot be laid out so.
  """
  devices = list(jax.devices() if devices is None else devices)
  if fsdp < 1 or tensor < 1 or (data < 1 and data != -1):
    raise InputError(
      f"mesh is data = {data}, fsdp = {fsdp}, tensor = {tensor}; give positive numbers, or data = -1 for what is left"
    )
  copy = fsdp * tensor
  data = max(1, len(devices) // copy) if data == -1 else data
  if data * copy != len(devices):
    raise InputError(
      f"mesh is data {data} x fsdp {fsdp} x tensor {tensor} = {data * copy} devices, but there are {len(devices)}; "
      f"set fsdp x tensor to a divisor of {len(devices)} and data to -1"
    )
  shape = (data, fsdp, tensor)
  laid_out = _laid_out(shape, devices)
  if _joins_processes(laid_out):  # whose devices must be given the same examples: then those of a process side by side
    laid_out = _side_by_side(devices, shape)
  if _joins_processes(laid_out):
    raise InputError(
      f"mesh.tensor is {tensor}, and would join devices of several processes; choose a smaller number, or one process a"
      " host"
    )
  return Mesh(laid_out, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _joins_processes(laid_out: np.ndarray) -> bool:
  """Returns whether devices of the last axis, which have the same examples, are of several processes."""
  rows = laid_out.reshape(-1, laid_out.shape[-1])
  return any(len({device.process_index for device in row}) > 1 for row in rows)


def most_of_a_copy(devices: Sequence[Any]) -> int:
  """Returns over how many of the devices one copy of the parameters may be spread: GPUs all, TPUs those of a slice."""
  if devices[0].platform in _GPUS:
    return len(devices)
  return math.gcd(*Counter(getattr(device, "slice_index", 0) for device in devices).values())


def _side_by_side(devices: Sequence[Any], shape: tuple[int, int, int]) -> np.ndarray:
  """Returns the devices as [data, fsdp, tensor], those of a slice and of a process after one another."""
  in_order = sorted(devices, key=lambda each: (getattr(each, "slice_index", 0), each.process_index, each.id))
  return np.array(in_order, dtype=object).reshape(shape)


def _laid_out(shape: tuple[int, int, int], devices: Sequence[Any]) -> np.ndarray:
  """Returns the devices as [data, fsdp, tensor], neighbors along the last axes near each other."""
  slices: Counter = Counter(getattr(device, "slice_index", 0) for device in devices)
  data, fsdp, tensor = shape
  if data % len(slices) or len(set(slices.values())) > 1:
    if devices[0].platform in _GPUS:  # their network is fast enough for parts of a copy
      return _side_by_side(devices, shape)
    sizes = " + ".join(str(slices[each]) for each in sorted(slices))
    raise InputError(
      f"mesh is data {data} x fsdp {fsdp} x tensor {tensor}, but the devices are {len(slices)} slices of {sizes}; each "
      "must hold equally many whole copies of the parameters: lessen fsdp or tensor, set data to -1"
    )
  try:
    if len(slices) == 1:
      return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    inner = (data // len(slices), fsdp, tensor)
    return mesh_utils.create_hybrid_device_mesh(inner, (len(slices), 1, 1), devices, allow_split_physical_axes=True)
  except (AssertionError, NotImplementedError, ValueError) as error:
    raise InputError(
      f"mesh data {data} x fsdp {fsdp} x tensor {tensor} cannot be laid out on these devices ({error}); choose powers "
      "of 2 that divide the sides of their torus"
    ) from error


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of arrays [batch, ...]: the first axis is spread over all devices."""
  return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def check_batch_size(batch_size: int, mesh: Mesh, num_microbatches: int = 1) -> None:
  """Raises InputError unless every device gets the same number of examples of every microbatch.

  Args:
    batch_size: of the global batch, over all processes.
    mesh: see `make_mesh`.
    num_microbatches: pieces of a step, >= 1.
  """
  parts = num_parts(mesh) * num_microbatches
  if num_microbatches < 1 or batch_size < 1 or batch_size % parts:
    raise InputError(
      f"batch_size {batch_size} is no multiple of {num_parts(mesh)} devices x {num_microbatches} microbatches; "
      f"use {max(parts, batch_size - batch_size % max(parts, 1))} or another multiple of {parts}"
    )


def place(batch: Batch, mesh: Mesh) -> Batch:
  """Returns the global batch on the devices of the mesh, made of what each process holds of it, in process order."""
  sharding = batch_sharding(mesh)
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch)


def placed_shapes(batch: Batch, mesh: Mesh) -> Batch:
  """Returns the shapes and shardings of what `place` returns: nothing is placed, and the devices need not be there."""
  sharding, parts = batch_sharding(mesh), jax.process_count()

  def placed(x: Any) -> jax.ShapeDtypeStruct:
    own = np.asarray(x)
    dtype = jax.dtypes.canonicalize_dtype(own.dtype)
    return jax.ShapeDtypeStruct((len(own) * parts, *own.shape[1:]), dtype, sharding=sharding)

  return jax.tree.map(placed, batch)


def replicated(number: np.ndarray | np.generic, mesh: Mesh) -> Array:
  """Returns a number, the same on all processes, on every device of the mesh."""
  return jax.make_array_from_callback((), NamedSharding(mesh, PartitionSpec()), lambda _: np.asarray(number))


def shard_state(state: TrainState, mesh: Mesh, rules: Rules = DEFAULT_RULES, *, min_size: int = 2**14) -> TrainState:
  """Returns a NamedSharding for every leaf of a state (arrays or `jax.ShapeDtypeStruct`s).

  A leaf of the optimizer follows the parameter whose path its own path ends with, if the shapes agree; everything
  else is copied to all devices.

  Args:
    state: only shapes and paths are read.
    mesh: see `make_mesh`.
    rules: see `Rules`; parameters that no rule finds are copied.
    min_size: arrays with fewer elements are copied rather than spread by "fsdp".

  Raises:
    InputError: a tuple in the rules does not fit an array.
  """
  layouts = {path: (leaf.shape, _spec(path, leaf.shape, mesh, rules, min_size)) for path, leaf in leaves(state.params)}

  def follow(path: tuple, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
    parts = path_name(path).split("/")
    for start in range(len(parts)):
      shape, spec = layouts.get("/".join(parts[start:]), (None, None))
      if shape == leaf.shape and spec is not None:
        return NamedSharding(mesh, spec)
    return NamedSharding(mesh, PartitionSpec())

  def replicate(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), tree)

  follow_all = jax.tree.map_with_path
  return TrainState(
    step=replicate(state.step),
    params=follow_all(follow, state.params),
    ema=follow_all(follow, state.ema),
    opt_state=follow_all(follow, state.opt_state),
    model_state=replicate(state.model_state),
    memory=jax.tree.map(lambda _: batch_sharding(mesh), state.memory),
  )


def _spec(path: str, shape: tuple[int, ...], mesh: Mesh, rules: Rules, min_size: int) -> PartitionSpec:
  layout = next((layout for pattern, layout in rules if re.search(pattern, path)), "replicate")
  if isinstance(layout, tuple):
    _check_layout(path, shape, layout, mesh)
    return PartitionSpec(*layout)
  if layout not in ("fsdp", "columns", "rows", "replicate"):
    known = '"fsdp", "columns", "rows", "replicate" or a tuple of mesh axes'
    raise InputError(f"sharding rule for {path} is {layout!r}; choose {known}")
  axes: dict[int, str] = {}
  if layout in ("columns", "rows") and (tensor := mesh.shape.get(TENSOR_AXIS, 1)) > 1:
    split = len(shape) - (1 if layout == "columns" else 2)
    if shape[split] % tensor:
      raise InputError(f"{path} has {shape[split]} {layout}, which mesh.tensor {tensor} does not divide: change one")
    axes[split] = TENSOR_AXIS
  size = mesh.shape["fsdp"]
  divisible = [axis for axis, length in enumerate(shape) if length % size == 0 and axis not in axes]
  if layout != "replicate" and size > 1 and math.prod(shape) >= min_size and divisible:
    axes[max(divisible, key=lambda axis: (shape[axis], axis))] = "fsdp"
  return PartitionSpec(*(axes.get(axis) for axis in range(max(axes, default=-1) + 1)))


def _check_layout(path: str, shape: tuple[int, ...], layout: tuple, mesh: Mesh) -> None:
  axes = [axis for axis in layout if axis is not None]
  if unknown := [axis for axis in axes if axis not in mesh.shape]:
    raise InputError(f"sharding rule for {path} names {unknown[0]!r}; the mesh has {', '.join(mesh.axis_names)}")
  fits = len(layout) <= len(shape) and all(
    axis is None or length % mesh.shape[axis] == 0 for axis, length in zip(layout, shape, strict=False)
  )
  if not fits:
    raise InputError(f"sharding rule {layout} does not fit {path} of shape {shape}; its axes must divide the array's")
