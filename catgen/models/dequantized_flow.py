"""Dequantized flows: x from the box in which v = onehot(x) + noise lies, the baseline of argmax flows.

Support: p(v) is a flow on all of R^C, C = K (or d M with digits), while data fill only the boxes onehot + [0, 1)^C.
What p(v) puts elsewhere is P(invalid), large before training and never zero; the bound is one on P(x) all the same.
Reference: arXiv:2102.05379, sections 2 and 5; Theis et al. (2016), Ho et al. (2019).
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
from catgen.surjections import digits, rounding


def dequantized_flow(
  event: EventSpec,
  *,
  density: Callable[..., nnx.Module],
  encoder: Recipe | None = None,
  noise: str = "uniform",
  base: int = 0,
  noise_base: str = "logistic",
  posterior_flow: Callable[..., nnx.Module] | None = None,
  num_context: int = 0,
) -> Model:
  """Returns a flow on one-hot data with dequantization noise.

  Args:
    event: shape and number of classes K; events of any shape are read in row-major order.
    density: (num_channels=, event_shape=, rngs=) -> p(v).
    encoder: encoder of variational noise; unused with uniform noise.
    noise: "uniform" on [0, 1)^C, or "variational": the sigmoid of a learned q(u | x).
    base: M of the digits that are made one-hot; 0 = K, that is the category itself.
    noise_base: distribution of the logits of variational noise. "logistic" begins as uniform noise, and its weights
      have a variance as long as its scale exceeds 1/2; with "normal" they have none, since q(v | x) falls to 0 at the
      faces of a box, where p(v) does not.
    posterior_flow, num_context: as in `argmax_flow`.

  Raises:
    InputError: unknown noise or noise_base, variational noise without an encoder, or uniform noise with flow layers.
  """
  if noise not in ("uniform", "variational"):
    raise InputError(f"noise {noise!r} is unknown; choose uniform or variational")
  if noise == "variational" and encoder is None:
    raise InputError("variational noise needs an encoder; set config.model.encoder")
  if noise == "uniform" and posterior_flow is not None:
    raise InputError("uniform noise has no posterior flow; set config.model.noise to variational or leave the flow out")
  make_inverse = partial(
    RoundingInverse,
    event,
    base=base or event.num_classes,
    encoder=encoder if noise == "variational" else None,
    noise_base=noise_base,
    make_chain=posterior_flow,
    num_context=num_context,
  )
  return latent_flow(event, make_inverse, density, has_unused_codes=True)


class RoundingInverse(nnx.Module):
  """q(v | x) = onehot + noise over the digits of every position; without an encoder the noise is uniform."""

  def __init__(
    self,
    event: EventSpec,
    *,
    base: int,
    encoder: Recipe | None,
    noise_base: str,
    make_chain: Callable[..., nnx.Module] | None,
    num_context: int,
    rngs: nnx.Rngs,
  ) -> None:
    self.base, self.num_classes = base, event.num_classes
    self.num_digits = digits.num_digits(event.num_classes, base)
    self.num_channels = self.num_digits * base
    self.posterior = encoder and Posterior(
      event.num_classes,
      self.num_channels,
      event_shape=event.shape,
      encoder=encoder,
      base=noise_base,
      make_chain=make_chain,
      num_context=num_context,
      rngs=rngs,
    )

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
    shape, flat = (*category.shape, self.base), (*x.shape, self.num_channels)
    if self.posterior is None:
      u = jax.vmap(lambda key: jax.random.uniform(key, shape[1:]))(keys)
      return rounding.invert_uniform(u, category).value.reshape(flat), jnp.zeros(len(x))
    noise = self.posterior(x, valid=valid, keys=keys, dropout_keys=dropout_keys)
    inverted = rounding.invert_variational(noise.u.reshape(shape), noise.log_q.reshape(shape), category)
    return inverted.value.reshape(flat), total(inverted.log_q.reshape(flat), valid) + noise.log_volume

  def log_prob(
    self,
    v: Float[Array, "batch length channels"],
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
  ) -> Float[Array, "batch"]:
    """Returns log q(v | x) summed over valid positions, for v in the box of x; elsewhere it means nothing."""
    if self.posterior is None:
      return jnp.zeros(len(x))
    logit, log_det = rounding.noise_of_variational(v)
    return self.posterior.log_prob(logit, x, valid=valid) + total(log_det, valid)

  def generate(
    self, v: Float[Array, "batch length channels"]
  ) -> tuple[Int[Array, "batch length"], Bool[Array, "batch length"]]:
    """Returns categories and whether v lies in the box of one."""
    category, boxed = rounding.generate(v.reshape(*v.shape[:2], self.num_digits, self.base))
    x, used = digits.decode(category, self.num_classes, self.base)
    return x, used & jnp.all(boxed, axis=-1)

  def initialize(self, x: Int[Array, "batch length"], *, valid: Bool[Array, "batch length"]) -> None:
    """Nothing depends on data."""
