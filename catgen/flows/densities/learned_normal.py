"""The base distribution of flows: independent normals with one learned location and scale per channel."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.distributions import normal
from catgen.events import sum_valid
from catgen.flows.layer import Latents


class LearnedNormal(nnx.Module):
  """N(location, exp(log_scale)^2) per channel, shared by all positions, standard at first (as in the paper's code)."""

  def __init__(self, num_channels: int) -> None:
    self.location = nnx.Param(jnp.zeros((num_channels,)))
    self.log_scale = nnx.Param(jnp.zeros((num_channels,)))

  def log_prob(self, z: Latents, valid: Bool[Array, "batch *places"] | None) -> Float[Array, "batch"]:
    """Returns the log-density in nats, summed over channels and valid positions."""
    location, log_scale = self._parameters((1,) * (z.ndim - 1))
    return sum_valid(normal.log_prob(location, log_scale, z).sum(axis=-1), valid)

  def sample(self, keys: Key[Array, "batch"], places: tuple[int, ...]) -> Latents:
    """Draws one latent per key, with the given axes."""
    location, log_scale = self._parameters(places)
    return jax.vmap(lambda key: normal.sample(key, location, log_scale))(keys)

  def _parameters(self, places: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns location and log-scale, [*places, channels]."""
    each = (p[...].reshape((1,) * len(places) + p.shape) for p in (self.location, self.log_scale))
    location, log_scale = (jnp.broadcast_to(p, (*places, p.shape[-1])) for p in each)
    return location, log_scale
