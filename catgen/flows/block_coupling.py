"""Coupling within blocks: some channels are transformed one after the other, given others and a network around them."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.flows.autoregressive import channels_from_base
from catgen.flows.channel_network import ChannelNetwork
from catgen.flows.mixture_transform import MixtureTransform
from catgen.flows.positions import features, total
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


class BlockCoupling(nnx.Module):
  """Mixture CDFs of channels kept .. kept + changed - 1 of every position; all other channels stay.

  The parameters of a channel are computed from a conditioner's features, which reads the first `kept` channels of all
  positions, and from the channels changed before it at its own position. So the changed channels of one position
  depend on each other in any way, and those of two positions on each other through the kept ones alone.

  Args:
    conditioner: a trunk, of which a `Conditioner` is made.
    num_features: outputs of the conditioner. hidden_width, channel_features: of the channel network.
  """

  def __init__(
    self,
    *,
    kept: int,
    changed: int,
    event_shape: tuple[int, ...],
    num_mixtures: int,
    conditioner: Recipe,
    num_features: int,
    hidden_width: int,
    channel_features: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.kept, self.end = kept, kept + changed
    self.conditioner = Conditioner(conditioner, event_shape, kept, num_features, rngs=rngs)
    self.transform = MixtureTransform(changed, num_mixtures)
    self.channels = ChannelNetwork(
      changed,
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
    """Returns (z, log_det), everything at once."""
    changed = v[..., self.kept : self.end]
    read = features(self.conditioner, v[..., : self.kept], None, valid, keys)
    z, log_det = self.transform.to_base(changed, self.channels(read, changed))
    return self._replaced(v, z), total(log_det, valid)

  def forward(
    self,
    z: Float[Array, "batch length channels"],
    *,
    context: None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det), all positions at once, channel after channel."""
    changed = z[..., self.kept : self.end]
    read = features(self.conditioner, z[..., : self.kept], None, valid, keys)
    rows = changed.reshape(-1, changed.shape[-1])
    v, log_det = channels_from_base(self.channels, self.transform, read.reshape(len(rows), -1), rows)
    return self._replaced(z, v.reshape(changed.shape)), total(log_det.reshape(*z.shape[:2], 1), valid)

  def _replaced(self, x: Array, changed: Array) -> Array:
    return jnp.concatenate([x[..., : self.kept], changed, x[..., self.end :]], axis=-1)
