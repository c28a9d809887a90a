"""Which devices work on examples together: the one place of what is compiled for them, put on them and read back."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from catgen.interfaces import PyTree
from catgen.meshes import on_mesh_of_arguments

Examples = TypeVar("Examples")


class Spread(NamedTuple):
  """Devices that share the examples of a batch. Without a mesh all is done on the default device."""

  mesh: Mesh | None = None  # of all processes
  axes: tuple[str, ...] = ()  # of the mesh, over which the first axis of arrays [batch, ...] is spread

  @property
  def size(self) -> int:
    """How many devices examples are spread over: a batch has a multiple of it."""
    return 1 if self.mesh is None else math.prod(self.mesh.shape[axis] for axis in self.axes)

  def filled(self, number: int) -> int:
    """Returns the least multiple of `size` that is no less than a number of examples.

    What can be no number of examples comes back as it is, to be refused as it was given.
    """
    return -(-number // self.size) * self.size if 0 < number < 2**31 else number

  def numbers(self, start: int, stop: int) -> Int[np.ndarray, "batch"]:
    """Returns start .. stop - 1, and the last of them again as often as it takes to fill the devices."""
    return np.minimum(np.arange(start, start + self.filled(stop - start)), stop - 1)

  def put(self, tree: Examples) -> Examples:
    """Returns arrays [batch, ...] that every process holds whole, spread over the devices; batch: see `filled`."""
    if self.mesh is None:
      return tree
    return jax.tree.map(self._put, tree)

  def put_parts(self, tree: Examples) -> Examples:
    """Returns arrays [batch, ...] of which every process holds its own part, as one array over the devices."""
    if self.mesh is None:
      return tree
    sharding = NamedSharding(self.mesh, PartitionSpec(self.axes))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)

  def compiled(self, function: Callable[..., Any], *, parts: Any = False) -> Callable[..., Any]:
    """Returns a function compiled for the devices, which all of them have the whole result of: see `fetch`.

    parts: where True, for all results or those at its place in a tuple, each keeps the examples that it has.
    """
    function = on_mesh_of_arguments(function)
    if self.mesh is None:
      return jax.jit(function)
    mesh, axes = self.mesh, self.axes
    layout = jax.tree.map(lambda own: NamedSharding(mesh, PartitionSpec(axes) if own else PartitionSpec()), parts)
    return jax.jit(function, out_shardings=layout)

  def _put(self, array: Any) -> jax.Array:
    assert self.mesh is not None
    whole, sharding = np.asarray(array), NamedSharding(self.mesh, PartitionSpec(self.axes))
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


ALONE = Spread()


def fetch(tree: PyTree) -> PyTree:
  """Returns results of what `Spread.compiled` has made, on this host; it waits for nothing else, on no process."""
  return jax.tree.map(np.asarray, tree)
