"""Noise schedules: how much of the data is kept at each time.

alpha_bar(t) is the probability that a category has not been resampled by time t in [0, 1]; alpha_bar(0) = 1. A schedule
gives it, what is lost (1 - alpha_bar, without cancellation near 0) and its slope. With T discrete steps the process
uses alpha_bar at t / T. Tables hold both numbers in float64, each exact on its own, and are rounded to float32 once.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from catgen.interfaces import InputError
from catgen.kinds import Kind, Kinds, Registry
from catgen.processes.levels import Level, Span

_OFFSET = 0.008  # s of Nichol & Dhariwal (2021), kept by the paper
_SMALLEST_STEP = 0.001  # the released code clips the ratio under the square root here
_LEAST_LOST = 1e-30  # at the first step: what float32 can divide by, and by the number of categories
_EARLIEST = 1e-9  # from here on alpha_bar is 1 in float32, and logarithms exist


class Schedule(NamedTuple):
  """Functions (t, xp) -> array with xp = numpy (float64 tables) or jax.numpy (continuous time)."""

  name: str
  ends_at_zero: bool  # alpha_bar(1) = 0 exactly
  keep: Callable[[Any, ModuleType], Any]  # alpha_bar
  lost: Callable[[Any, ModuleType], Any]  # 1 - alpha_bar
  slope: Callable[[Any, ModuleType], Any] | None  # -d alpha_bar / dt >= 0; None: discrete time only
  table: Callable[[int], Level]  # T -> alpha_bar and 1 - alpha_bar at 0, 1/T, ..., 1 in float64


def _sampled(keep: Callable, lost: Callable) -> Callable[[int], Level]:
  def table(num_steps: int) -> Level:
    return sampled(keep, lost, np.arange(num_steps + 1, dtype=np.float64) / num_steps)

  return table


def sampled(keep: Callable, lost: Callable, times: Float64[np.ndarray, "times"]) -> Level:
  """Returns alpha_bar and 1 - alpha_bar at the given times in [0, 1], float64: the smaller one by its own formula."""
  kept, gone = keep(times, np), lost(times, np)
  return Level(np.where(gone < 0.5, 1.0 - gone, kept), np.where(gone < 0.5, gone, 1.0 - kept))


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

  def table(num_steps: int) -> Level:
    kept, lost = exact.table(num_steps)
    steps = np.sqrt(np.clip((kept[1:] / kept[:-1]) ** 2, _SMALLEST_STEP, 1.0))
    clipped = np.concatenate([[1.0], np.cumprod(steps)])
    return Level(clipped, np.where(lost < 0.5, lost, 1.0 - clipped))

  return Schedule("paper_cosine", False, exact.keep, exact.lost, None, table)


def linear() -> Schedule:
  """Returns alpha_bar(t) = 1 - t: each category is resampled at a uniformly distributed time.

  Example:
    >>> linear().table(4).keep.tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]

  Reference: for masked diffusion, Austin et al. (2021), arXiv:2107.03006, section 3.2.
  """

  def keep(t: Any, xp: ModuleType) -> Any:
    return 1 - t

  def lost(t: Any, xp: ModuleType) -> Any:
    return t

  def slope(t: Any, xp: ModuleType) -> Any:
    return xp.ones_like(t)

  return Schedule("linear", True, keep, lost, slope, _sampled(keep, lost))


def polynomial(power: float = 2.0) -> Schedule:
  """Returns alpha_bar(t) = 1 - t^power, [T + 1] values as a table of T steps.

  Args:
    power: at least 1 (the slope at t = 0 must be finite); larger powers keep the data clean for longer. How large it
      may be depends on the first step, see `check_first`.

  Raises:
    InputError: another power.
  """
  if not 1 <= power < math.inf:
    raise InputError(f"schedule 'polynomial': power is {power}; it must be a number from 1 on")

  def lost(t: Any, xp: ModuleType) -> Any:
    return t**power

  def keep(t: Any, xp: ModuleType) -> Any:
    return 0.0 - xp.expm1(power * xp.log1p(xp.maximum(t, _EARLIEST) - 1))  # no minus zero at the end

  def slope(t: Any, xp: ModuleType) -> Any:
    return power * t ** (power - 1)

  return Schedule("polynomial", True, keep, lost, slope, _sampled(keep, lost))


SCHEDULES: Registry = Kinds() | {
  "cosine": Kind(cosine),
  "paper_cosine": Kind(paper_cosine),
  "linear": Kind(linear),
  "polynomial": Kind(polynomial),
}


def check_first(schedule: Schedule, time: float) -> None:
  """Raises InputError where less is lost by the first time of a model, in (0, 1], than float32 can work with."""
  lost = float(schedule.lost(np.float64(time), np))
  if lost < _LEAST_LOST:
    raise InputError(
      f"schedule {schedule.name!r} loses only {lost:.1g} by its first step, at time {time:g}, and float32 needs "
      f"{_LEAST_LOST:g}; lower the power, or take fewer steps (continuous time takes powers up to 4)"
    )


def levels(table: Level) -> Level:
  """Returns the levels of a float64 table [T + 1] as float32 arrays of the same length."""
  return Level(_float32(table.keep), _float32(table.lost))


def spans(table: Level, times: np.ndarray) -> Span:
  """Returns the noise levels of the moves times[i + 1] -> times[i], i = 0, 1, ..., as float32 arrays.

  Args:
    table: float64 [T + 1], the levels at steps 0..T.
    times: int [n + 1], increasing steps in [0, T]. Ratios and differences are taken in float64, a difference of what
      is kept or of what is lost, whichever is smaller.
  """
  kept, lost = table.keep[times], table.lost[times]
  s, t = Level(kept[:-1], lost[:-1]), Level(kept[1:], lost[1:])
  step = np.where(s.lost < 0.5, t.lost - s.lost, s.keep - t.keep) / s.keep
  moves = Span(s, t, Level(t.keep / s.keep, step), Level(s.keep * step / t.lost, s.lost / t.lost))
  return Span(*(levels(each) for each in moves))


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
