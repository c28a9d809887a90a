"""The argmax surjection, x = argmax_k v_k, with its probabilistic inverses q(v | x).

Every inverse takes noise, puts v into the region of the category, and corrects the density of the noise by the
Jacobian (the paper's Sections 2 and 3). With M = 2 the latent has one coordinate, whose sign is the category, instead
of two: bit = (z > 0). Everything else is the same.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.bijections import gumbel_threshold, sigmoid, softplus_threshold
from catgen.bijections.softplus_threshold import Thresholded
from catgen.distributions.logarithms import log1mexp
from catgen.surjections.surjection import Inverted, Noise, Surjection


def num_channels(base: int) -> int:
  """Returns the coordinates of the latent of one base-M digit: M, or 1 for a bit."""
  return 1 if base == 2 else base


def forward(v: Float[Array, "*event channels"]) -> tuple[Int[Array, "*event"], Bool[Array, "*event"]]:
  """Returns the largest coordinate's number, or for one coordinate its sign as a bit (0 decodes as bit 0), and True."""
  category = (v[..., 0] > 0) if v.shape[-1] == 1 else jnp.argmax(v, axis=-1)
  return category.astype(jnp.int32), jnp.ones(category.shape, bool)


def inverse_softplus(
  u: Float[Array, "*event channels"],
  log_q: Float[Array, "*event channels"],
  category: Int[Array, "*event"],
  location: None = None,
) -> Inverted:
  """Returns v by softplus thresholding (Eq. 6-7) of noise with log-density `log_q`."""
  if u.shape[-1] == 1:
    return _inverted(Thresholded(*_one_channel(softplus_threshold.forward_binary(u[..., 0], category))), log_q)
  return _inverted(softplus_threshold.forward(u, category), log_q)


def noise_of_softplus(
  v: Float[Array, "*event channels"], category: Int[Array, "*event"], location: None = None
) -> Noise:
  """Returns the noise that `inverse_softplus` turns into v, for v in the region of the category."""
  if v.shape[-1] == 1:
    return Noise(*_one_channel(softplus_threshold.inverse_binary(v[..., 0], category)))
  return Noise(*softplus_threshold.inverse(v, category))


def inverse_gumbel(
  log_u: Float[Array, "*event channels"],
  log_q: Float[Array, "*event channels"],
  category: Int[Array, "*event"],
  location: Float[Array, "*#event channels"],
) -> Inverted:
  """Returns v by Gumbel thresholding of noise u, given by its logarithm, with log-density `log_q` of u.

  Of uniform noise, log_q = 0, v is a vector of Gumbels of the given locations conditioned on their argmax (Alg. 4,
  Eq. 8-10). For a bit, `location` is that of the difference of the two Gumbels.
  """
  if log_u.shape[-1] == 1:
    result = gumbel_threshold.forward_binary(log_u[..., 0], category, location[..., 0])
    return _inverted(Thresholded(*_one_channel(result)), log_q)
  return _inverted(gumbel_threshold.forward(log_u, category, location), log_q)


def noise_of_gumbel(
  v: Float[Array, "*event channels"], category: Int[Array, "*event"], location: Float[Array, "*#event channels"]
) -> Noise:
  """Returns the logarithm of the noise that `inverse_gumbel` turns into v; log_det is that of u."""
  if v.shape[-1] == 1:
    return Noise(*_one_channel(gumbel_threshold.inverse_binary(v[..., 0], category, location[..., 0])))
  return Noise(*gumbel_threshold.inverse(v, category, location))


def inverse_gumbel_thresholding(
  logit: Float[Array, "*event channels"],
  log_q: Float[Array, "*event channels"],
  category: Int[Array, "*event"],
  location: Float[Array, "*#event channels"],
) -> Inverted:
  """Returns v by Gumbel thresholding of u = sigmoid(logit), where the logit has log-density `log_q`.

  Numerics: finite for all finite logits; those beyond 87, whose log u float32 cannot hold, give the v of 87.
  """
  log_slope = sigmoid.forward(logit)[1]
  log_u = jnp.minimum(jax.nn.log_sigmoid(logit), -jnp.finfo(logit.dtype).tiny)
  return inverse_gumbel(log_u, log_q - log_slope, category, location)


def noise_of_gumbel_thresholding(
  v: Float[Array, "*event channels"], category: Int[Array, "*event"], location: Float[Array, "*#event channels"]
) -> Noise:
  """Returns the logits that `inverse_gumbel_thresholding` turns into v."""
  log_u, log_det = noise_of_gumbel(v, category, location)
  log_rest = log1mexp(jnp.log(-log_u))
  return Noise(log_u - log_rest, log_det - log_u - log_rest)


def _one_channel(result: tuple[Array, ...]) -> tuple[Array, ...]:
  return tuple(part[..., None] for part in result)


def _inverted(result: Thresholded, log_q: Array) -> Inverted:
  return Inverted(result.value, log_q - result.log_det)


SURJECTIONS = {
  "softplus": Surjection(num_channels, forward, inverse_softplus, noise_of_softplus),
  "gumbel": Surjection(num_channels, forward, inverse_gumbel, noise_of_gumbel),
  "gumbel_thresholding": Surjection(num_channels, forward, inverse_gumbel_thresholding, noise_of_gumbel_thresholding),
}
