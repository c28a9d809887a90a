"""Parameters of each channel from features of the position and the channels before it."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.kernels.activation import gelu
from catgen.meshes import gathered, spread


class ChannelNetwork(nnx.Module):
  """One perceptron per channel c, which sees the position's features and channels 0 .. c - 1, all in one product.

  Channels enter as [x, elu(x), elu(-x)], each through its own linear layer to `channel_features`. Weights from a
  channel to itself and those before it are masked functionally, so that their gradient is zero too; weights that the
  original keeps in block-diagonal matrices full of zeros do not exist here.
  Reference: the paper's autoregressive text flow, after CategoricalNF (Lippe and Gavves, 2021).
  """

  def __init__(
    self,
    num_channels: int,
    num_features: int,
    num_parameters: int,
    *,
    hidden_width: int,
    channel_features: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.num_channels = num_channels
    earlier = num_channels - 1

    def draw(fan_in: int, *shape: int) -> nnx.Param:
      scale = fan_in**-0.5
      return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-scale, maxval=scale))

    hidden_inputs = num_features + earlier * channel_features
    self.feature_kernel = draw(hidden_inputs, num_features, num_channels * hidden_width)
    self.hidden_bias = draw(hidden_inputs, num_channels, hidden_width)
    self.output_kernel = draw(hidden_width, num_channels, hidden_width, num_parameters)
    self.output_bias = draw(hidden_width, num_channels, num_parameters)
    if earlier:
      self.channel_kernel = draw(3, earlier, 3, channel_features)
      self.channel_bias = draw(3, earlier, channel_features)
      self.hidden_kernel = draw(hidden_inputs, num_channels, earlier, channel_features, hidden_width)

  def __call__(
    self, features: Float[Array, "*batch features"], v: Float[Array, "*batch channels"]
  ) -> Float[Array, "*batch channels parameters"]:
    """Returns the parameters of all channels at once."""
    shape = v.shape[:-1]
    hidden = self.from_features(features.reshape(-1, features.shape[-1]))
    if self.num_channels > 1:
      kernel = jnp.where(self._seen()[:, :, None, None], self.hidden_kernel[...], 0.0)
      read = self._read(v.reshape(-1, self.num_channels))
      flat = kernel.transpose(1, 2, 0, 3).reshape(-1, hidden.shape[1] * hidden.shape[2])
      hidden = hidden + (read.reshape(len(read), -1) @ flat).reshape(hidden.shape)
    # without barriers XLA computes GELU within transposes, up to 2.7 times slower on a CPU
    hidden = jax.lax.optimization_barrier(hidden)
    activated = jax.lax.optimization_barrier(gelu(hidden))
    by_channel = activated.transpose(1, 0, 2) @ self.output_kernel[...] + self.output_bias[...][:, None]
    return by_channel.transpose(1, 0, 2).reshape(*shape, self.num_channels, -1)

  def from_features(self, features: Float[Array, "rows features"]) -> Float[Array, "rows channels hidden"]:
    """Returns what the position's features contribute to the hidden layer of every channel."""
    hidden = spread(features @ self.feature_kernel[...]).reshape(len(features), self.num_channels, -1)
    return hidden + self.hidden_bias[...][None]

  def channel(
    self, hidden: Float[Array, "rows channels hidden"], v: Float[Array, "rows channels"], channel: Int[Array, ""]
  ) -> Float[Array, "rows parameters"]:
    """Returns the parameters of one channel, given `from_features` and the channels before it (others unread)."""
    own = jax.lax.dynamic_index_in_dim(hidden, channel, axis=1, keepdims=False)
    if self.num_channels > 1:
      read = jnp.where((jnp.arange(self.num_channels - 1) < channel)[None, :, None], self._read(v), 0.0)
      own = own + jnp.einsum("bje,jeh->bh", read, gathered(self.hidden_kernel[...])[channel])
    activated = gelu(own)
    return spread(activated @ gathered(self.output_kernel[...])[channel] + self.output_bias[...][channel][None])

  def _read(self, v: Array) -> Array:
    """Returns the features of all channels but the last, [rows, channels - 1, channel_features]."""
    x = v[:, :-1]
    forms = jnp.stack([x, jax.nn.elu(x), jax.nn.elu(-x)], axis=-1)
    return jnp.einsum("bjf,jfe->bje", forms, self.channel_kernel[...]) + self.channel_bias[...][None]

  def _seen(self) -> Array:
    """Returns [channels, channels - 1]: whether channel c sees channel j < c."""
    return jnp.arange(self.num_channels)[:, None] > jnp.arange(self.num_channels - 1)[None]
