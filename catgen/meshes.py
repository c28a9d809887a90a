"""Activations on a mesh of devices: the examples of a batch stay spread over its axes from layer to layer.

A compiler that may choose splits activations as parameters are split, by features, and then gathers whole batches in
every layer. So networks, flows, losses and samplers say where examples lie, by `spread`. Which mesh is meant a
compiled function finds out from its arguments: see `on_mesh_of_arguments`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AbstractMesh, PartitionSpec

from catgen.interfaces import PyTree

BATCH_AXES = ("data", "fsdp")  # axes of a mesh over which examples are spread


def spread(tree: PyTree, axis: int = 0) -> PyTree:
  """Returns arrays whose examples, along `axis`, are spread over the devices; what other axes do is left open.

  In a function of `on_mesh_of_arguments` the compiler is told so; elsewhere, on one device, and where the devices do
  not divide the number of examples, this returns what it is given.

  Args:
    tree: arrays [..., batch, ...] and None; all have the batch along the same axis.
    axis: the one of the examples, >= 0.
  """
  mesh = jax.sharding.get_abstract_mesh()
  num_parts = _num_parts(mesh)
  if num_parts == 1:
    return tree

  def constrained(x: jax.Array) -> jax.Array:
    if x.shape[axis] % num_parts:
      return x
    layout: list[Any] = [PartitionSpec.UNCONSTRAINED] * x.ndim
    layout[axis] = BATCH_AXES
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*layout))

  return jax.tree.map(constrained, tree)


def gathered(x: jax.Array) -> jax.Array:
  """Returns a parameter whole on every device: for those that are read by category, or at every step of a loop.

  See `spread` for where it does nothing.
  """
  if _num_parts(jax.sharding.get_abstract_mesh()) == 1:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def on_mesh_of_arguments(function: Callable) -> Callable:
  """Returns a function for `jax.jit` within which `spread` means the mesh on which the arguments lie."""

  @functools.wraps(function)
  def call(*args: Any, **keywords: Any) -> Any:
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves((args, keywords)))
    mesh = next((mesh for mesh in meshes if _num_parts(mesh) > 1), None)
    if mesh is None:
      return function(*args, **keywords)
    with jax.sharding.use_abstract_mesh(mesh):
      return function(*args, **keywords)

  return call


def _num_parts(mesh: AbstractMesh) -> int:
  """Returns into how many parts the mesh divides a batch."""
  sizes = dict(mesh.shape)
  return 1 if not all(axis in sizes for axis in BATCH_AXES) else sizes["data"] * sizes["fsdp"]
