"""A surjection and one of its probabilistic inverses, as a record of pure functions, and what these return."""

from collections.abc import Callable
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


class Surjection(NamedTuple):
  """From latents [*event, channels] to categories in [0, M), and back by noise of the same shape.

  `location`, [*#event, channels], is what the inverse may learn besides the noise; where it learns nothing it is None.
  """

  num_channels: Callable[[int], int]  # M -> channels of one category's latent
  forward: Callable  # (v) -> (category, whether v means one)
  inverse: Callable  # (noise, log_q of the noise, category, location) -> Inverted
  noise_of: Callable  # (v, category, location) -> Noise, what `inverse` turns into v
