"""What the probabilistic inverse of a surjection returns, and what its own inverse does."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Inverted(NamedTuple):
  """A latent in the region of its category, and log q(latent | category) of each coordinate, from the noise."""

  value: Float[Array, "*latent"]
  log_q: Float[Array, "*latent"]  # summed over the last axis it is log q of one category's latent


class Noise(NamedTuple):
  """The noise that a latent came from. log q(latent | category) = log q(noise) + log_det."""

  value: Float[Array, "*latent"]
  log_det: Float[Array, "*latent"]  # log |d noise / d latent| of each coordinate, the Jacobian being triangular
