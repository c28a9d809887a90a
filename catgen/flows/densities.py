"""Densities p(v) of latent sequences and maps: chains of flow layers on learned normal bases."""

import math
from typing import Any

from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.actnorm import ActNorm
from catgen.flows.autoregressive import Autoregressive
from catgen.flows.chain import Chain
from catgen.flows.coupling import Coupling
from catgen.flows.invertible_linear import InvertibleLinear
from catgen.flows.learned_normal import LearnedNormal
from catgen.flows.multi_scale import map_posterior_flow, multi_scale_density
from catgen.flows.pyramid import pyramid_density
from catgen.flows.reversal import Reversal
from catgen.kinds import Kind, Recipe, Registry
from catgen.networks import TRUNKS


class Density(nnx.Module):
  """log p(v) = log p_base(z) + log |det dz/dv| with z the chain's inverse of v."""

  def __init__(self, chain: Chain, num_channels: int, event_shape: tuple[int, ...]) -> None:
    self.chain: Any = chain
    self.base = LearnedNormal(num_channels)
    self.length = math.prod(event_shape)

  def log_prob(
    self,
    v: Float[Array, "batch length channels"],
    *,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch"]:
    """Returns log p(v) in nats; keys: for dropout in the conditioners, None = none."""
    z, log_det = self.chain.inverse(v, valid=valid, keys=keys)
    return self.base.log_prob(z, self.chain.move(valid)) + log_det

  def sample(self, keys: Key[Array, "batch"]) -> Float[Array, "batch length channels"]:
    """Draws one latent sequence per key, all of a batch together."""
    return self.chain.forward(self.base.sample(keys, self.length))[0]

  def initialize(
    self, v: Float[Array, "batch length channels"], *, valid: Bool[Array, "batch length"] | None = None
  ) -> None:
    """Sets what depends on data (ActNorm)."""
    self.chain.initialize(v, valid=valid)


def autoregressive_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 1,
  num_mixtures: int = 27,
  num_features: int = 1024,
  hidden_width: int = 512,
  channel_features: int = 96,
  actnorm: bool = False,
) -> Density:
  """Returns autoregressive layers, reversed in between; one layer is the paper's flow on text."""
  layers: list[nnx.Module] = []
  for number in range(num_layers):
    layers += [Reversal()] if number else []
    layers += [ActNorm(num_channels)] if actnorm else []
    layers.append(
      Autoregressive(
        num_channels,
        event_shape=event_shape,
        num_mixtures=num_mixtures,
        conditioner=conditioner,
        num_features=num_features,
        hidden_width=hidden_width,
        channel_features=channel_features,
        rngs=rngs,
      )
    )
  return Density(Chain(layers[::-1]), num_channels, event_shape)


def coupling_layers(
  num_channels: int,
  event_shape: tuple[int, ...],
  num_context: int = 0,
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int,
  num_mixtures: int,
  actnorm: bool = False,
) -> Chain:
  """Returns couplings; before each but the first that data meet, the sequence is reversed and channels are mixed."""
  layers: list[nnx.Module] = []
  for number in range(num_layers):
    layers += [Reversal(), InvertibleLinear(num_channels, rngs=rngs)] if number else []
    layers += [ActNorm(num_channels)] if actnorm else []
    layers.append(
      Coupling(
        num_channels,
        event_shape=event_shape,
        num_mixtures=num_mixtures,
        conditioner=conditioner,
        num_context=num_context,
        rngs=rngs,
      )
    )
  return Chain(layers[::-1])


def coupling_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_layers: int = 8,
  num_mixtures: int = 8,
  actnorm: bool = False,
) -> Density:
  """Returns the paper's coupling flow on text: eight layers, a sample in one pass."""
  chain = coupling_layers(
    num_channels=num_channels,
    event_shape=event_shape,
    conditioner=conditioner,
    rngs=rngs,
    num_layers=num_layers,
    num_mixtures=num_mixtures,
    actnorm=actnorm,
  )
  return Density(chain, num_channels, event_shape)


_CONDITIONER = {"conditioner": TRUNKS}
DENSITIES: Registry = {
  "autoregressive": Kind(autoregressive_density, parts=_CONDITIONER),
  "coupling": Kind(coupling_density, parts=_CONDITIONER),
  "multi_scale": Kind(multi_scale_density, parts=_CONDITIONER),
  "pyramid": Kind(pyramid_density, parts=_CONDITIONER),
}
POSTERIOR_FLOWS: Registry = {
  "coupling": Kind(coupling_layers, parts=_CONDITIONER),
  "map_coupling": Kind(map_posterior_flow, parts=_CONDITIONER),
}
