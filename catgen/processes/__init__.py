"""Forward corruption processes of categorical diffusion and what the reverse direction needs of them.

Symbols, once for all of catgen: x is data (step 0), x_t the state after step t in {1..T}, s < t an earlier time,
alpha_bar the probability that a category is still the original one, log_x0 the network's normalized log-probabilities
of the clean category, K the number of categories.
"""

from collections.abc import Callable

import numpy as np

from catgen.events import refuse_sizes
from catgen.interfaces import EventSpec, InputError
from catgen.kinds import Kind, Kinds, Recipe, Registry, name_of, takes
from catgen.processes import absorbing, graphs, noises, ordinal, uniform
from catgen.processes.process import Process
from catgen.processes.schedules import SCHEDULES, Schedule

PROCESSES: Registry = Kinds() | {
  "uniform": Kind(uniform.process),
  "absorbing": Kind(absorbing.process),
  "prior": Kind(noises.prior, small={"weights": (3.0, 2.0, 1.0)}),
  "unigram": Kind(noises.unigram),
  "hybrid": Kind(noises.hybrid),
  "kernel": Kind(ordinal.process),
  "pairs": Kind(graphs.pairs, small={"rates": ((0, 1, 1.0), (1, 2, 2.0))}),
  "neighbors": Kind(graphs.neighbors),
}

__all__ = ["PROCESSES", "SCHEDULES", "Process", "Schedule", "make_process"]


def make_process(process: Callable[..., Process], event: EventSpec) -> Process:
  """Returns the process of a factory K -> process, (K, what is counted) -> or (K, columns) -> process for an event.

  Raises:
    InputError: the process has the same categories at every position, and those of the event differ.
  """
  if takes(process, "columns"):
    return process(event.num_classes, None if event.sizes is None else np.array(event.sizes).reshape(event.shape))
  told = [getattr(event, name) for name in ("frequencies", "touching") if takes(process, name)]
  made = process(event.num_classes, *told)
  if not isinstance(made, Process):
    factory = process.make if isinstance(process, Recipe) else process
    raise InputError(f"process {name_of(factory)} makes a {type(made).__name__}; it must make a Process")
  if not made.exact_clamping:
    refuse_sizes(event, "this noise", "set model.process to 'absorbing' or 'uniform'")
  return made
