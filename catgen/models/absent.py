"""What is not there: single positions that are ignored, and examples of a batch that only fill it up."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.flows.layers.rearrangement import joins_positions
from catgen.interfaces import Batch, EventSpec, InputError


def check_ignored(
  event: EventSpec, module: nnx.Module, *, remedy: str = "take a diffusion or an autoregressive model"
) -> None:
  """Raises InputError where single positions may be invalid and a module takes several as one."""
  if event.ignores and joins_positions(module):
    raise InputError(
      "this flow takes blocks of 2 x 2 pixels as one, but these data ignore single pixels; give what is ignored a "
      f"category, or {remedy}"
    )


def of_those_there(batch: Batch, terms: dict[str, Float[Array, "batch"]]) -> dict[str, Float[Array, "batch"]]:
  """Returns terms that were computed as if all examples were whole, 0 for those that are not there at all."""
  there = batch.valid.reshape(len(batch.x), -1).any(axis=1)
  return {name: jnp.where(there, term, 0.0) for name, term in terms.items()}
