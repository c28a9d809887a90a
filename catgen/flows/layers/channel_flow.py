"""A transform of a position's channels by layers of nonlinear squared flows, with masked networks or couplings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from catgen.bijections import nlsq
from catgen.interfaces import InputError
from catgen.meshes import gathered, spread
from catgen.networks.parts.mlp import MLP

Channels = Float[Array, "*batch channels"]
Features = Float[Array, "*batch features"]
LogDet = Float[Array, "*batch"]
KINDS = ("af", "scf")
_START = 1e-3  # size of a masked network's weights, so that the layer begins as nearly the identity


class ChannelFlow(nnx.Module):
  """Layers one after another, in the order in which values meet them, the channels reversed in between; a `Transform`.

  Args:
    kind: "af": each channel given those before it; "scf": the second half of the channels given the first.
    num_layers, hidden_width: of layers, and of the two hidden layers of their networks.

  Raises:
    InputError: unknown kind, no layers, or one channel to split.

  Reference: the hidden level of Ziegler and Rush (2019).
  """

  def __init__(
    self, num_channels: int, num_features: int, *, kind: str, num_layers: int, hidden_width: int, rngs: nnx.Rngs
  ) -> None:
    if kind not in KINDS:
      raise InputError(f"channels {kind!r} of a density are unknown; choose {' or '.join(KINDS)}")
    if num_layers < 1:
      raise InputError(f"num_layers over the channels is {num_layers}; it must be at least 1")
    self.num_channels, self.num_features = num_channels, num_features
    make: Any = MaskedChannels if kind == "af" else CoupledChannels
    self.layers = nnx.List([make(num_channels, num_features, hidden_width, rngs=rngs) for _ in range(num_layers)])

  def forward(self, z: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.forward`."""
    log_det = jnp.zeros(z.shape[:-1])
    for number, layer in reversed(list(enumerate(self.layers))):
      z, change = layer.forward(z, features)
      z, log_det = jnp.flip(z, axis=-1) if number else z, log_det + change
    return z, log_det

  def inverse(self, v: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.inverse`."""
    log_det = jnp.zeros(v.shape[:-1])
    for number, layer in enumerate(self.layers):
      v, change = layer.inverse(jnp.flip(v, axis=-1) if number else v, features)
      log_det = log_det + change
    return v, log_det


class CoupledChannels(nnx.Module):
  """The second half of the channels, given features and the first half, which stays; gradients pass through both."""

  def __init__(self, num_channels: int, num_features: int, hidden_width: int, *, rngs: nnx.Rngs) -> None:
    if num_channels < 2:
      raise InputError("channels 'scf' of a density need at least two; choose 'af' or more channels")
    self.kept = num_channels // 2
    outputs = (num_channels - self.kept) * nlsq.NUM_PARAMETERS
    self.network = MLP(self.kept + num_features, hidden_width, hidden_width, outputs, relu=True, rngs=rngs)

  def forward(self, z: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.forward`."""
    return self._changed(nlsq.forward, z, features)

  def inverse(self, v: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.inverse`."""
    return self._changed(nlsq.inverse, v, features)

  def _changed(self, bijection: Any, x: Array, features: Array) -> tuple[Array, Array]:
    kept, rest = x[..., : self.kept], x[..., self.kept :]
    raw = self.network(jnp.concatenate([kept, features], axis=-1)).reshape(*rest.shape, nlsq.NUM_PARAMETERS)
    y, log_det = bijection(rest, raw)
    return jnp.concatenate([kept, y], axis=-1), log_det.sum(axis=-1)


class MaskedChannels(nnx.Module):
  """Each channel, given features and the channels before it, by one masked network (Germain et al., 2015).

  Unit j of a hidden layer has the degree d = j modulo the number of channels C: it sees the channels before channel d,
  and is seen by channel d and those after it. Weights are masked functionally, so that their gradient is zero too.
  `inverse` is one pass; `forward` makes one channel after the other, and computes each hidden unit once.
  """

  def __init__(self, num_channels: int, num_features: int, hidden_width: int, *, rngs: nnx.Rngs) -> None:
    def draw(*shape: int) -> nnx.Param:
      return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-_START, maxval=_START))

    self.num_channels, self.hidden_width = num_channels, hidden_width
    self.feature_kernel = draw(num_features, hidden_width)
    self.channel_kernel = draw(num_channels, hidden_width)
    self.channel_bias = draw(hidden_width)
    self.hidden_kernel = draw(hidden_width, hidden_width)
    self.hidden_bias = draw(hidden_width)
    self.output_kernel = draw(hidden_width, num_channels, nlsq.NUM_PARAMETERS)
    self.output_bias = draw(num_channels, nlsq.NUM_PARAMETERS)

  def inverse(self, v: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.inverse`."""
    degrees, channels = np.arange(self.hidden_width) % self.num_channels, np.arange(self.num_channels)
    read = jnp.where(channels[:, None] < degrees[None], self.channel_kernel[...], 0.0)
    mix = jnp.where(degrees[:, None] <= degrees[None], self.hidden_kernel[...], 0.0)
    write = jnp.where((degrees[:, None] <= channels[None])[..., None], self.output_kernel[...], 0.0)
    rows = v.reshape(-1, self.num_channels)
    hidden = jax.nn.relu(self._from_features(features.reshape(len(rows), -1)) + rows @ read)
    hidden = jax.nn.relu(hidden @ mix + self.hidden_bias[...][None])
    raw = (hidden @ write.reshape(self.hidden_width, -1)).reshape(*rows.shape, -1) + self.output_bias[...][None]
    z, log_det = nlsq.inverse(rows, raw)
    return z.reshape(v.shape), log_det.sum(axis=-1).reshape(v.shape[:-1])

  def forward(self, z: Channels, features: Features) -> tuple[Channels, LogDet]:
    """See `Transform.forward`. At channel d the hidden units of degree d follow from the channels made before."""
    rows, count = z.reshape(-1, self.num_channels), self.num_channels
    base = self._by_degree(self._from_features(features.reshape(len(rows), -1)))
    read, mix = (self._by_degree(gathered(each[...])) for each in (self.channel_kernel, self.hidden_kernel))
    mix, bias = self._by_degree(mix.transpose(1, 2, 0)), self._by_degree(gathered(self.hidden_bias[...])[None])[0]
    # [channels, parameters, units, degrees]
    write = self._by_degree(gathered(self.output_kernel[...]).transpose(1, 2, 0))
    output_bias = gathered(self.output_bias[...])

    def step(channel: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
      v, first, second, log_det = carry
      own = jax.nn.relu(base[:, :, channel] + v @ read[:, :, channel])
      first = first.at[:, :, channel].set(own)
      own = jax.nn.relu(jnp.einsum("bud,tud->bt", first, mix[:, channel]) + bias[:, channel][None])
      second = second.at[:, :, channel].set(own)
      raw = spread(jnp.einsum("bud,pud->bp", second, write[channel]) + output_bias[channel][None])
      y, change = nlsq.forward(rows[:, channel], raw)
      return spread((v.at[:, channel].set(y), first, second, log_det + change))

    units = jnp.zeros_like(base)  # of later degrees, which are not known yet
    start = (jnp.zeros_like(rows), units, units, jnp.zeros(len(rows)))
    v, _, _, log_det = jax.lax.fori_loop(0, count, step, start)
    return v.reshape(z.shape), log_det.reshape(z.shape[:-1])

  def _from_features(self, features: Float[Array, "rows features"]) -> Float[Array, "rows hidden"]:
    return spread(features @ self.feature_kernel[...]) + self.channel_bias[...][None]

  def _by_degree(self, values: Float[Array, "*batch hidden"]) -> Float[Array, "*batch units degrees"]:
    """Returns what belongs to hidden units by their degree, with units of zeros where a degree has fewer."""
    missing = -self.hidden_width % self.num_channels
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return padded.reshape(*values.shape[:-1], -1, self.num_channels)
