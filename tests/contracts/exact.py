"""Exact log p(x) of tiny models, in float64 and from the definitions alone: matrix products and quadrature."""

import itertools

import numpy as np
import scipy.linalg


def events(num_classes: int, num_positions: int) -> np.ndarray:
  return np.array(list(itertools.product(range(num_classes), repeat=num_positions)), np.int32)


UNIFORM_SHARE = 0.2  # of the hybrid process: replaced, where half of the data is kept


def weights(num_classes: int) -> tuple[float, ...]:
  """Returns the law of the noise of the process "prior", not normalized."""
  return tuple(float(each) for each in range(1, num_classes + 1))


def options(process: str, num_classes: int) -> dict:
  """Returns the keys of the process whose moves `kernel` has."""
  own = {"prior": {"weights": weights(num_classes)}, "hybrid": {"uniform": UNIFORM_SHARE}}
  return {**own, "pairs": {"rates": pairs(num_classes)}}.get(process, {})


def pairs(num_classes: int) -> tuple[tuple[int, int, float], ...]:
  """Returns the rates of the process "pairs": a ring, that each category is left on at another rate."""
  return tuple((i, (i + 1) % num_classes, 1.0 + i) for i in range(num_classes if num_classes > 2 else 1))


def has_mask(process: str) -> bool:
  return process in ("absorbing", "hybrid")


def kernel(process: str, num_classes: int, keep: float, since: float = 1.0) -> np.ndarray:
  """Returns the row-stochastic matrix of a move, from the definition: of what there was at alpha_bar = `since`, `keep`
  is kept."""
  if process == "uniform":
    return keep * np.eye(num_classes) + (1 - keep) / num_classes
  if process == "prior":
    law = np.array(weights(num_classes))
    return keep * np.eye(num_classes) + (1 - keep) * law / law.sum()
  if process == "hybrid":  # what is at hand at the end of the move less what was there before, as far as it is kept
    noise = _hybrid_noise(num_classes, keep * since) - keep * _hybrid_noise(num_classes, since)
    return keep * np.eye(num_classes + 1) + noise
  if process in (
    "kernel",
    "pairs",
  ):  # alpha_bar is what is kept of the slowest difference
    rates = np.eye(num_classes, k=1)  # neighbors in a row
    if process == "pairs":
      rates = np.zeros((num_classes, num_classes))
      for a, b, rate in pairs(num_classes):
        rates[a, b] = rate
    rates = rates + rates.T
    generator = rates - np.diag(rates.sum(1))
    gap = np.sort(np.linalg.eigvalsh(-generator))[1]
    return scipy.linalg.expm(np.log(max(keep, 1e-300)) / -gap * generator)
  matrix = np.zeros((num_classes + 1, num_classes + 1))
  matrix[:num_classes, :num_classes] = keep * np.eye(num_classes)
  matrix[:num_classes, -1], matrix[-1, -1] = 1 - keep, 1.0
  return matrix


def _hybrid_noise(num_classes: int, alpha_bar: float) -> np.ndarray:
  replaced = 4 * UNIFORM_SHARE * alpha_bar * (1 - alpha_bar)
  return np.append(np.full(num_classes, replaced / num_classes), 1 - alpha_bar - replaced)


def reverse_move(
  process: str,
  log_x0: np.ndarray,
  states: np.ndarray,
  keep_s: float,
  step: float,
  literal: bool = False,
  correction: float = 0.0,
) -> np.ndarray:
  """Transition matrix p(x_s | x_t) between all joint states, from predictions log_x0 [states, positions, classes]."""
  num_classes = log_x0.shape[-1]
  to_s, s_to_t = kernel(process, num_classes, keep_s)[:num_classes], kernel(process, num_classes, step, keep_s)
  per_position = np.zeros((*states.shape, s_to_t.shape[0]))
  for row, state in enumerate(states):
    for d, value in enumerate(state):
      if literal:
        per_position[row, d] = np.exp(log_x0[row, d])
      elif process == "absorbing" and value < num_classes:
        per_position[row, d, value] = 1.0
      else:
        joint = (np.exp(log_x0[row, d]) @ to_s) * s_to_t[:, value]
        per_position[row, d] = joint / (joint.sum() or 1.0)  # or what cannot be
      if correction and keep_s < 1:
        clean = np.exp(log_x0[row, d]) * (to_s @ s_to_t)[:, value]
        clean = (
          np.eye(num_classes)[value] if process == "absorbing" and value < num_classes else clean / (clean.sum() or 1.0)
        )
        per_position[row, d] = (1 - correction) * per_position[row, d] + correction * (clean @ to_s)
  matrix = np.ones((len(states), len(states)))
  for d in range(states.shape[1]):
    matrix *= per_position[:, d][:, states[:, d]]
  return matrix


def diffusion(
  process: str,
  num_classes: int,
  num_positions: int,
  kept: np.ndarray,
  predict,
  literal: bool = False,
  correction: float = 0.0,
) -> np.ndarray:
  """Returns p(x) over `events` by propagating the prior; predict(states, move) -> log_x0 for the move t -> t - 1."""
  states = events(num_classes + has_mask(process), num_positions)
  p = kernel(process, num_classes, 0.0)[0][states].prod(axis=1)
  for t in range(len(kept) - 1, 0, -1):
    log_x0 = np.asarray(predict(states, t), np.float64)
    log_x0 -= np.log(np.exp(log_x0).sum(-1, keepdims=True))
    step = kept[t] / kept[t - 1]
    p = p @ reverse_move(process, log_x0, states, kept[t - 1], step, literal and t == 1, correction)
  return p[np.all(states < num_classes, axis=1)]


def rated(rates: np.ndarray, times: np.ndarray, predict) -> np.ndarray:
  """Returns p(x) of a masked chain that goes back from times[-1] = 1 to times[0] = 0.

  A category at a position is masked by time t with probability t to its rate in [positions, classes];
  predict(states, move) -> log_x0 for the move times[move] -> times[move - 1].
  """
  num_positions, num_classes = rates.shape
  states = events(num_classes + 1, num_positions)
  masked, p = states == num_classes, np.all(states == num_classes, axis=1).astype(float)
  for move in range(len(times) - 1, 0, -1):
    predicted = np.exp(np.asarray(predict(states, move), np.float64))
    stays = (times[move - 1] / times[move]) ** rates * predicted / predicted.sum(-1, keepdims=True)
    shows = predicted / predicted.sum(-1, keepdims=True) - stays
    to = np.where(masked[..., None], np.concatenate([shows, stays.sum(-1, keepdims=True)], -1), 0.0)
    to += np.where(masked[..., None], 0.0, np.eye(num_classes + 1)[states])
    p = p @ np.prod([to[:, d][:, states[:, d]] for d in range(num_positions)], axis=0)
  return p[~masked.any(axis=1)]


def masked_in_continuous_time(num_classes: int, times: np.ndarray, predict) -> np.ndarray:
  """Returns p(x) of two positions, the mean over both reveal times: `times` are midpoint quantiles."""
  states = events(num_classes + 1, 2)
  row = {tuple(state): i for i, state in enumerate(states)}
  probs = np.exp(np.stack([np.asarray(predict(states, time), np.float64) for time in times]))
  probs /= probs.sum(-1, keepdims=True)
  mask, result = num_classes, []
  first_earlier = times[:, None] < times[None, :]  # position 0 is revealed at times[i], position 1 at times[j]
  half = np.eye(len(times), dtype=bool)
  for a, b in events(num_classes, 2):
    both, only_a, only_b = row[mask, mask], row[a, mask], row[mask, b]
    second_first = probs[None, :, both, 1, b] * probs[:, None, only_b, 0, a]  # going back, the later time comes first
    first_first = probs[:, None, both, 0, a] * probs[None, :, only_a, 1, b]
    mean = np.where(half, 0.5 * (second_first + first_first), np.where(first_earlier, second_first, first_first))
    result.append(mean.mean())
  return np.array(result)
