"""A transform of a position's channels one after the other, so that they may depend on each other in any way."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.bijections import mixture_cdf
from catgen.flows.layers.channel_network import ChannelNetwork
from catgen.flows.layers.transforms import MixtureArguments


class Channelwise(nnx.Module):
  """Mixture CDFs of channels, each given features of the position and the channels before it.

  `inverse` is one pass; `forward` makes one channel after the other, all positions together.

  Args:
    num_mixtures: logistic components of a channel. hidden_width, channel_features: see `ChannelNetwork`.
  """

  def __init__(
    self,
    num_channels: int,
    num_features: int,
    *,
    num_mixtures: int,
    hidden_width: int,
    channel_features: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.num_channels, self.num_features = num_channels, num_features
    self.arguments = MixtureArguments(num_channels, num_mixtures)
    sizes = (num_channels, num_features, self.arguments.num_parameters)
    self.network = ChannelNetwork(*sizes, hidden_width=hidden_width, channel_features=channel_features, rngs=rngs)

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.forward`."""
    rows = z.reshape(-1, self.num_channels)
    hidden = self.network.from_features(features.reshape(len(rows), -1))

    def step(channel: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
      v, log_det = carry
      arguments = self.arguments(self.network.channel(hidden, v, channel), channel)
      own, slope = mixture_cdf.forward(rows[:, channel], *arguments)
      return v.at[:, channel].set(own), log_det + slope

    start = (jnp.zeros_like(rows), jnp.zeros(len(rows)))
    v, log_det = jax.lax.fori_loop(0, self.num_channels, step, start)
    return v.reshape(z.shape), log_det.reshape(z.shape[:-1])

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.inverse`."""
    z, log_det = mixture_cdf.inverse(v, *self.arguments(self.network(features, v)))
    return z, log_det.sum(axis=-1)
