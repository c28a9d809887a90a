"""Sums over the valid positions of latent sequences: the only place that does it. Sequences as events for networks."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from catgen.networks.roles import Conditioner


def total(
  values: Float[Array, "batch length channels"], valid: Bool[Array, "batch length"] | None
) -> Float[Array, "batch"]:
  """Returns the sum per example over channels and valid positions."""
  per_position = values.sum(axis=-1)
  return (per_position if valid is None else jnp.where(valid, per_position, 0.0)).sum(axis=-1)


def count(like: Float[Array, "batch length channels"], valid: Bool[Array, "batch length"] | None) -> Array:
  """Returns the number of valid positions per example, in float32."""
  return jnp.full(len(like), like.shape[1], jnp.float32) if valid is None else valid.sum(axis=-1).astype(jnp.float32)


def features(
  conditioner: Conditioner,
  z: Float[Array, "batch length channels"],
  context: Float[Array, "batch length context"] | None,
  valid: Bool[Array, "batch length"] | None,
  keys: Key[Array, "batch"] | None,
) -> Float[Array, "batch length features"]:
  """Returns the features of a sequence, which the conditioner reads on the axes of its events."""
  shape = (len(z), *conditioner.event_shape)
  context = None if context is None else context.reshape(*shape, -1)
  valid = None if valid is None else valid.reshape(shape)
  return conditioner(z.reshape(*shape, -1), context=context, valid=valid, keys=keys).reshape(*z.shape[:2], -1)
