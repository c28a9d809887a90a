"""Base distributions without parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.distributions import logistic, normal
from catgen.events import sum_valid
from catgen.flows.layer import Latents


class FixedBase(nnx.Module):
  """Independent draws of location 0 and deviation 1, one for each channel of each place.

  Args:
    distribution: of a location and the logarithm of a scale.
    log_scale: that of deviation 1.
  """

  def __init__(self, num_channels: int, distribution: Any, log_scale: float) -> None:
    self.num_channels, self.distribution, self.log_scale = num_channels, distribution, log_scale

  def log_prob(self, z: Latents, valid: Bool[Array, "batch *places"] | None) -> Float[Array, "batch"]:
    """Returns the log-density in nats, summed over channels and valid positions."""
    each = self.distribution.log_prob(jnp.zeros_like(z), jnp.full_like(z, self.log_scale), z)
    return sum_valid(each.sum(axis=-1), valid)

  def sample(self, keys: Key[Array, "batch"], places: tuple[int, ...]) -> Latents:
    """Draws one latent per key, with the given axes."""
    location = jnp.zeros((*places, self.num_channels))
    return jax.vmap(lambda key: self.distribution.sample(key, location, location + self.log_scale))(keys)


def unit_logistic(num_channels: int) -> FixedBase:
  """Returns the base of CategoricalNF (Lippe and Gavves, 2021), whose tails are those of the mixtures of its layers."""
  return FixedBase(num_channels, logistic, logistic.UNIT_LOG_SCALE)


def unit_normal(num_channels: int) -> FixedBase:
  """Returns the base of Ziegler and Rush (2019)."""
  return FixedBase(num_channels, normal, 0.0)
