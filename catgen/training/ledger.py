"""What the time of a run goes into: of all seconds that its process worked, how many trained it (goodput).

Each second counts once, for the innermost thing that it was spent on. Steps that run while the host waits, saves in the
background or prepares data are training; what holds them up is not.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

TRAINING = "training"
KINDS = (
  TRAINING,
  "starting",  # from the call of training to its first step: reading data, making or restoring the state
  "compiling",  # the first step
  "saving",  # what of a checkpoint the steps wait for
  "validating",  # and pictures
  "waiting",  # for a batch, while the device had nothing left to do; it may have become idle somewhat later
  "lost",  # training that was not saved, and was made again
)
PREFIX = "time/"


class Ledger:
  """Seconds by what they were spent on, of all processes that have worked on a run, one after the other."""

  def __init__(self, clock: Callable[[], float] = time.perf_counter):
    """Starts with "starting".

    Args:
      clock: seconds.
    """
    self._clock, self._kind = clock, "starting"
    self._at = clock()
    self._seconds = dict.fromkeys(KINDS, 0.0)

  def turn(self, kind: str) -> str:
    """Counts from now on for `kind`, and returns what it counted for until now."""
    now, before = self._clock(), self._kind
    self._seconds[before] += now - self._at
    self._at, self._kind = now, kind
    return before

  @contextlib.contextmanager
  def spending(self, kind: str) -> Iterator[None]:
    """Counts a block for `kind`."""
    before = self.turn(kind)
    try:
      yield
    finally:
      self.turn(before)

  def moved(self, kind: str, seconds: float) -> None:
    """Counts some of the seconds that were counted for what is under way for `kind` instead."""
    self._seconds[self._kind] -= seconds
    self._seconds[kind] += seconds

  def go_on(self, lines: Sequence[Mapping[str, Any]], step: int) -> None:
    """Adds what earlier processes have spent; of what they trained beyond `step`, everything is lost.

    Args:
      lines: of metrics.jsonl, in order.
      step: of the checkpoint that training goes on from.
    """
    last, saved = _seconds_of(lines), _seconds_of([line for line in lines if line["step"] <= step])
    lost = max(0.0, last[TRAINING] - saved[TRAINING])
    for kind in KINDS:
      self._seconds[kind] += last[kind]
    self._seconds[TRAINING] -= lost
    self._seconds["lost"] += lost

  def read(self) -> dict[str, float]:
    """Returns the seconds until now, by kind."""
    self.turn(self._kind)
    return dict(self._seconds)


def goodput(seconds: Mapping[str, float]) -> float:
  """Returns the share of training in all seconds, in [0, 1]; 0 where there are none."""
  total = sum(seconds.values())
  return seconds[TRAINING] / total if total > 0 else 0.0


def measured(seconds: Mapping[str, float]) -> dict[str, float]:
  """Returns what a line of metrics.jsonl says of it: "time/training", ... in seconds, and the share "time/goodput"."""
  return {**{f"{PREFIX}{kind}": each for kind, each in seconds.items()}, f"{PREFIX}goodput": goodput(seconds)}


def described(seconds: Mapping[str, float]) -> str:
  """Returns where the time went, the largest shares first; less than a hundredth is left out.

  >>> described({"training": 75.0, "compiling": 20.0, "saving": 5.0, "lost": 0.0})
  'training 75%, compiling 20%, saving 5%'
  """
  total = sum(seconds.values()) or 1.0
  others = sorted((kind for kind in seconds if kind != TRAINING), key=lambda kind: -seconds[kind])
  shown = [TRAINING, *(kind for kind in others if seconds[kind] >= 0.01 * total)]
  return ", ".join(f"{kind} {seconds[kind] / total:.0%}" for kind in shown)


def last_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
  """Returns the seconds that the last line of metrics.jsonl with any tells; None without one."""
  return _seconds_of(lines) if any(f"{PREFIX}{TRAINING}" in line for line in lines) else None


def _seconds_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
  last: Mapping[str, Any] = next((line for line in reversed(lines) if f"{PREFIX}{TRAINING}" in line), {})
  return {kind: float(last.get(f"{PREFIX}{kind}") or 0.0) for kind in KINDS}
