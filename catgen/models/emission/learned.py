"""An encoding of two networks: q(z | x) from an encoder, maybe with flow layers, and p(x | z) from a decoder."""

from collections.abc import Callable

from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import EventSpec
from catgen.keys import fold_in
from catgen.kinds import Recipe
from catgen.models.emission.encoding import Encoded
from catgen.models.flow.posterior import Posterior
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Conditioner


class LearnedEncoding(nnx.Module):
  """That of a variational autoencoder. With flow layers over all positions it is CategoricalNF's "variational" one.

  Args:
    encoder: network on categories for location and log-scale of the base of q(z | x), and for the flow's context.
    decoder: network on z for the logits of every category.
    num_channels: of z, at every position.
    noise_base: distribution of the base of q(z | x), "normal" or "logistic".
    posterior_flow: flow layers after it, or None.
    num_context: encoder features that condition them.

  Raises:
    InputError: unknown noise_base.
  """

  def __init__(
    self,
    event: EventSpec,
    *,
    encoder: Recipe,
    decoder: Recipe,
    rngs: nnx.Rngs,
    num_channels: int = 8,
    noise_base: str = "normal",
    posterior_flow: Callable[..., nnx.Module] | None = None,
    num_context: int = 0,
  ) -> None:
    self.num_channels = num_channels
    self.posterior = Posterior(
      event,
      num_channels,
      encoder=encoder,
      base=noise_base,
      flow=posterior_flow,
      num_context=num_context,
      rngs=rngs,
    )
    self.decoder = Conditioner(decoder, event.shape, num_channels, event.num_classes, init="uniform", rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Encoded:
    """See `Encoding`."""
    to_encoder, to_decoder = fold_in(dropout_keys, 0), fold_in(dropout_keys, 1)
    draw = self.posterior(x, valid=valid, keys=keys, dropout_keys=to_encoder)
    logits = self.decoder(draw.u, Conditions(valid=valid, keys=to_decoder))
    log_q = sum_valid(draw.log_q.sum(axis=-1), valid) + draw.log_volume
    return Encoded(draw.u, log_q, sum_valid(categorical.log_prob(logits, x), valid))

  def log_q(
    self,
    z: Float[Array, "batch *axes channels"],
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
  ) -> Float[Array, "batch"]:
    """See `Encoding.log_q`."""
    return self.posterior.log_prob(z, x, valid=valid)

  def logits(
    self, z: Float[Array, "batch *axes channels"], *, valid: Bool[Array, "batch *axes"] | None
  ) -> Float32[Array, "batch *axes classes"]:
    """See `Encoding.logits`."""
    return self.decoder(z, Conditions(valid=valid))

  def initialize(self, x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]) -> None:
    """Sets nothing."""
