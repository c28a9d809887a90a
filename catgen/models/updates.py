"""The number of updates as a model's state: of families whose objective rises or fades while they are trained."""

import jax.numpy as jnp
from jaxtyping import Array, Bool

from catgen.interfaces import PyTree


def no_updates() -> dict[str, Array]:
  """Returns the state before the first update."""
  return {"updates": jnp.zeros((), jnp.int32)}


def count_update(state: PyTree, statistics: PyTree, valid: Bool[Array, "batch"]) -> PyTree:
  """See `Model.update_state`."""
  return {"updates": state["updates"] + 1}
