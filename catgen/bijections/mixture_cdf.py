"""x = exp(log_scale) (logit F(y) + shift), F the CDF of a mixture of logistics, is the inverse of y (Ho et al., 2019).

So from a logistic x, `forward` makes draws of the mixture where shift and log_scale are 0. logit F is
log F - log(1 - F), each from its own sum: the right tail is as exact as the left one.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.distributions import logistic_mixture
from catgen.distributions.logistic_mixture import Mixture


def forward(
  x: Float[Array, "*batch"], mixture: Mixture, shift: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (y, log dy/dx), by a fixed number of halvings: see `logistic_mixture.from_logit`."""
  y = logistic_mixture.from_logit(mixture, x * jnp.exp(-log_scale) - shift)
  return y, -inverse(y, mixture, shift, log_scale)[1]


def inverse(
  y: Float[Array, "*batch"], mixture: Mixture, shift: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (x, log dx/dy), in closed form."""
  log_cdf, log_survival = logistic_mixture.log_cdf(mixture, y), logistic_mixture.log_survival(mixture, y)
  x = jnp.exp(log_scale) * (log_cdf - log_survival + shift)
  return x, log_scale + logistic_mixture.log_prob(mixture, y) - log_cdf - log_survival
