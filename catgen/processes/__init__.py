"""Forward corruption processes of categorical diffusion and what the reverse direction needs of them.

Symbols, once for all of catgen: x is data (step 0), x_t the state after step t in {1..T}, s < t an earlier time,
alpha_bar the probability that a category is still the original one, log_x0 the network's normalized log-probabilities
of the clean category, K the number of categories.
"""

from collections.abc import Callable

from catgen.interfaces import EventSpec
from catgen.kinds import Kind, Registry, takes
from catgen.processes import absorbing, noises, ordinal, uniform
from catgen.processes.process import Process
from catgen.processes.schedules import SCHEDULES, Schedule

PROCESSES: Registry = {
  "uniform": Kind(uniform.process),
  "absorbing": Kind(absorbing.process),
  "prior": Kind(noises.prior, small={"weights": (3.0, 2.0, 1.0)}),
  "unigram": Kind(noises.unigram),
  "hybrid": Kind(noises.hybrid),
  "kernel": Kind(ordinal.process),
}

__all__ = ["PROCESSES", "SCHEDULES", "Process", "Schedule", "make_process"]


def make_process(process: Callable[..., Process], event: EventSpec) -> Process:
  """Returns the process of a factory K -> process, or (K, frequencies) -> process, for the categories of an event."""
  told = (event.frequencies,) if takes(process, "frequencies") else ()
  return process(event.num_classes, *told)
