"""The rounding surjection of one-hot vectors: floor(v) = onehot(x), with dequantization noise as its inverse.

The box of category x is onehot(x) + [0, 1)^K. A latent in no box means no category: its probability under p(v) is
P(invalid), and it is large for an untrained density, because the K boxes are little of R^K.
Reference: the paper's Table 1 and Section 2; Theis et al. (2016) for uniform, Ho et al. (2019) for variational noise.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.bijections import sigmoid
from catgen.distributions import categorical
from catgen.surjections.surjection import Inverted, Noise, Surjection


def num_channels(base: int) -> int:
  """Returns the coordinates of the latent of one base-M digit: M, so that v is [*event, classes] with M classes."""
  return base


def forward(v: Float[Array, "*event classes"]) -> tuple[Int[Array, "*event"], Bool[Array, "*event"]]:
  """Returns (categories, whether v lies in a box); 0 stands where it lies in none."""
  corner = jnp.floor(v)
  used = jnp.all((corner == 0.0) | (corner == 1.0), axis=-1) & (corner.sum(axis=-1) == 1.0)
  return jnp.where(used, jnp.argmax(corner, axis=-1), 0).astype(jnp.int32), used


def inverse_uniform(
  u: Float[Array, "*event classes"],
  log_q: Float[Array, "*event classes"],
  category: Int[Array, "*event"],
  location: None = None,
) -> Inverted:
  """Returns onehot + u for u in [0, 1) with log-density `log_q`: 0 for uniform noise."""
  return Inverted(categorical.indicator(category, u.shape[-1]) + u, log_q)


def noise_of_uniform(v: Float[Array, "*event classes"], category: Int[Array, "*event"], location: None = None) -> Noise:
  """Returns the noise that `inverse_uniform` turns into v, for v inside a box."""
  return Noise(v - jnp.floor(v), jnp.zeros_like(v))


def inverse_variational(
  logit: Float[Array, "*event classes"],
  log_q: Float[Array, "*event classes"],
  category: Int[Array, "*event"],
  location: None = None,
) -> Inverted:
  """Returns onehot + sigmoid(logit), where the logit has log-density `log_q`."""
  u, log_slope = sigmoid.forward(logit)
  return inverse_uniform(u, log_q - log_slope, category)


def noise_of_variational(
  v: Float[Array, "*event classes"], category: Int[Array, "*event"], location: None = None
) -> Noise:
  """Returns the logits that `inverse_variational` turns into v, for v inside a box; infinite on its faces."""
  return Noise(*sigmoid.inverse(noise_of_uniform(v, category).value))


SURJECTIONS = {
  "uniform": Surjection(num_channels, forward, inverse_uniform, noise_of_uniform),
  "variational": Surjection(num_channels, forward, inverse_variational, noise_of_variational),
}
