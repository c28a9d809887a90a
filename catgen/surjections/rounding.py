"""The rounding surjection of one-hot vectors: floor(v) = onehot(x), with dequantization noise as its inverse.

The box of category x is onehot(x) + [0, 1)^K. A latent in no box means no category: its probability under p(v) is
P(invalid), and it is large for an untrained density, because the K boxes are little of R^K.
Reference: the paper's Table 1 and Section 2; Theis et al. (2016) for uniform, Ho et al. (2019) for variational noise.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.bijections import sigmoid
from catgen.distributions import categorical
from catgen.surjections.inverted import Inverted, Noise


def generate(v: Float[Array, "*event classes"]) -> tuple[Int[Array, "*event"], Bool[Array, "*event"]]:
  """Returns (categories, whether v lies in a box); 0 stands where it lies in none."""
  corner = jnp.floor(v)
  used = jnp.all((corner == 0.0) | (corner == 1.0), axis=-1) & (corner.sum(axis=-1) == 1.0)
  return jnp.where(used, jnp.argmax(corner, axis=-1), 0).astype(jnp.int32), used


def invert_uniform(u: Float[Array, "*event classes"], category: Int[Array, "*event"]) -> Inverted:
  """Returns onehot + u for uniform u in [0, 1): log q = 0."""
  return Inverted(categorical.indicator(category, u.shape[-1]) + u, jnp.zeros_like(u))


def invert_variational(
  logit: Float[Array, "*event classes"], log_q: Float[Array, "*event classes"], category: Int[Array, "*event"]
) -> Inverted:
  """Returns onehot + sigmoid(logit), where the logit has log-density `log_q`."""
  u, log_slope = sigmoid.forward(logit)
  return Inverted(categorical.indicator(category, u.shape[-1]) + u, log_q - log_slope)


def noise_of_variational(v: Float[Array, "*event classes"]) -> Noise:
  """Returns the logits that `invert_variational` turns into v, for v inside a box; infinite on its faces."""
  return Noise(*sigmoid.inverse(v - jnp.floor(v)))
