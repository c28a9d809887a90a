"""Sums over the valid positions of latent sequences: the only place that does it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def total(
  values: Float[Array, "batch length channels"], valid: Bool[Array, "batch length"] | None
) -> Float[Array, "batch"]:
  """Returns the sum per example over channels and valid positions."""
  per_position = values.sum(axis=-1)
  return (per_position if valid is None else jnp.where(valid, per_position, 0.0)).sum(axis=-1)


def count(like: Float[Array, "batch length channels"], valid: Bool[Array, "batch length"] | None) -> Array:
  """Returns the number of valid positions per example, in float32."""
  return jnp.full(len(like), like.shape[1], jnp.float32) if valid is None else valid.sum(axis=-1).astype(jnp.float32)
