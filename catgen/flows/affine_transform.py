"""From network outputs to the affine bijection of a channel, with a bounded scale."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.bijections import affine


class AffineTransform(nnx.Module):
  """z = (v - shift) / exp(s), elementwise. A channel takes the numbers shift and a, with s = 2 tanh(a / 2) in (-2, 2).

  Reference: affine couplings of Dinh et al. (2017), with the bounded scale of Nielsen et al. (2020).
  """

  num_parameters = 2

  def to_base(
    self, v: Float[Array, "*batch channels"], parameters: Float[Array, "*batch channels parameters"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch channels"]]:
    """Returns (z, log dz/dv)."""
    return affine.inverse(v, *_split(parameters))

  def from_base(
    self, z: Float[Array, "*batch channels"], parameters: Float[Array, "*batch channels parameters"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch channels"]]:
    """Returns (v, log dv/dz)."""
    return affine.forward(z, *_split(parameters))


def _split(parameters: Array) -> tuple[Array, Array]:
  return parameters[..., 0], 2.0 * jnp.tanh(parameters[..., 1] / 2.0)
