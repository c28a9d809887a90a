"""Noise schedules: how much of the data is kept at each time.

alpha_bar(t) is the probability that a category has not been resampled by time t in [0, 1]; alpha_bar(0) = 1. A schedule
gives it, what is lost (1 - alpha_bar, without cancellation near 0) and its slope. With T discrete steps the process
uses alpha_bar at t / T. Constants are computed in float64 and rounded to float32 once.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from catgen.interfaces import InputError
from catgen.kinds import Kind, Registry
from catgen.processes.levels import Level, Span

_OFFSET = 0.008  # s of Nichol & Dhariwal (2021), kept by the paper
_SMALLEST_STEP = 0.001  # the released code clips the ratio under the square root here


class Schedule(NamedTuple):
  """Functions (t, xp) -> array with xp = numpy (float64 tables) or jax.numpy (continuous time)."""

  name: str
  ends_at_zero: bool  # alpha_bar(1) = 0 exactly
  keep: Callable[[Any, ModuleType], Any]  # alpha_bar
  lost: Callable[[Any, ModuleType], Any]  # 1 - alpha_bar
  slope: Callable[[Any, ModuleType], Any] | None  # -d alpha_bar / dt >= 0; None: discrete time only
  table: Callable[[int], np.ndarray]  # T -> alpha_bar at 0, 1/T, ..., 1 in float64


def _sampled(keep: Callable, lost: Callable) -> Callable[[int], np.ndarray]:
  def table(num_steps: int) -> np.ndarray:
    times = np.arange(num_steps + 1, dtype=np.float64) / num_steps
    return np.where(lost(times, np) < 0.5, 1.0 - lost(times, np), keep(times, np))

  return table


def cosine() -> Schedule:
  """Returns alpha_bar(t) = cos(((t + s) / (1 + s)) pi / 2) / cos((s / (1 + s)) pi / 2), s = 0.008.

  This is the *square root* of the schedule of Nichol & Dhariwal (2021), as in the paper's appendix, and without the
  clip of its code, so that it ends at exactly zero. The forms below are exact to rounding at both ends.
  """
  start, width = _OFFSET / (1 + _OFFSET) * math.pi / 2, math.pi / 2 / (1 + _OFFSET)

  def keep(t: Any, xp: ModuleType) -> Any:
    return xp.sin((1 - t) * width) / math.cos(start)

  def lost(t: Any, xp: ModuleType) -> Any:
    return 2 * xp.sin(start + t * width / 2) * xp.sin(t * width / 2) / math.cos(start)

  def slope(t: Any, xp: ModuleType) -> Any:
    return width * xp.sin(start + t * width) / math.cos(start)

  return Schedule("cosine", True, keep, lost, slope, _sampled(keep, lost))


def paper_cosine() -> Schedule:
  """Returns the schedule of the published numbers: `cosine`, each step's alpha_t >= sqrt(0.001).

  alpha_t = sqrt(clip(f(t / T) / f((t - 1) / T), 0.001, 1)) with f = cos^2, so only the last step differs, and
  alpha_bar_T is 4.93e-5 for T = 1000 instead of 0. It exists for discrete time only. Reference: arXiv:2102.05379,
  appendix, and the released code.
  """
  exact = cosine()

  def table(num_steps: int) -> np.ndarray:
    kept = exact.table(num_steps)
    steps = np.sqrt(np.clip((kept[1:] / kept[:-1]) ** 2, _SMALLEST_STEP, 1.0))
    return np.concatenate([[1.0], np.cumprod(steps)])

  return Schedule("paper_cosine", False, exact.keep, exact.lost, None, table)


def linear() -> Schedule:
  """Returns alpha_bar(t) = 1 - t: each category is resampled at a uniformly distributed time.

  Example:
    >>> linear().table(4).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]

  Reference: for masked diffusion, Austin et al. (2021), arXiv:2107.03006, section 3.2.
  """
  return polynomial(1.0)._replace(name="linear")


def polynomial(power: float = 2.0) -> Schedule:
  """Returns alpha_bar(t) = 1 - t^power, [T + 1] values as a table of T steps.

  Args:
    power: at least 1; larger powers keep the data clean for longer.
  """
  if power < 1:
    raise InputError(f"schedule 'polynomial': power is {power}, but must be at least 1 (finite slope at t = 0)")

  def lost(t: Any, xp: ModuleType) -> Any:
    return t**power

  def keep(t: Any, xp: ModuleType) -> Any:
    return 1 - t**power

  def slope(t: Any, xp: ModuleType) -> Any:
    return power * t ** (power - 1)

  return Schedule("polynomial", True, keep, lost, slope, _sampled(keep, lost))


SCHEDULES: Registry = {
  "cosine": Kind(cosine),
  "paper_cosine": Kind(paper_cosine),
  "linear": Kind(linear),
  "polynomial": Kind(polynomial),
}


def levels(table: Float64[np.ndarray, "levels"]) -> Level:
  """Returns alpha_bar and 1 - alpha_bar of a table [T + 1] as float32 arrays of the same length."""
  return Level(_float32(table), _float32(1 - table))


def spans(table: np.ndarray, times: np.ndarray) -> Span:
  """Returns the noise levels of the moves times[i + 1] -> times[i], i = 0, 1, ..., as float32 arrays.

  Args:
    table: float64 [T + 1], alpha_bar at steps 0..T.
    times: int [n + 1], increasing steps in [0, T]. Ratios and differences are taken in float64.
  """
  kept = table[times]
  earlier, later = kept[:-1], kept[1:]
  return Span(
    s=Level(_float32(earlier), _float32(1 - earlier)),
    t=Level(_float32(later), _float32(1 - later)),
    step=Level(_float32(later / earlier), _float32((earlier - later) / earlier)),
  )


def _float32(values: np.ndarray) -> np.ndarray:
  return np.asarray(values, np.float32)


def continuous_level(schedule: Schedule, t: Any) -> tuple[Level, Any]:
  """Returns the level at continuous time t in [0, 1], float32 [batch], and the slope -d alpha_bar / dt there.

  Raises:
    InputError: the schedule exists for discrete time only.
  """
  if schedule.slope is None:
    raise InputError(f"schedule {schedule.name!r} exists for discrete time only; use 'cosine' for continuous time")
  return Level(schedule.keep(t, jnp), schedule.lost(t, jnp)), schedule.slope(t, jnp)
