"""The base distribution of flows: independent normals with one learned location and scale per channel."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.distributions import normal
from catgen.flows.positions import total


class LearnedNormal(nnx.Module):
  """N(location, exp(log_scale)^2) per channel, shared by all positions, standard at first (as in the paper's code)."""

  def __init__(self, num_channels: int) -> None:
    self.location = nnx.Param(jnp.zeros((num_channels,)))
    self.log_scale = nnx.Param(jnp.zeros((num_channels,)))

  def log_prob(
    self, z: Float[Array, "batch length channels"], valid: Bool[Array, "batch length"] | None
  ) -> Float[Array, "batch"]:
    """Returns the log-density in nats, summed over channels and valid positions."""
    return total(normal.log_prob(self.location[...][None, None], self.log_scale[...][None, None], z), valid)

  def sample(self, keys: Key[Array, "batch"], length: int) -> Float[Array, "batch length channels"]:
    """Draws one sequence per key."""
    location, log_scale = (jnp.broadcast_to(p[...][None], (length, *p.shape)) for p in (self.location, self.log_scale))
    return jax.vmap(lambda key: normal.sample(key, location, log_scale))(keys)
