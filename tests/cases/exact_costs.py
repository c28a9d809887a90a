"""What a step or an instant of diffusion costs, from the definitions, in extended precision: the reference of tests.

All functions take n examples of one position: x_t and x [n], log-probabilities of the prediction [n, K], levels of [n]
numbers. They return the cost in nats [n] and its gradient by the logits of the prediction [n, K].
"""

import numpy as np

from catgen.processes.levels import Level

Long = np.longdouble


def exact_level(schedule, times) -> Level:
  """Returns alpha_bar and what is lost, the smaller one by its own formula and the other as the rest."""
  kept, lost = (Long(function(np.asarray(times, np.float64), np)) for function in (schedule.keep, schedule.lost))
  return Level(np.where(lost < 0.5, 1 - lost, kept), np.where(lost < 0.5, lost, 1 - kept))


def step_cost(name, x_t, x, log_x0, s: Level, t: Level):
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) and its gradient."""
  own, here, p0 = _parts(x_t, x, log_x0)
  (s_keep, s_lost), (t_keep, t_lost) = ((keep[:, None], lost[:, None]) for keep, lost in (s, t))
  moved = np.where(s_lost < 0.5, t_lost - s_lost, s_keep - t_keep)  # alpha_bar_s times what one move loses
  if name == "absorbing":
    return _code_length((x_t == log_x0.shape[1])[:, None] * moved / t_lost, own, p0)
  k = log_x0.shape[1]
  c = t_keep / s_keep * here + moved / s_keep / k  # q(x_t | x_s)
  true, predicted = s_keep * own + s_lost / k, s_keep * p0 + s_lost / k
  z, z_p = (c * true).sum(-1, keepdims=True), (c * predicted).sum(-1, keepdims=True)
  q, p = c * true / z, c * predicted / z_p
  by_log = s_keep * p0 * (c / z_p - q / np.where(predicted > 0, predicted, 1))
  return _divergence(q, p), by_log - p0 * by_log.sum(-1, keepdims=True)


def instant_cost(name, x_t, x, log_x0, level: Level, slope):
  """Returns the limit of T KL for T -> infinity and its gradient; slope is -d alpha_bar / dt."""
  own, here, p0 = _parts(x_t, x, log_x0)
  keep, lost, slope = (Long(each)[:, None] for each in (*level, slope))
  if name == "absorbing":
    return _code_length((x_t == log_x0.shape[1])[:, None] * slope / np.where(lost > 0, lost, 1), own, p0)
  k = log_x0.shape[1]
  q, p = keep * own + lost / k, keep * p0 + lost / k
  q_u, p_u = ((here * each).sum(-1, keepdims=True) for each in (q, p))
  factor = slope / keep / k / q_u
  value = factor[:, 0] * (_divergence(p_u, q_u) / p_u[:, 0] + _divergence(q, p))  # y - 1 - ln y with y = q_u / p_u
  by_log = factor * keep * p0 * (here * (1 / p_u - q_u / p_u**2) - q / np.where(p > 0, p, 1) + 1)
  return value, by_log - p0 * by_log.sum(-1, keepdims=True)


def _parts(x_t, x, log_x0):
  own, here = (np.asarray(each)[:, None] == np.arange(log_x0.shape[1]) for each in (x, x_t))
  return own, here, normalized(log_x0)


def normalized(log_values):
  """Returns probabilities [n, K] of their unnormalized logarithms."""
  shifted = np.exp(Long(log_values) - Long(log_values).max(-1, keepdims=True))
  return shifted / shifted.sum(-1, keepdims=True)


def _code_length(weight, own, p0):
  with np.errstate(divide="ignore", invalid="ignore"):
    log_x = np.log((own * p0).sum(-1))
    return np.where(weight[:, 0] > 0, -weight[:, 0] * log_x, 0), weight * (p0 - own)


def _divergence(q, p):
  """Returns KL(q || p) as a sum of terms that are not negative, q (r - 1 - ln r) with r = p / q."""
  with np.errstate(divide="ignore"):
    r = np.where(q > 0, p / np.where(q > 0, q, 1), 1)
    return np.where(q > 0, q * (r - 1 - np.log(r)), p).sum(-1)
