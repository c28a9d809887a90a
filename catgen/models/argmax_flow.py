"""Argmax flows: x = argmax_k v_k with v from a flow, trained with a probabilistic inverse.

Reference: arXiv:2102.05379, sections 2 and 3.

Categories are written as d base-M digits, each with M latent channels, or one for a bit (M = 2), whose sign it is.
M^d - K codes mean no category; their probability is P(invalid).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.flows.positions import total
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Recipe
from catgen.models.latent_flow import latent_flow
from catgen.models.posterior import Posterior
from catgen.networks.roles import Encoder
from catgen.surjections import argmax, digits
from catgen.surjections.inverted import Inverted

INVERSES = ("softplus", "gumbel", "gumbel_thresholding")


def argmax_flow(
  event: EventSpec,
  *,
  encoder: Recipe,
  density: Callable[..., nnx.Module],
  inverse: str = "softplus",
  base: int = 0,
  noise_base: str = "normal",
  posterior_flow: Callable[..., nnx.Module] | None = None,
  num_context: int = 0,
) -> Model:
  """Returns an argmax flow.

  Args:
    event: shape and number of classes K; events of any shape are read in row-major order.
    encoder: encoder of the noise q(u | x), or of Gumbel locations beside the learned table ("gumbel").
    density: (num_channels=, event_shape=, rngs=) -> p(v).
    inverse: "softplus" (Eq. 6-7), "gumbel" (Alg. 4: Gumbels conditioned on their argmax), or "gumbel_thresholding".
    base: M of the Cartesian product of digits; 0 = K, that is none; 2 = bits.
    noise_base: distribution of the noise u (the logit of it, where it lies in (0, 1)), "normal" or "logistic"; with
      logistic logits thresholding by Gumbels begins as the inverse "gumbel". "gumbel" itself has uniform noise.
    posterior_flow: (num_channels=, event_shape=, num_context=, rngs=) -> flow layers after that noise, or None.
      num_context: encoder features that condition them.

  Raises:
    InputError: unknown inverse or noise_base, or base 1.
  """
  if inverse not in INVERSES:
    raise InputError(f"inverse {inverse!r} is unknown; choose one of {', '.join(INVERSES)}")
  base = base or event.num_classes
  make_inverse = partial(
    ArgmaxInverse,
    event,
    kind=inverse,
    base=base,
    encoder=encoder,
    noise_base=noise_base,
    make_chain=posterior_flow,
    num_context=num_context,
  )
  unused = base ** digits.num_digits(event.num_classes, base) - event.num_classes
  return latent_flow(event, make_inverse, density, has_unused_codes=unused > 0)


class ArgmaxInverse(nnx.Module):
  """q(v | x) of one of the three inverses, over the digits of every position."""

  def __init__(
    self,
    event: EventSpec,
    *,
    kind: str,
    base: int,
    encoder: Recipe,
    noise_base: str,
    make_chain: Callable[..., nnx.Module] | None,
    num_context: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.kind, self.base, self.num_classes = kind, base, event.num_classes
    self.event_shape = event.shape
    self.num_digits = digits.num_digits(event.num_classes, base)
    self.per_digit = argmax.num_channels(base)
    self.num_channels = self.num_digits * self.per_digit
    if kind == "gumbel":
      if make_chain is not None:
        raise InputError("the inverse 'gumbel' has uniform noise; a flow over it is the inverse 'gumbel_thresholding'")
      self.location_encoder = Encoder(encoder, event.shape, event.num_classes, self.num_channels, rngs=rngs)
    else:
      self.posterior = Posterior(
        event.num_classes,
        self.num_channels,
        event_shape=event.shape,
        encoder=encoder,
        base=noise_base,
        make_chain=make_chain,
        num_context=num_context,
        rngs=rngs,
      )
    if kind != "softplus":
      self.location = nnx.Param(jnp.zeros((self.num_digits, self.per_digit)))

  def __call__(
    self,
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log q(v | x) summed over valid positions), one draw per example."""
    category = digits.encode(x, self.num_classes, self.base)
    shape = (*category.shape, self.per_digit)
    if self.kind == "gumbel":
      location = self._locations(x, valid, dropout_keys, shape)
      inverted, volume = argmax.invert_gumbel(_log_uniform(keys, shape[1:]), category, location), jnp.zeros(len(x))
    else:
      noise = self.posterior(x, valid=valid, keys=keys, dropout_keys=dropout_keys)
      inverted, volume = self._threshold(noise.u.reshape(shape), noise.log_q.reshape(shape), category), noise.log_volume
    flat = (*x.shape, self.num_channels)
    return inverted.value.reshape(flat), total(inverted.log_q.reshape(flat), valid) + volume

  def log_prob(
    self,
    v: Float[Array, "batch length channels"],
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
  ) -> Float[Array, "batch"]:
    """Returns log q(v | x) summed over valid positions, for v in the region of x; elsewhere it means nothing."""
    category = digits.encode(x, self.num_classes, self.base)
    each = v.reshape(*category.shape, self.per_digit)
    if self.kind == "gumbel":
      noise = argmax.noise_of_gumbel(each, category, self._locations(x, valid, None, each.shape))
      return total(noise.log_det.reshape(v.shape), valid)
    if self.kind == "softplus":
      noise = argmax.noise_of_softplus(each, category)
    else:
      location = jnp.broadcast_to(self.location[...][None, None], each.shape)
      noise = argmax.noise_of_gumbel_thresholding(each, category, location)
    log_q = self.posterior.log_prob(noise.value.reshape(v.shape), x, valid=valid)
    return log_q + total(noise.log_det.reshape(v.shape), valid)

  def _locations(self, x: Array, valid: Array, keys: Array | None, shape: tuple[int, ...]) -> Array:
    axes = (len(x), *self.event_shape)
    features = self.location_encoder(x.reshape(axes), valid=valid.reshape(axes), keys=keys)
    return self.location[...][None, None] + features.reshape(shape)

  def _threshold(self, u: Array, log_q: Array, category: Array) -> Inverted:
    if self.kind == "softplus":
      return argmax.invert_softplus(u, log_q, category)
    location = jnp.broadcast_to(self.location[...][None, None], u.shape)
    return argmax.invert_gumbel_thresholding(u, log_q, category, location)

  def generate(
    self, v: Float[Array, "batch length channels"]
  ) -> tuple[Int[Array, "batch length"], Bool[Array, "batch length"]]:
    """Returns categories and whether the code means one."""
    each = v.reshape(*v.shape[:2], self.num_digits, self.per_digit)
    return digits.decode(argmax.generate(each), self.num_classes, self.base)

  def initialize(self, x: Int[Array, "batch length"], *, valid: Bool[Array, "batch length"]) -> None:
    """Sets Gumbel locations to the log-frequencies of digits in a batch (Eq. 10), each counted once more than seen."""
    if self.kind == "softplus":
      return
    one_hot = jax.nn.one_hot(digits.encode(x, self.num_classes, self.base), self.base)
    counts = 1.0 + (one_hot * valid[..., None, None]).sum(axis=(0, 1))
    logs = jnp.log(counts / counts.sum(axis=-1, keepdims=True))
    self.location[...] = logs[:, 1:] - logs[:, :1] if self.per_digit == 1 else logs


def _log_uniform(keys: Array, shape: tuple[int, ...]) -> Array:
  """Returns logarithms of uniforms, one array per key: -exp(-g) of standard Gumbels g, exact at both ends."""
  return -jnp.exp(-jax.vmap(lambda key: jax.random.gumbel(key, shape, mode="high"))(keys))
