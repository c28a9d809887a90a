"""Bijections of single channels whose parameters a network computes: see `catgen.flows.layer.Transform`."""

from types import EllipsisType

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.bijections import affine, mixture_cdf
from catgen.distributions.logistic_mixture import Mixture


class AffineTransform(nnx.Module):
  """v = shift + exp(s) z of each channel. It takes the numbers shift and a, with s = 2 tanh(a / 2) in (-2, 2).

  Reference: affine couplings of Dinh et al. (2017), with the bounded scale of Nielsen et al. (2020).
  """

  def __init__(self, num_channels: int) -> None:
    self.num_channels, self.num_features = num_channels, 2 * num_channels

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.forward`."""
    v, log_det = affine.forward(z, *_shift_and_scale(features, z))
    return v, log_det.sum(axis=-1)

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.inverse`."""
    z, log_det = affine.inverse(v, *_shift_and_scale(features, v))
    return z, log_det.sum(axis=-1)


def _shift_and_scale(features: Array, like: Array) -> tuple[Array, Array]:
  each = features.reshape(*like.shape, 2)
  return each[..., 0], 2.0 * jnp.tanh(each[..., 1] / 2.0)


class MixtureArguments(nnx.Module):
  """From the outputs of a network to the arguments of `mixture_cdf` for C channels, with bounded scales.

  A channel takes 2 + 3 M numbers in the order shift, log-scale, then M logits, M locations, M log-scales. Log-scales
  are bounded to (-e^a, e^a) by e^a tanh(s / max(e^a, 1)), with a learned and zero at first, per channel for the first
  and per channel and component for the others.
  Reference: the paper's flows on text, after CategoricalNF (Lippe and Gavves, 2021).
  """

  def __init__(self, num_channels: int, num_mixtures: int) -> None:
    self.num_parameters = 2 + 3 * num_mixtures  # of a channel
    self.scale_bound = nnx.Param(jnp.zeros((num_channels,)))
    self.mixture_scale_bound = nnx.Param(jnp.zeros((num_channels, num_mixtures)))

  def __call__(
    self, outputs: Float[Array, "*channels parameters"], channel: Array | EllipsisType = ...
  ) -> tuple[Mixture, Float[Array, "*channels"], Float[Array, "*channels"]]:
    """Returns mixtures, shifts and log-scales: of all channels, [*batch, channels], or of one, [*batch]."""
    shift, log_scale, rest = outputs[..., 0], outputs[..., 1], outputs[..., 2:]
    logits, locations, log_scales = jnp.split(rest, 3, axis=-1)
    mixture = Mixture(logits, locations, _bounded(log_scales, self.mixture_scale_bound[...][channel]))
    return mixture, shift, _bounded(log_scale, self.scale_bound[...][channel])


def _bounded(value: Array, log_bound: Array) -> Array:
  bound = jnp.exp(log_bound.reshape((1,) * (value.ndim - log_bound.ndim) + log_bound.shape))
  return bound * jnp.tanh(value / jnp.maximum(bound, 1.0))


class MixtureTransform(nnx.Module):
  """The inverse of a mixture-of-logistics CDF of each channel; from v to z it has a closed form."""

  def __init__(self, num_channels: int, num_mixtures: int) -> None:
    self.arguments = MixtureArguments(num_channels, num_mixtures)
    self.num_channels, self.num_features = num_channels, num_channels * self.arguments.num_parameters

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.forward`."""
    v, log_det = mixture_cdf.forward(z, *self.arguments(features.reshape(*z.shape, -1)))
    return v, log_det.sum(axis=-1)

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.inverse`."""
    z, log_det = mixture_cdf.inverse(v, *self.arguments(features.reshape(*v.shape, -1)))
    return z, log_det.sum(axis=-1)
