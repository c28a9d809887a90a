"""How much of its devices' products a run uses (MFU), where their makers' rates are known."""

from typing import Any

from catgen.training.accelerators import known, least_time
from catgen.training.dry_run import flops_by_dtype


class Utilization:
  """The least time of a step's products, over the time of a step."""

  def __init__(self, kind: str, number: int):
    """Looks the devices up.

    Args:
      kind: of the devices, as JAX names it.
      number: of them.
    """
    self.known, self._number = known(kind), number
    self._least = 0.0  # seconds

  def count(self, traced: Any) -> None:
    """Counts the products of a program: forward, backward, and what is computed again to save memory."""
    if self.known is not None:
      flops = flops_by_dtype(traced.jaxpr, nvidia="NVIDIA" in self.known.kind)
      self._least = least_time(self.known, flops, 0.0, 0.0, 0.0).products / self._number

  def of(self, seconds: float | None) -> dict[str, float]:
    """Returns {"mfu": a share, 0 to 1}, of a step of so many seconds; nothing where that is not known."""
    return {"mfu": self._least / seconds} if seconds and self._least else {}
