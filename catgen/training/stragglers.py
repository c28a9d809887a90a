"""Which process holds up the others: the host's own seconds for a step, beside those of the other processes.

All processes take equally long for a step, since each waits for the slowest. What differs is how long the host worked
itself: for its batch, for starting the step, instead of waiting for its devices. A device that is slow by itself is
not seen this way: its host waits as the others do.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from catgen.training.sharding import batch_sharding

TIMES, SHARE = 2.0, 0.1  # slow is so many times the median, and more than it by such a share of a step


class Stragglers:
  """Compares processes once in a period. All must call it equally often; what it tells is of the call before."""

  def __init__(self, mesh: Mesh, say: Callable[[str], None]):
    self._spread, self._say, self._told = batch_sharding(mesh), say, set[int]()
    self._devices = len(mesh.local_devices)
    self._gather = jax.jit(lambda rows: rows, out_shardings=NamedSharding(mesh, PartitionSpec()))
    self._before: Any = None

  def __call__(self, host_seconds: float, step_seconds: float) -> dict[str, float]:
    """Returns "host_seconds_median" and "host_seconds_max", of a step and over processes; says who is slow.

    Args:
      host_seconds, step_seconds: of this process and this period, means over its steps.
    """
    mine = np.tile(np.array([jax.process_index(), host_seconds, step_seconds], np.float32), (self._devices, 1))
    before, self._before = self._before, self._gather(jax.make_array_from_process_local_data(self._spread, mine))
    if before is None:
      return {}
    rows = np.asarray(before)
    slow, median, most = slowest(rows)
    if slow is not None and slow not in self._told:
      self._told.add(slow)
      self._say(
        f"warning: the host of process {slow} works {most:.3g} s for a step, the median host {median:.3g} s; the others"
        " wait for it: look at its disk, its processors and what else runs there"
      )
    return {"host_seconds_median": median, "host_seconds_max": most}


def slowest(rows: np.ndarray) -> tuple[int | None, float, float]:
  """Returns which process is slow, None where none is, and the median and the largest of the hosts' seconds.

  Of an even number the median is the lower one of the middle two: of two hosts none takes more than twice their mean.

  Args:
    rows: [devices, 3]: number of a process, its host's seconds, seconds of a step; equal ones of the same process.
  """
  rows = np.unique(rows, axis=0)
  worst, median = rows[rows[:, 1].argmax()], float(np.sort(rows[:, 1])[(len(rows) - 1) // 2])
  most = float(worst[1])
  slow = most > TIMES * median and most - median > SHARE * float(rows[:, 2].max())
  return int(worst[0]) if slow else None, median, most
