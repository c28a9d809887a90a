"""Masked diffusion in which every category and every position is masked at a rate of its own.

With lost = 1 - alpha_bar of the schedule, a position of category k is masked by time t with probability lost(t)^w,
w > 0 its rate; with lost = t that is 1 - alpha_bar_k(t) = t^w (GenMD4 of Shi et al., 2024; arXiv:2406.04329). Going
back from t to s < t, a masked position becomes category j with probability (1 - (lost_s / lost_t)^w_j) x_hat_j and
keeps its mask with what is left. Rates of one size only change the schedule. Where categories have different ones,
that a position is masked says something about what is there, and the prediction x_hat is given the time for it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from catgen.distributions import categorical
from catgen.processes import absorbing
from catgen.processes.levels import Level, Span, over_events
from catgen.processes.process import Process


class Rates(NamedTuple):
  """Rates w = by_position * by_class, all > 0; the one of a category at a position."""

  by_class: Float[Array, "classes"]
  by_position: Float[Array, "*event"]  # or a scalar, where all positions have the same

  def of(self, x: Int[Array, "batch *event"]) -> Float[Array, "batch *event"]:
    """Returns the rate of what is at each position."""
    return jnp.broadcast_to(self.by_position, x.shape) * self.by_class[x]

  def table(self, x_t: Int[Array, "batch *event"]) -> Float[Array, "batch *event classes"]:
    """Returns the rate of every category at each position of x_t."""
    shape = (*x_t.shape, self.by_class.shape[0])
    return jnp.broadcast_to(self.by_position[..., None], shape) * jnp.broadcast_to(self.by_class, shape)


def process(rates: Rates) -> Process:
  """Returns the absorbing process with these rates; its mask is state K."""
  bind = partial(partial, rates=rates)
  plain = absorbing.process(rates.by_class.shape[0])
  return plain._replace(
    marginal=bind(marginal),
    corrupt=bind(corrupt),
    posterior=bind(posterior),
    predictive=bind(predictive),
    kl=bind(kl),
    kl_rate=bind(kl_rate),
  )


def marginal(x: Int[Array, "batch *event"], level: Level, *, rates: Rates) -> Float[Array, "batch *event states"]:
  """Returns log q(x_t | x) over K + 1 states."""
  log_lost = log_masked(x, jnp.log(level.lost), rates)
  return _appended(_certain(x, rates) + log_rest(log_lost)[..., None], log_lost)


def corrupt(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], level: Level, *, rates: Rates
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x), by the same random numbers as `absorbing.corrupt`."""
  return masked(keys, x, jnp.log(jnp.broadcast_to(level.lost, x.shape[:1])), rates)


def masked(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], log_lost: Float[Array, "batch"], rates: Rates
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x) at ln lost, which may be far below what float32 has an exponential of."""
  gone = categorical.bernoulli_each(keys, jnp.exp(log_masked(x, log_lost, rates)), x.shape[1:])
  return jnp.where(gone, rates.by_class.shape[0], x)


def log_masked(
  x: Int[Array, "batch *event"], log_lost: Float[Array, "*batch"], rates: Rates
) -> Float[Array, "batch *event"]:
  """Returns the logarithm of the probability that each position is masked, at ln lost."""
  return rates.of(x) * over_events(log_lost, x.ndim)


def posterior(
  x_t: Int[Array, "batch *event"], x: Int[Array, "batch *event"], span: Span, *, rates: Rates
) -> Float[Array, "batch *event states"]:
  """Returns log q(x_s | x_t, x) over K + 1 states."""
  return predictive(x_t, _certain(x, rates), span, rates=rates)


def predictive(
  x_t: Int[Array, "batch *event"], log_x0: Float[Array, "batch *event classes"], span: Span, *, rates: Rates
) -> Float[Array, "batch *event states"]:
  """Returns log p(x_s | x_t) over K + 1 states: the posterior with the prediction in place of x."""
  num_classes = rates.by_class.shape[0]
  stays = rates.table(x_t) * over_events(jnp.log(span.resampled.lost), x_t.ndim + 1)
  covered = jax.nn.logsumexp(log_x0 + stays, axis=-1)
  shown = jnp.where(categorical.indicator(x_t, num_classes + 1), 0.0, -jnp.inf)
  return jnp.where((x_t == num_classes)[..., None], _appended(log_x0 + log_rest(stays), covered), shown)


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  rates: Rates,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) where x_t is masked, and 0 elsewhere.

  With r = 1 - (lost_s / lost_t)^w it is r_x (-ln x_hat_x) + (1 - r_x) ln((1 - r_x) / sum_k (1 - r_k) x_hat_k), at s = 0
  -ln x_hat_x, whatever the rates.
  """
  lost = span.resampled.lost
  some_stay = over_events(lost, x.ndim) > 0  # at s = 0 none do, and ln 0 would have gradients of NaN behind a `where`
  log_stay = jnp.log(jnp.where(lost > 0, lost, 1.0))
  own = log_masked(x, log_stay, rates)
  expected = jax.nn.logsumexp(log_x0 + rates.table(x_t) * over_events(log_stay, x.ndim + 1), axis=-1)
  stays = jnp.where(some_stay, jnp.exp(own) * (own - expected), 0.0)
  nats = jnp.where(some_stay, jnp.expm1(own), -1.0) * categorical.take(log_x0, x) + stays
  return jnp.where(x_t == rates.by_class.shape[0], nats, 0.0)


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  rates: Rates,
) -> Float[Array, "batch *event"]:
  """Returns the limit of T KL for T -> infinity: where x_t is masked, slope / lost times

    w_x (-ln x_hat_x) - w_x + sum_k w_k x_hat_k,

  in which -w_x + sum_k w_k x_hat_k is the cost of waiting for the mask to be lifted at another rate than that of x. It
  is computed as sum_k (w_k - w_x) x_hat_k, so that rates of one size cost exactly nothing. All of it is positive.
  """
  own = rates.of(x)
  waiting = ((rates.table(x_t) - own[..., None]) * jnp.exp(log_x0)).sum(-1)
  nats = waiting - own * categorical.take(log_x0, x)
  return jnp.where(x_t == rates.by_class.shape[0], over_events(slope / level.lost, x.ndim) * nats, 0.0)


def log_rest(log_p: Float[Array, "*any"]) -> Float[Array, "*any"]:
  """Returns ln(1 - p) of ln p <= 0."""
  return jnp.log(-jnp.expm1(log_p))


def _certain(x: Array, rates: Rates) -> Array:
  return jnp.where(categorical.indicator(x, rates.by_class.shape[0]), 0.0, -jnp.inf)


def _appended(classes: Array, mask: Array) -> Float[Array, "batch *event states"]:
  return jnp.concatenate([classes, mask[..., None]], axis=-1)
