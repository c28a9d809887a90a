"""An autoregressive layer: each channel of each position transformed given all before it, positions first."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.channel_network import ChannelNetwork
from catgen.flows.mixture_transform import MixtureTransform
from catgen.flows.positions import features, total
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


class Autoregressive(nnx.Module):
  """Mixture CDFs in the order position-major, channel-minor. The inverse (likelihood) is parallel in training.

  `forward` (sampling) is one compiled scan over positions that carries the conditioner's state, so its cost is linear
  in the length; within a position a loop over channels recomputes only the channel network.

  Args:
    conditioner: a trunk that can be causal, of which a `Conditioner` is made.
    num_features: outputs of the conditioner. hidden_width, channel_features: of the channel network.
  """

  def __init__(
    self,
    num_channels: int,
    *,
    event_shape: tuple[int, ...],
    num_mixtures: int,
    conditioner: Recipe,
    num_features: int,
    hidden_width: int,
    channel_features: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.conditioner = Conditioner(conditioner, event_shape, num_channels, num_features, causal=True, rngs=rngs)
    self.transform = MixtureTransform(num_channels, num_mixtures)
    self.channels = ChannelNetwork(
      num_channels,
      num_features,
      self.transform.num_parameters,
      hidden_width=hidden_width,
      channel_features=channel_features,
      rngs=rngs,
    )

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (z, log_det)."""
    read = features(self.conditioner, v, None, valid, keys)
    z, log_det = self.transform.to_base(v, self.channels(read, v))
    return z, total(log_det, valid)

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det), one position after the other; every position must be valid."""

    def step(carry: tuple[Any, Array], position: Array) -> tuple[tuple[Any, Array], tuple[Array, Array]]:
      cache, previous = carry
      read, cache = self.conditioner.decode(cache, previous, position)
      own = jax.lax.dynamic_index_in_dim(z, position, axis=1, keepdims=False)
      v, log_det = channels_from_base(self.channels, self.transform, read, own)
      return (cache, v), (v, log_det)

    start = (self.conditioner.init_cache(len(z)), jnp.zeros_like(z[:, 0]))
    _, (v, log_det) = jax.lax.scan(step, start, jnp.arange(z.shape[1]))
    return v.swapaxes(0, 1), log_det.sum(axis=0)


def channels_from_base(
  channels: ChannelNetwork,
  transform: MixtureTransform,
  features: Float[Array, "rows features"],
  z: Float[Array, "rows channels"],
) -> tuple[Float[Array, "rows channels"], Float[Array, "rows"]]:
  """Returns v and log |dv/dz| summed over channels, which are made one after the other, all rows together."""
  hidden = channels.from_features(features)

  def step(channel: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    v, log_det = carry
    parameters = channels.channel(hidden, v, channel)
    own, slope = transform.channel_from_base(z[:, channel], parameters, channel)
    return v.at[:, channel].set(own), log_det + slope

  return jax.lax.fori_loop(0, z.shape[-1], step, (jnp.zeros_like(z), jnp.zeros(len(z))))
