"""Learning rates: a peak, reached by a linear warm-up and left by a decay.

A decay gives the factor of update number `step` (from 0). With w = warmup_steps, its progress is
p = (step - w) / (num_steps - w), kept within [0, 1]: the last update is one short of p = 1.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.interfaces import InputError
from catgen.kinds import Kind, Kinds, Registry

Factor = Callable[[Array], Float[Array, ""]]  # step -> factor of the peak


def constant(num_steps: int, warmup_steps: int, /) -> Factor:
  """Returns 1."""
  return lambda step: jnp.ones(())


def cosine(num_steps: int, warmup_steps: int, /, *, final_fraction: float = 0.0) -> Factor:
  """Returns f + (1 - f) (1 + cos(pi p)) / 2, f = final_fraction.

  Args:
    final_fraction: of the peak, in [0, 1], where the decay ends.

  Reference: Loshchilov and Hutter (2017), without restarts.
  """
  _check_fraction(final_fraction)
  progress = _progress(num_steps, warmup_steps)
  return lambda step: final_fraction + (1 - final_fraction) * (1 + jnp.cos(jnp.pi * progress(step))) / 2


def linear(num_steps: int, warmup_steps: int, /, *, final_fraction: float = 0.0) -> Factor:
  """Returns 1 - (1 - final_fraction) p.

  Args:
    final_fraction: of the peak, in [0, 1], where the decay ends.
  """
  _check_fraction(final_fraction)
  progress = _progress(num_steps, warmup_steps)
  return lambda step: 1 - (1 - final_fraction) * progress(step)


def inverse_sqrt(num_steps: int, warmup_steps: int, /) -> Factor:
  """Returns sqrt(w / max(step + 1, w)), w = max(1, warmup_steps)."""
  knee = max(1, warmup_steps)
  return lambda step: jnp.sqrt(knee / jnp.maximum(step + 1, knee))


def exponential(num_steps: int, warmup_steps: int, /, *, every: int, factor: float = 0.99) -> Factor:
  """Returns factor^floor(step / every).

  Args:
    every: steps after which the rate is multiplied by the factor, usually those of one epoch; at least 1.
    factor: in (0, 1]; the paper's models of text have 0.99 or 0.995 an epoch.
  """
  _check(every > 0, f"exponential decay: every is {every}; give a number of steps, such as those of one epoch")
  _check(0 < factor <= 1, f"exponential decay: factor is {factor}; choose a number in (0, 1]")
  logarithm = math.log(factor)  # in float64: float32 has few digits of a factor near one
  return lambda step: jnp.exp(logarithm * (step // every))


DECAYS: Registry = Kinds() | {
  "constant": Kind(constant),
  "cosine": Kind(cosine),
  "linear": Kind(linear),
  "inverse_sqrt": Kind(inverse_sqrt),
  "exponential": Kind(exponential),
}


def make_learning_rate(
  num_steps: int, *, learning_rate: float, warmup_steps: int, decay: Callable[[int, int], Factor]
) -> Callable[..., Float[Array, ""]]:
  """Returns the rate of update number `step` (from 0), peak * min(1, (step + 1) / warmup_steps) * decay(step).

  So the first update already moves.

  Args:
    num_steps: updates in the whole run.
    learning_rate: the peak, > 0.
    warmup_steps: in [0, num_steps]; 0 = no warm-up.
    decay: (num_steps, warmup_steps) -> factor by step; a recipe of `DECAYS`.

  Raises:
    InputError: a value is out of range.
  """
  _check(0 < learning_rate < math.inf, f"learning_rate is {learning_rate}; give a positive number")
  _check(
    0 <= warmup_steps <= num_steps,
    f"warmup_steps is {warmup_steps}; choose 0 to num_steps = {num_steps}, by --config.optimizer.warmup_steps="
    f"{min(max(warmup_steps, 0), num_steps // 10)}",
  )
  factor, knee = decay(num_steps, warmup_steps), max(1, warmup_steps)

  def rate(step: Array | int) -> Float[Array, ""]:
    step = jnp.asarray(step)
    warmup = jnp.minimum(1.0, (step + 1) / knee)
    return jnp.asarray(learning_rate * warmup * factor(step), jnp.float32)

  return rate


def _progress(num_steps: int, warmup_steps: int) -> Factor:
  return lambda step: jnp.clip((step - warmup_steps) / max(1, num_steps - warmup_steps), 0.0, 1.0)


def _check_fraction(final_fraction: float) -> None:
  _check(0 <= final_fraction <= 1, f"final_fraction is {final_fraction}; choose a fraction of the peak, 0 to 1")


def _check(condition: bool, message: str) -> None:
  if not condition:
    raise InputError(message)
