"""What the probabilistic inverse of a surjection returns."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Inverted(NamedTuple):
  """A latent in the region of its category, and log q(latent | category) of each coordinate, from the noise."""

  value: Float[Array, "*latent"]
  log_q: Float[Array, "*latent"]  # summed over the last axis it is log q of one category's latent
