"""From network outputs to the mixture-CDF bijection of a channel, with bounded scales."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.bijections import mixture_cdf
from catgen.distributions.logistic_mixture import Mixture


class MixtureTransform(nnx.Module):
  """Elementwise mixture-of-logistics CDF transforms of C channels.

  A channel takes 2 + 3 M numbers in the order shift, log-scale, then M logits, M locations, M log-scales. Log-scales
  are bounded to (-e^a, e^a) by e^a tanh(s / max(e^a, 1)), with a learned and zero at first, per channel for the first
  and per channel and component for the others.
  Reference: the paper's flows on text, after CategoricalNF (Lippe and Gavves, 2021).
  """

  def __init__(self, num_channels: int, num_mixtures: int) -> None:
    self.num_parameters = 2 + 3 * num_mixtures  # of a channel
    self.scale_bound = nnx.Param(jnp.zeros((num_channels,)))
    self.mixture_scale_bound = nnx.Param(jnp.zeros((num_channels, num_mixtures)))

  def to_base(
    self, v: Float[Array, "*batch channels"], parameters: Float[Array, "*batch channels parameters"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch channels"]]:
    """Returns (z, log dz/dv), in closed form."""
    return mixture_cdf.forward(v, *self._split(parameters, self.scale_bound[...], self.mixture_scale_bound[...]))

  def from_base(
    self, z: Float[Array, "*batch channels"], parameters: Float[Array, "*batch channels parameters"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch channels"]]:
    """Returns (v, log dv/dz), by halvings."""
    return mixture_cdf.inverse(z, *self._split(parameters, self.scale_bound[...], self.mixture_scale_bound[...]))

  def channel_from_base(
    self, z: Float[Array, "batch"], parameters: Float[Array, "batch parameters"], channel: Array
  ) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
    """Returns (v, log dv/dz) of one channel."""
    return mixture_cdf.inverse(
      z, *self._split(parameters, self.scale_bound[...][channel], self.mixture_scale_bound[...][channel])
    )

  def _split(self, parameters: Array, bound: Array, mixture_bound: Array) -> tuple[Mixture, Array, Array]:
    shift, log_scale, rest = parameters[..., 0], parameters[..., 1], parameters[..., 2:]
    logits, locations, log_scales = jnp.split(rest, 3, axis=-1)
    bounded = _bounded(log_scales, mixture_bound)
    return Mixture(logits, locations, bounded), shift, _bounded(log_scale, bound)


def _bounded(value: Array, log_bound: Array) -> Array:
  bound = jnp.exp(log_bound.reshape((1,) * (value.ndim - log_bound.ndim) + log_bound.shape))
  return bound * jnp.tanh(value / jnp.maximum(bound, 1.0))
