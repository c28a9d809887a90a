"""Coupling: some channels of every position are transformed given the others."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.affine_transform import AffineTransform
from catgen.flows.mixture_transform import MixtureTransform
from catgen.flows.positions import features, total
from catgen.interfaces import InputError
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


class Coupling(nnx.Module):
  """The first C // 2 channels stay, the others go through a bijection whose parameters a conditioner computes.

  Args:
    num_mixtures: components of a mixture-of-logistics CDF; 0 = an affine map.
    conditioner: a trunk, of which a `Conditioner` is made.
    num_context: features of the context that conditions the layer besides; 0 = none.
  """

  def __init__(
    self,
    num_channels: int,
    *,
    event_shape: tuple[int, ...],
    num_mixtures: int,
    conditioner: Recipe,
    num_context: int = 0,
    rngs: nnx.Rngs,
  ) -> None:
    if num_channels < 2:
      raise InputError("a coupling flow needs at least two latent channels; use an autoregressive flow or another base")
    self.kept = num_channels // 2
    changed = num_channels - self.kept
    self.transform: Any = MixtureTransform(changed, num_mixtures) if num_mixtures else AffineTransform()
    num_outputs = changed * self.transform.num_parameters
    self.conditioner = Conditioner(conditioner, event_shape, self.kept, num_outputs, num_context=num_context, rngs=rngs)

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det), all positions at once."""
    return self._transformed(z, self.transform.from_base, context, valid, keys)

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (z, log_det), all positions at once."""
    return self._transformed(v, self.transform.to_base, context, valid, keys)

  def _transformed(
    self, x: Array, transform: Callable, context: Array | None, valid: Array | None, keys: Array | None
  ) -> tuple[Array, Array]:
    kept, changed = x[..., : self.kept], x[..., self.kept :]
    parameters = features(self.conditioner, kept, context, valid, keys).reshape(*changed.shape, -1)
    y, log_det = transform(changed, parameters)
    return jnp.concatenate([kept, y], axis=-1), total(log_det, valid)
