"""Which device holds what: a mesh with axes "data" and "fsdp", rules for parameters, placement of batches.

Examples are spread over both axes. Parameters, their moving average and their optimizer moments are spread over
"fsdp" (and copied along "data") where a rule says so. One device is the mesh of 1 x 1.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from catgen.interfaces import Batch, InputError, PyTree
from catgen.meshes import BATCH_AXES
from catgen.training.state import TrainState
from catgen.trees import leaves, path_name

# (regular expression found in a parameter's path, layout); the first that is found counts. A layout is "fsdp" (the
# largest axis that the devices divide; small leaves are copied), "replicate", or a tuple with a mesh axis or None
# for each array axis.
Layout = str | tuple
Rules = Sequence[tuple[str, Layout]]
FSDP_RULES: Rules = ((".*", "fsdp"),)


def make_mesh(*, data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """Returns a mesh [data, fsdp] of devices, over all devices of all processes unless some are given.

  Args:
    data: copies of the parameters; -1 = as many as the devices allow.
    fsdp: devices that share one copy of the parameters.
    devices: default all.

  Raises:
    InputError: data * fsdp is not the number of devices.
  """
  devices = list(jax.devices() if devices is None else devices)
  if fsdp < 1 or (data < 1 and data != -1):
    raise InputError(f"mesh is data = {data}, fsdp = {fsdp}; give positive numbers, or data = -1 for what is left")
  if data == -1:
    data = max(1, len(devices) // fsdp)
  if data * fsdp != len(devices):
    raise InputError(
      f"mesh is data {data} x fsdp {fsdp} = {data * fsdp} devices, but there are {len(devices)}; "
      f"set fsdp to a divisor of {len(devices)} and data to -1"
    )
  return jax.make_mesh((data, fsdp), BATCH_AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


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
  parts = mesh.size * num_microbatches
  if num_microbatches < 1 or batch_size < 1 or batch_size % parts:
    raise InputError(
      f"batch_size {batch_size} is no multiple of {mesh.size} devices x {num_microbatches} microbatches; "
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


def shard_state(state: TrainState, mesh: Mesh, rules: Rules = FSDP_RULES, *, min_size: int = 2**14) -> TrainState:
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
  )


def _spec(path: str, shape: tuple[int, ...], mesh: Mesh, rules: Rules, min_size: int) -> PartitionSpec:
  layout = next((layout for pattern, layout in rules if re.search(pattern, path)), "replicate")
  if isinstance(layout, tuple):
    _check_layout(path, shape, layout, mesh)
    return PartitionSpec(*layout)
  if layout == "replicate":
    return PartitionSpec()
  if layout != "fsdp":
    raise InputError(f'sharding rule for {path} is {layout!r}; choose "fsdp", "replicate" or a tuple of mesh axes')
  size = mesh.shape["fsdp"]
  divisible = [axis for axis, length in enumerate(shape) if length % size == 0]
  if size == 1 or math.prod(shape) < min_size or not divisible:
    return PartitionSpec()
  largest = max(divisible, key=lambda axis: (shape[axis], axis))
  return PartitionSpec(*(None,) * largest, "fsdp")


def _check_layout(path: str, shape: tuple[int, ...], layout: tuple, mesh: Mesh) -> None:
  axes = [axis for axis in layout if axis is not None]
  if unknown := [axis for axis in axes if axis not in mesh.shape]:
    raise InputError(f"sharding rule for {path} names {unknown[0]!r}; the mesh has {', '.join(mesh.axis_names)}")
  fits = len(layout) <= len(shape) and all(
    axis is None or length % mesh.shape[axis] == 0 for axis, length in zip(layout, shape, strict=False)
  )
  if not fits:
    raise InputError(f"sharding rule {layout} does not fit {path} of shape {shape}; its axes must divide the array's")
