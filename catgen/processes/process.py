"""What every forward corruption process offers: a record of pure functions on states and log-probabilities."""

from collections.abc import Callable
from typing import NamedTuple


class Process(NamedTuple):
  """A corruption process. `level`, `span` hold one number per example; nothing is summed over positions."""

  num_classes: int  # K
  num_states: int  # K, or K + 1 with a mask state
  # The sum of a span's terms reaches the whole prior only if nothing is left at the end: needs alpha_bar_T = 0 exactly.
  needs_zero_end: bool
  marginal: Callable  # (x, level) -> log q(x_t | x) over states; with `span.step` it is one step q(x_t | x_s)
  corrupt: Callable  # (keys, x, level) -> x_t ~ q(x_t | x)
  posterior: Callable  # (x_t, x, span) -> log q(x_s | x_t, x) over states
  predictive: (
    Callable  # (x_t, log_x0, span) -> log p(x_s | x_t) over states: the posterior with x replaced by its prediction
  )
  kl: Callable  # (x_t, x, log_x0, span) -> KL(q(x_s | x_t, x) || p(x_s | x_t)); at s = 0 it is -log p(x_0 | x_t)
  kl_rate: Callable  # (x_t, x, log_x0, level, slope) -> d KL / dt in continuous time
  prior_sample: Callable  # (keys, event_shape) -> x_T
  prior_log_prob: Callable  # (x_T) -> log p(x_T)
  prior_kl: Callable  # (x, level) -> KL(q(x_T | x) || p(x_T))
  exact_clamping: bool  # True: revealing observed positions first is exact conditioning
  likelihood: Callable  # (x_t, level) -> log q(x_t | x) for each category x
  keep_at: Callable  # share of the visible categories that are wrong -> alpha_bar at which as many are
