"""y = exp(log_scale) (logit F(x) + shift), F the CDF of a mixture of logistics (Ho et al., 2019, Flow++).

logit F is log F - log(1 - F), each from its own sum: the right tail is as exact as the left one.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.distributions import logistic_mixture
from catgen.distributions.logistic_mixture import Mixture


def forward(
  x: Float[Array, "*batch"], mixture: Mixture, shift: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (y, log dy/dx)."""
  log_cdf, log_survival = logistic_mixture.log_cdf(mixture, x), logistic_mixture.log_survival(mixture, x)
  y = jnp.exp(log_scale) * (log_cdf - log_survival + shift)
  return y, log_scale + logistic_mixture.log_prob(mixture, x) - log_cdf - log_survival


def inverse(
  y: Float[Array, "*batch"], mixture: Mixture, shift: Float[Array, "*batch"], log_scale: Float[Array, "*batch"]
) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
  """Returns (x, log dx/dy), by a fixed number of halvings: see `logistic_mixture.from_logit`."""
  x = logistic_mixture.from_logit(mixture, y * jnp.exp(-log_scale) - shift)
  return x, -forward(x, mixture, shift, log_scale)[1]
