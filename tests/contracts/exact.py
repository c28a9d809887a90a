"""Exact log p(x) of tiny models, in float64 and from the definitions alone: matrix products and quadrature."""

import itertools

import numpy as np


def events(num_classes: int, num_positions: int) -> np.ndarray:
  return np.array(list(itertools.product(range(num_classes), repeat=num_positions)), np.int32)


def _kernel(process: str, num_classes: int, keep: float) -> np.ndarray:
  if process == "uniform":
    return keep * np.eye(num_classes) + (1 - keep) / num_classes
  matrix = np.zeros((num_classes + 1, num_classes + 1))
  matrix[:num_classes, :num_classes] = keep * np.eye(num_classes)
  matrix[:num_classes, -1], matrix[-1, -1] = 1 - keep, 1.0
  return matrix


def reverse_move(
  process: str, log_x0: np.ndarray, states: np.ndarray, keep_s: float, step: float, literal: bool
) -> np.ndarray:
  """Transition matrix p(x_s | x_t) between all joint states, from predictions log_x0 [states, positions, classes]."""
  num_classes = log_x0.shape[-1]
  to_s, s_to_t = _kernel(process, num_classes, keep_s)[:num_classes], _kernel(process, num_classes, step)
  per_position = np.zeros((*states.shape, s_to_t.shape[0]))
  for row, state in enumerate(states):
    for d, value in enumerate(state):
      if literal:
        per_position[row, d] = np.exp(log_x0[row, d])
      elif process == "absorbing" and value < num_classes:
        per_position[row, d, value] = 1.0
      else:
        joint = (np.exp(log_x0[row, d]) @ to_s) * s_to_t[:, value]
        per_position[row, d] = joint / joint.sum()
  matrix = np.ones((len(states), len(states)))
  for d in range(states.shape[1]):
    matrix *= per_position[:, d][:, states[:, d]]
  return matrix


def diffusion(
  process: str, num_classes: int, num_positions: int, kept: np.ndarray, predict, literal: bool = False
) -> np.ndarray:
  """Returns p(x) over `events` by propagating the prior; predict(states, move) -> log_x0 for the move t -> t - 1."""
  states = events(num_classes + (process == "absorbing"), num_positions)
  if process == "absorbing":
    p = np.all(states == num_classes, axis=1).astype(float)
  else:
    p = np.full(len(states), 1 / len(states))
  for t in range(len(kept) - 1, 0, -1):
    log_x0 = np.asarray(predict(states, t), np.float64)
    log_x0 -= np.log(np.exp(log_x0).sum(-1, keepdims=True))
    p = p @ reverse_move(process, log_x0, states, kept[t - 1], kept[t] / kept[t - 1], literal and t == 1)
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
