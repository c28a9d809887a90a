"""How a latent model with an emission weighs the terms of its bound in training: what rises or fades with updates.

A weighting is updates -> (weight of the KL divergence, weight of the emission). What is reported has weights of 1.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen.interfaces import InputError

Weights = tuple[Float[Array, ""] | float, Float[Array, ""] | float]
Weighting = Callable[[Int[Array, ""]], Weights]


def kl_warmup(*, hold_steps: int, rise_steps: int, start: float = 1e-5) -> Weighting:
  """Returns a weight of the KL divergence that rises linearly from nearly nothing to 1.

  Args:
    hold_steps: updates at the smallest weight, at least 0.
    rise_steps: updates in which it rises from there to 1, at least 1.
    start: the smallest weight, in [0, 1].

  Raises:
    InputError: a number is out of range.

  Reference: Ziegler and Rush (2019).
  """
  if hold_steps < 0 or rise_steps < 1 or not 0 <= start <= 1:
    raise InputError(
      f"the KL weight starts at {start}, held for {hold_steps} and rising for {rise_steps} steps; give a start from 0 "
      "to 1, at least 0 and at least 1 steps"
    )

  def weights(updates: Int[Array, ""]) -> Weights:
    return start + (1.0 - start) * jnp.clip((updates - hold_steps) / rise_steps, 0.0, 1.0), 1.0

  return weights


def fading_emission(*, half_life_steps: int = 5000) -> Weighting:
  """Returns a weight of log p(x | z) that is 2 at first and whose excess over 1 is halved again and again.

  Args:
    half_life_steps: updates after which the excess is halved, at least 1.

  Raises:
    InputError: there is no such number.

  Reference: the code of CategoricalNF (Lippe and Gavves, 2021).
  """
  if half_life_steps < 1:
    raise InputError(f"half_life_steps is {half_life_steps}; it must be at least 1")
  return lambda updates: (1.0, 1.0 + jnp.exp2(-updates / half_life_steps))
