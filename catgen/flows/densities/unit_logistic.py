"""A base distribution without parameters: independent logistics of location 0 and deviation 1."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.distributions import logistic
from catgen.events import sum_valid
from catgen.flows.layer import Latents


class UnitLogistic(nnx.Module):
  """The base of CategoricalNF (Lippe and Gavves, 2021), whose tails are those of the mixtures of its layers."""

  def __init__(self, num_channels: int) -> None:
    self.num_channels = num_channels

  def log_prob(self, z: Latents, valid: Bool[Array, "batch *places"] | None) -> Float[Array, "batch"]:
    """Returns the log-density in nats, summed over channels and valid positions."""
    each = logistic.log_prob(jnp.zeros_like(z), jnp.full_like(z, logistic.UNIT_LOG_SCALE), z)
    return sum_valid(each.sum(axis=-1), valid)

  def sample(self, keys: Key[Array, "batch"], places: tuple[int, ...]) -> Latents:
    """Draws one latent per key, with the given axes."""
    location = jnp.zeros((*places, self.num_channels))
    return jax.vmap(lambda key: logistic.sample(key, location, location + logistic.UNIT_LOG_SCALE))(keys)
