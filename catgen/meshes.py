"""Activations on a mesh of devices: the examples of a batch stay spread over its axes from layer to layer.

A compiler that may choose splits activations as parameters are split, by features, and then gathers whole batches in
every layer. So networks, flows, losses and samplers say where examples lie, by `spread`. Which mesh is meant a
compiled function finds out from its arguments: see `on_mesh_of_arguments`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from catgen.interfaces import InputError, PyTree

BATCH_AXES = ("data", "fsdp")  # axes of a mesh over which examples are spread
TENSOR_AXIS = "tensor"  # the axis over which heads and hidden features are


def spread(tree: PyTree, axis: int = 0, *, whole: bool = False) -> PyTree:
  """Returns arrays whose examples, along `axis`, are spread over the devices.

  In a function of `on_mesh_of_arguments` the compiler is told so; elsewhere, on one device, and where the devices do
  not divide the number of examples, this returns what it is given.

  Args:
    tree: arrays [..., batch, ...] and None; all have the batch along the same axis.
    axis: the one of the examples, >= 0.
    whole: devices that have the same examples have all of their features; False: what other axes do is left open.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if not _divides(mesh):
    return tree
  parts, others = num_parts(mesh), None if whole else PartitionSpec.UNCONSTRAINED

  def constrained(x: jax.Array) -> jax.Array:
    if x.shape[axis] % parts:
      return x
    layout: list[Any] = [others] * x.ndim
    layout[axis] = BATCH_AXES
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*layout))

  return jax.tree.map(constrained, tree)


def spread_heads(x: jax.Array) -> jax.Array:
  """Returns heads [batch, length, heads, dim], the examples spread as by `spread`, the heads over the tensor axis.

  Raises:
    InputError: the devices of that axis do not divide the heads.
  """
  mesh = jax.sharding.get_abstract_mesh()
  size = dict(mesh.shape).get(TENSOR_AXIS, 1)
  if x.shape[2] % size:
    raise InputError(f"num_heads {x.shape[2]} is no multiple of mesh.tensor {size}: change one of them")
  if size == 1 or x.shape[0] % num_parts(mesh):
    return spread(x)
  return jax.lax.with_sharding_constraint(x, PartitionSpec(BATCH_AXES, None, TENSOR_AXIS, None))


def per_device(num_examples: int) -> int:
  """Returns how many of a batch's examples lie on one device; all, where they are not spread; see `spread`."""
  mesh = jax.sharding.get_abstract_mesh()
  parts = num_parts(mesh) if _divides(mesh) else 1
  return num_examples if num_examples % parts else num_examples // parts


def map_examples(function: Callable, *arrays: jax.Array) -> jax.Array:
  """Returns function(*entries) of every example of arrays [batch, ...], one example of each device at a time."""
  mine = per_device(len(arrays[0]))
  if mine == len(arrays[0]):
    return jax.lax.map(lambda each: function(*each), arrays)
  rows = tuple(spread(x.reshape(-1, mine, *x.shape[1:]).swapaxes(0, 1), axis=1) for x in arrays)
  found = jax.lax.map(lambda row: spread(jax.vmap(function)(*row)), rows)
  return spread(found.swapaxes(0, 1).reshape(-1, *found.shape[2:]))


def by_device(function: Callable[[jax.Array], PyTree], x: jax.Array) -> PyTree:
  """Returns function(x) of arrays [batch, ...], where each device calls it with its own examples: see `spread`.

  For what the compiler knows no way to divide, as it is with `jax.lax.top_k`: it would gather all examples first.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if not _divides(mesh) or len(x) % num_parts(mesh):
    return function(x)
  layout = PartitionSpec(BATCH_AXES)
  return jax.shard_map(function, in_specs=layout, out_specs=layout)(x)


def several_devices() -> bool:
  """Returns whether this is traced for a mesh of several devices; see `spread`."""
  return _divides(jax.sharding.get_abstract_mesh())


def over_all_devices(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
  """Returns function(x), of which each device computes as many entries along the first axis as every other one.

  Devices that hold parts of the same copy of the parameters exchange these parts, and get back those of the result;
  others take their share of what they have, and each other's results. On one device this is function(x).

  Args:
    function: each entry of its result, along the first axis, follows from the one of its argument.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if not _divides(mesh):
    return function(x)
  parts = tuple(axis for axis in mesh.axis_names if axis != "data")
  laid_out = jax.lax.with_sharding_constraint
  within_copy, everywhere = PartitionSpec(parts), PartitionSpec((*parts, "data"))
  padded = jnp.pad(x, [(0, -len(x) % mesh.size), *[(0, 0)] * (x.ndim - 1)])
  found = function(laid_out(laid_out(padded, within_copy), everywhere))
  return laid_out(laid_out(found, everywhere), within_copy)[: len(x)]


def gathered(x: jax.Array) -> jax.Array:
  """Returns a parameter whole on every device: for those that are read by category, or at every step of a loop.

  See `spread` for where it does nothing.
  """
  if not _divides(jax.sharding.get_abstract_mesh()):
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def copies(x: jax.Array, num_examples: int) -> jax.Array | None:
  """Returns a parameter as many times as examples are spread over devices, [parts, ...], of which each has its own.

  What a loop multiplies by its device's own copy has a gradient for each copy: they are added up over devices once,
  after the loop, and not in each of its rounds. None where examples are not spread, see `spread`.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if not _divides(mesh) or num_parts(mesh) == 1 or num_examples % num_parts(mesh):
    return None
  return spread(jnp.broadcast_to(x, (num_parts(mesh), *x.shape)), whole=True)


def on_mesh_of_arguments(function: Callable) -> Callable:
  """Returns a function for `jax.jit` within which `spread` means the mesh on which the arguments lie."""

  @functools.wraps(function)
  def call(*args: Any, **keywords: Any) -> Any:
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves((args, keywords)))
    mesh = next((mesh for mesh in meshes if _divides(mesh)), None)
    if mesh is None:
      return function(*args, **keywords)
    with jax.sharding.use_abstract_mesh(mesh):
      return function(*args, **keywords)

  return call


def num_parts(mesh: Mesh | AbstractMesh) -> int:
  """Returns into how many parts the mesh divides a batch."""
  return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def _divides(mesh: AbstractMesh) -> bool:
  """Returns whether this is a mesh of `BATCH_AXES` with several devices."""
  return mesh.size > 1 and all(axis in mesh.shape for axis in BATCH_AXES)
