"""No network: noise of a fixed distribution, where an encoder is asked for."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Shaped

from catgen.networks.conditions import Conditions
from catgen.networks.trunk import Abilities, Ends


class Zeros(nnx.Module):
  """Zeros in place of what comes in."""

  def __init__(self, num_outputs: int) -> None:
    self.num_outputs = num_outputs

  def __call__(self, x: Shaped[Array, "*positions"]) -> Float32[Array, "*positions outputs"]:
    """Returns `num_outputs` zeros for each entry of x."""
    return jnp.zeros((*x.shape, self.num_outputs))


class Same(nnx.Module):
  """What comes in."""

  def __call__(self, h: Float[Array, "*positions outputs"]) -> Float[Array, "*positions outputs"]:
    """Returns h."""
    return h


class NoTrunk(nnx.Module):
  """Outputs of zero, whatever the categories, and no parameters. It has no keys."""

  abilities = Abilities(blind=True)

  def __init__(self, ends: Ends, *, rngs: nnx.Rngs) -> None:
    self.num_inputs = self.num_outputs = ends.num_outputs
    self.read_in, self.head = Zeros(ends.num_outputs), Same()

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    return h
