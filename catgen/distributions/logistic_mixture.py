"""A mixture of M logistic distributions, components in the last axis of the parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.distributions import categorical, logistic

_HALVINGS = 40  # of the bracket: 1e-12 of its width, beyond the digits of float32


class Mixture(NamedTuple):
  """Unnormalized log-weights, locations and log-scales of the components."""

  logits: Float[Array, "*batch mixtures"]
  locations: Float[Array, "*batch mixtures"]
  log_scales: Float[Array, "*batch mixtures"]


def log_prob(mixture: Mixture, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns the log-density in nats."""
  return _mix(mixture, logistic.log_prob(mixture.locations, mixture.log_scales, value[..., None]))


def log_cdf(mixture: Mixture, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log P(z <= value)."""
  return _mix(mixture, logistic.log_cdf(mixture.locations, mixture.log_scales, value[..., None]))


def cdf(mixture: Mixture, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns P(z <= value)."""
  return jnp.exp(log_cdf(mixture, value))


def log_survival(mixture: Mixture, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log P(z > value), a sum of its own and so as exact as `log_cdf`."""
  return _mix(mixture, logistic.log_survival(mixture.locations, mixture.log_scales, value[..., None]))


def logit_cdf(mixture: Mixture, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log P(z <= value) - log P(z > value): increasing, without saturation in either tail."""
  below = logistic.log_cdf(mixture.locations, mixture.log_scales, value[..., None])
  above = logistic.log_survival(mixture.locations, mixture.log_scales, value[..., None])
  # The normalization of the weights cancels.
  return jax.nn.logsumexp(mixture.logits + below, axis=-1) - jax.nn.logsumexp(mixture.logits + above, axis=-1)


def icdf(mixture: Mixture, probability: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns the value with P(z <= value) = probability, in (0, 1)."""
  return from_logit(mixture, jax.scipy.special.logit(probability))


def from_logit(mixture: Mixture, logit: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns the value whose `logit_cdf` is `logit`, by 40 halvings of a bracket and one step of Newton's method.

  The bracket is exact: the logit of a mean of sigmoids lies between their smallest and largest arguments. The last
  step also carries the gradient with respect to mixture and logit.
  """
  value = jax.lax.stop_gradient(_bisect(mixture, logit))
  slope = jnp.exp(log_prob(mixture, value) - log_cdf(mixture, value) - log_survival(mixture, value))
  step = (logit_cdf(mixture, value) - logit) / jax.lax.stop_gradient(slope)
  return value - step


def _bisect(mixture: Mixture, logit: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns the value by halvings alone.

  A halving compares the smaller of P(z <= middle) and P(z > middle) that `logit` asks for, both sides times
  exp(|logit|), so that no tail underflows and no logarithm is taken.
  """
  scales, log_weights = jnp.exp(mixture.log_scales), jax.nn.log_softmax(mixture.logits)
  ends = mixture.locations + scales * logit[..., None]
  right = logit > 0
  slopes = jnp.where(right, -1.0, 1.0)[..., None] / scales
  scaled_target, scaled_weights = jax.nn.sigmoid(jnp.abs(logit)), log_weights + jnp.abs(logit)[..., None]

  def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
    low, high = bracket
    middle = 0.5 * (low + high)
    standard = (middle[..., None] - mixture.locations) * slopes
    scaled = jnp.exp(scaled_weights + jnp.minimum(standard, 0.0)) / (1.0 + jnp.exp(-jnp.abs(standard)))
    above = (scaled.sum(-1) > scaled_target) != right
    return jnp.where(above, low, middle), jnp.where(above, middle, high)

  low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (ends.min(-1), ends.max(-1)))
  return 0.5 * (low + high)


def sample(key: Key[Array, ""], mixture: Mixture) -> Float[Array, "*batch"]:
  """Draws a component, then a value from it; without gradient with respect to the weights."""
  component_key, value_key = jax.random.split(key)
  component = categorical.sample(component_key, mixture.logits)
  location, log_scale = (categorical.take(part, component) for part in (mixture.locations, mixture.log_scales))
  return logistic.sample(value_key, location, log_scale)


def _mix(mixture: Mixture, logs: Array) -> Array:
  return jax.nn.logsumexp(jax.nn.log_softmax(mixture.logits) + logs, axis=-1)
