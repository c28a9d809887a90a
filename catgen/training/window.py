"""What is reported of the steps since the last report."""

import time
from typing import Any

import jax

from catgen.bounds import bits_per_position


class Window:
  """Sums of metrics between two reports, and the time of those steps that follow directly on another."""

  def __init__(self) -> None:
    self.clock: float | None = None
    self.clear()

  def clear(self) -> None:
    """Forgets what was added."""
    self.sums: Any = None
    self.steps, self.timed_steps, self.timed_positions, self.seconds, self.waited = 0, 0, 0, 0.0, 0.0

  def restart_clock(self) -> None:
    """Leaves out what came since the last step."""
    self.clock = time.perf_counter()

  def seconds_of_a_step(self) -> tuple[float, float]:
    """Returns how long the host worked for one, and how long one took; zeros where none was timed."""
    number = max(1, self.timed_steps)
    return (self.seconds - self.waited) / number, self.seconds / number

  def add(self, metrics: dict[str, Any], waited: float) -> None:
    """Counts a step that has ended now, for which the host has waited so many seconds."""
    now = time.perf_counter()
    if self.clock is not None:
      self.seconds += now - self.clock
      self.waited += waited
      self.timed_steps += 1
      self.timed_positions += int(metrics["positions"])
    self.clock = now
    doubles = jax.tree.map(float, metrics)
    self.sums = doubles if self.sums is None else jax.tree.map(lambda a, b: a + b, self.sums, doubles)
    self.rate = doubles["learning_rate"]
    self.steps += 1

  def close(self) -> dict[str, float]:
    """Returns the report's numbers and starts a new window."""
    if self.sums is None:  # every step was skipped
      return {"bits": float("nan")}
    positions = max(self.sums["positions"], 1.0)
    report = {"bits": bits_per_position(-self.sums["nats"], positions)}
    report |= {f"terms/{name}": bits_per_position(-nats, positions) for name, nats in self.sums["terms"].items()}
    report |= {"grad_norm": self.sums["grad_norm"] / self.steps, "learning_rate": self.rate}
    if self.seconds > 0:
      report["positions_per_second"] = self.timed_positions / self.seconds
      report["seconds_per_step"] = self.seconds / self.timed_steps
    self.clear()
    return report
