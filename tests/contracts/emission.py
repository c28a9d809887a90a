"""p(x) of tiny latent models with an emission: quasi-Monte Carlo quadrature of p(z) p(x | z) over all latents.

Sobol points are mapped to latents by logistics of the location and of 1.5 times the deviation of draws of p(z).
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import qmc

_PILOT = 2**13  # points of one call: one program for all


def probabilities(
  log_prob: Callable, log_likelihood: Callable, drawn: np.ndarray, events: np.ndarray, log_points: int
) -> np.ndarray:
  """Returns p(x) of every event.

  log_prob: log p(z) of latents [_PILOT, *event, channels]; log_likelihood: log p(x | z) of every event and such
  latents, [events, _PILOT]; drawn: latents of p(z).
  """
  shape, flat = drawn.shape[1:], drawn.reshape(len(drawn), -1).astype(np.float64)
  u = np.clip(qmc.Sobol(flat.shape[1], seed=0).random_base2(log_points), 1e-12, 1 - 1e-12)
  location, scale = flat.mean(axis=0), 1.5 * flat.std(axis=0) * np.sqrt(3) / np.pi
  z = location + scale * (np.log(u) - np.log1p(-u))
  log_volume = (np.log(scale) - np.log(u) - np.log1p(-u)).sum(axis=1)
  total = np.zeros(len(events))
  for start in range(0, len(z), _PILOT):
    some = np.float32(z[start : start + _PILOT]).reshape(-1, *shape)
    weight = np.exp(np.asarray(log_prob(some), np.float64) + log_volume[start : start + _PILOT])
    total += np.exp(np.asarray(log_likelihood(some), np.float64)) @ weight
  return total / len(z)
