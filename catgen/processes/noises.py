"""Processes with noise of a law that is given, that of the data, or that of masks and uniform noise together."""

from collections.abc import Sequence

import numpy as np

from catgen.interfaces import InputError
from catgen.processes.interpolating import Noise, process
from catgen.processes.process import Process

_MOST_UNIFORM = 0.25  # of all positions, where half of the data is kept


def prior(num_classes: int, /, *, weights: Sequence[float]) -> Process:
  """Returns the process whose noise is drawn from a given law: b_t = (1 - alpha_bar_t) pi.

  Args:
    weights: of the K categories, in their order, each > 0; their sum does not matter.

  Raises:
    InputError: there are not K, or one is not positive.

  Reference: Vignac et al. (2023), DiGress, arXiv:2209.14734, section 4.1, for marginals of the data.
  """
  values = np.asarray(weights, np.float64)
  if values.shape != (num_classes,):
    raise InputError(
      f"process 'prior': there are {values.size} weights and {num_classes} categories; give one for each"
    )
  if not (np.isfinite(values) & (values > 0)).all():
    raise InputError("process 'prior': a weight is not a number above 0; give a small one where nothing is known")
  return process(num_classes, Noise(values / values.sum()))


def unigram(num_classes: int, frequencies: tuple[float, ...] | None, /) -> Process:
  """Returns the process whose noise has the frequencies of the training data, `EventSpec.frequencies`.

  Raises:
    InputError: they are not known.

  Reference: see `prior`.
  """
  if frequencies is None:
    raise InputError(
      "process 'unigram' needs the frequencies of the categories, which a run takes from its training split:"
      " EventSpec.frequencies is None; use process 'prior' with a list of weights where there is no run"
    )
  return prior(num_classes, weights=frequencies)


def hybrid(num_classes: int, /, *, uniform: float = 0.1) -> Process:
  """Returns the process that masks categories and, while some data are left, also replaces them uniformly.

  alpha_bar (1 - alpha_bar) 4 `uniform` of all positions have been replaced, the others that are lost are masked, and at
  the end all are.

  Args:
    uniform: share of the positions that are replaced where it is largest, which is where half of the data is kept; in
      (0, 0.25].

  Raises:
    InputError: another share.

  Reference: the idea of von Rütte et al. (2025), GIDD, arXiv:2503.04482; there the share follows another curve, which
  also decides alpha_bar. Here alpha_bar is that of any schedule.
  """
  if not 0 < uniform <= _MOST_UNIFORM:
    raise InputError(f"process 'hybrid': uniform is {uniform}; it must be above 0, up to {_MOST_UNIFORM}")
  mask, even = np.zeros(num_classes + 1), np.full(num_classes + 1, 1 / num_classes)
  mask[-1], even[-1] = 1.0, 0.0
  return process(num_classes, Noise(mask, even, uniform / _MOST_UNIFORM))
