"""Gumbel thresholding: noise in (0, 1)^M to v in the region where v[category] is the largest coordinate.

  v_c = T = the inverse Gumbel CDF of u_c at location logsumexp(phi)
  v_i = the inverse CDF of u_i of a Gumbel of location phi_i truncated at T             (the paper's Section 3, Table 5)

With uniform u, v is a vector of independent Gumbels given that its argmax is the category (Eq. 8-10). The noise is
given by its logarithm, because u itself has no digits near 1. log_det is with respect to u: the Jacobian is triangular
with entries exp(v - location) / u, so log_det = v - location - log u, from the noise and never from T - v.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen.bijections import softplus_threshold
from catgen.bijections.softplus_threshold import Thresholded
from catgen.distributions import categorical, gumbel, truncated_gumbel
from catgen.distributions.logarithms import log1mexp


def forward(
  log_u: Float[Array, "*batch classes"], category: Int[Array, "*batch"], location: Float[Array, "*#batch classes"]
) -> Thresholded:
  """Returns v with argmax v = category, for log_u < 0."""
  locations = _locations(category, location, log_u.shape)
  v, _, gap = softplus_threshold.forward(gumbel.from_log_uniform(locations, log_u), category)
  return Thresholded(v, v - locations - log_u, gap)


def inverse(
  v: Float[Array, "*batch classes"], category: Int[Array, "*batch"], location: Float[Array, "*#batch classes"]
) -> tuple[Float[Array, "*batch classes"], Float[Array, "*batch classes"]]:
  """Returns (log_u, log_det of the inverse, log |du/dv|); meaningful where no other coordinate equals the largest."""
  locations = _locations(category, location, v.shape)
  own = categorical.indicator(category, v.shape[-1])
  top = categorical.take(v, category)[..., None]
  log_u = jnp.where(own, gumbel.log_cdf(locations, v), truncated_gumbel.log_cdf(locations, top, v))
  return log_u, locations - v + log_u


def forward_binary(
  log_u: Float[Array, "*batch"], bit: Int[Array, "*batch"], location: Float[Array, "*#batch"]
) -> Thresholded:
  """Returns z, whose sign is the bit: the difference of two Gumbels, which is logistic, given its sign.

  `location` is that of the difference (bit 1 less bit 0). |z| = softplus(m + log(1 - u)) - log u, with m = location for
  bit 1 and -location for bit 0, falls in u.
  """
  toward = jnp.where(bit > 0, location, -location)
  inner = jax.nn.softplus(toward + log1mexp(jnp.log(-log_u)))
  gap = inner - log_u
  return Thresholded(jnp.where(bit > 0, gap, -gap), jax.nn.softplus(toward) - log_u - inner, gap)


def inverse_binary(
  z: Float[Array, "*batch"], bit: Int[Array, "*batch"], location: Float[Array, "*#batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (log_u, log |du/dz|) for z whose sign is the bit."""
  toward = jnp.where(bit > 0, location, -location)
  beyond = toward - jnp.where(bit > 0, z, -z)
  log_u = jax.nn.log_sigmoid(beyond) - jax.nn.log_sigmoid(toward)
  return log_u, log_u + jax.nn.log_sigmoid(-beyond)


def _locations(category: Array, location: Array, shape: tuple[int, ...]) -> Array:
  """Returns the location of each coordinate: of the maximum of all for the category, its own for the others."""
  location = jnp.broadcast_to(location, shape)
  largest = jax.nn.logsumexp(location, axis=-1, keepdims=True)
  return jnp.where(categorical.indicator(category, shape[-1]), largest, location)
