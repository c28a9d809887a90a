"""Noise of any law: q(x_t | x) = alpha_bar_t x + b_t, where b_t sums to 1 - alpha_bar_t over all states.

A category is lost at the rate -alpha_bar' / alpha_bar, and what is drawn in its place has the law

  (1 - p alpha_bar^2) final + p alpha_bar^2 early

with two laws over states, `final` and `early`, and a share p in [0, 1]. Then, with lost = 1 - alpha_bar,

  b_t = lost_t [(1 - p alpha_bar_t) final + p alpha_bar_t early],    g_t = b_t' - (alpha_bar_t' / alpha_bar_t) b_t >= 0,
  b_(t|s) = b_t - (alpha_bar_t / alpha_bar_s) b_s = lost_(t|s) [(1 - p alpha_bar_s alpha_bar_t) final + ... early],

so that x_T has the law `final`, and moves compose. Uniform and masked diffusion are final = 1 / K and final = mask with
p = 0: here they are written once, and their own modules have the same numbers in fewer operations. What is offered by
name is in `noises`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from catgen.distributions import categorical
from catgen.processes.costs import HUGE, LOG_HUGE, cost_of, is_near, log_mixed
from catgen.processes.levels import Level, Span, align, over_events
from catgen.processes.process import Process


class Noise(NamedTuple):
  """What is drawn in the place of a category: laws over the K categories, or over these and a mask."""

  final: Float[np.ndarray, "states"]
  early: Float[np.ndarray, "states"] | None = None
  share: float = 0.0  # p


class _Amounts(NamedTuple):
  """How much of each law of the noise there is, numbers aligned with events; `early` is None where there is none."""

  final: Array
  early: Array | None


def process(num_classes: int, noise: Noise) -> Process:
  """Returns the process over K >= 2 categories with any noise; a state more than these is a mask."""
  bind = partial(partial, noise=noise)
  return Process(
    num_classes=num_classes,
    num_states=len(noise.final),
    needs_zero_end=bool((noise.final == 0).any()),
    marginal=bind(marginal),
    corrupt=bind(corrupt),
    posterior=bind(posterior),
    predictive=bind(predictive),
    kl=bind(kl),
    kl_rate=bind(kl_rate),
    prior_sample=bind(prior_sample),
    prior_log_prob=bind(prior_log_prob),
    prior_kl=bind(prior_kl),
    exact_clamping=noise.share == 0 and not noise.final[:num_classes].any(),
    likelihood=partial(likelihood, noise=noise, num_classes=num_classes),
    keep_at=partial(keep_at, noise=noise, num_classes=num_classes),
  )


def _amounts(noise: Noise, lost: Array, kept: Array, gone: Array) -> _Amounts:
  """Returns lost [(1 - p kept) final + p kept early], where `gone` is 1 - kept without cancellation."""
  if noise.early is None:
    return _Amounts(lost, None)
  return _Amounts(lost * (1.0 - noise.share + noise.share * gone), lost * noise.share * kept)


def _at_level(noise: Noise, level: Level) -> _Amounts:
  """Returns b_t, of aligned numbers."""
  return _amounts(noise, level.lost, level.keep, level.lost)


def _of_move(noise: Noise, span: Span) -> _Amounts:
  """Returns b_(t|s), of aligned numbers; 1 - alpha_bar_s alpha_bar_t = lost_s + alpha_bar_s lost_t."""
  s, t = span.s, span.t
  return _amounts(noise, span.step.lost, s.keep * t.keep, s.lost + s.keep * t.lost)


def _aligned(level: Level, num_dims: int) -> Level:
  """Returns a level of [batch, 1, ..., 1] numbers, [1, 1, ..., 1] where all examples have one."""
  return Level(*(jnp.reshape(each, jnp.shape(each) or (1,) * num_dims) for each in align(level, num_dims)))


def _of_states(amounts: _Amounts, noise: Noise, states: Int[Array, "batch *event"]) -> Float[Array, "batch *event"]:
  """Returns the noise at one state of each position."""
  found = amounts.final * jnp.asarray(noise.final, jnp.float32)[states]
  if noise.early is None or amounts.early is None:
    return found
  return found + amounts.early * jnp.asarray(noise.early, jnp.float32)[states]


def _of_all(amounts: _Amounts, noise: Noise) -> Float[Array, "*batch states"]:
  """Returns the noise at all states."""
  found = _rows(amounts.final, noise.final)
  return found if noise.early is None else found + _rows(amounts.early, noise.early)


def _rows(amounts: Array | None, law: Float[np.ndarray, "states"]) -> Float[Array, "*batch states"]:
  numbers = jnp.asarray(amounts)
  return numbers[..., None] * jnp.asarray(law, jnp.float32).reshape((1,) * numbers.ndim + (-1,))


def marginal(x: Int[Array, "batch *event"], level: Level, *, noise: Noise) -> Float[Array, "batch *event states"]:
  """Returns log q(x_t | x) over states."""
  level = _aligned(level, x.ndim)
  kept = jnp.where(categorical.indicator(x, len(noise.final)), level.keep[..., None], 0.0)
  return jnp.log(kept + _of_all(_at_level(noise, level), noise))


def corrupt(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], level: Level, *, noise: Noise
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x)."""
  return categorical.sample_each(keys, marginal(x, level, noise=noise)).astype(x.dtype)


def likelihood(
  x_t: Int[Array, "batch *event"], level: Level, *, noise: Noise, num_classes: int
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_t | x) for each category x."""
  level = _aligned(level, x_t.ndim)
  return jnp.log(_reaching(x_t, level.keep, _of_states(_at_level(noise, level), noise, x_t), num_classes))


def _reaching(x_t: Array, keep: Array, rest: Array, num_states: int) -> Float[Array, "batch *event states"]:
  """Returns the probability to come from each state to x_t, `rest` and for x_t itself also `keep`."""
  return rest[..., None] + jnp.where(categorical.indicator(x_t, num_states), keep[..., None], 0.0)


def posterior(
  x_t: Int[Array, "batch *event"], x: Int[Array, "batch *event"], span: Span, *, noise: Noise
) -> Float[Array, "batch *event states"]:
  """Returns log q(x_s | x_t, x) over states, normalized; NaN where x_t cannot come from x."""
  return jax.nn.log_softmax(_log_reaching(x_t, span, noise) + marginal(x, span.s, noise=noise))


def predictive(
  x_t: Int[Array, "batch *event"], log_x0: Float[Array, "batch *event classes"], span: Span, *, noise: Noise
) -> Float[Array, "batch *event states"]:
  """Returns log p(x_s | x_t) over states: the posterior with the prediction in place of x."""
  s = _aligned(span.s, x_t.ndim)
  rest, num_classes = _of_all(_at_level(noise, s), noise), log_x0.shape[-1]
  mixed = log_mixed(log_x0, s.keep[..., None], rest[..., :num_classes])
  if rest.shape[-1] > num_classes:
    mask = jnp.broadcast_to(jnp.log(rest[..., num_classes:]), (*x_t.shape, 1))
    mixed = jnp.concatenate([mixed, mask], axis=-1)
  return jax.nn.log_softmax(_log_reaching(x_t, span, noise) + mixed)


def _log_reaching(x_t: Array, span: Span, noise: Noise) -> Array:
  span = Span(*(_aligned(level, x_t.ndim) for level in span))
  return jnp.log(_reaching(x_t, span.step.keep, _of_states(_of_move(noise, span), noise, x_t), len(noise.final)))


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  noise: Noise,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) in nats per position; at s = 0, -log p(x_0 = x | x_t).

  As in `uniform.kl`, both laws are products c_j m_j / Z with c_j = q(x_t | x_s = j), m_j = q(x_s = j | x) or the same
  with the prediction in place of x, and the normalizers Z are what each says of x_t.

  Numerics: a sum of terms r - 1 - ln r as there, r - 1 = p / q - 1 written out for every kind of state. It is 0 where
  x_t cannot come from x.
  """
  span = Span(*(_aligned(level, x.ndim) for level in span))
  possible, x_t = _possible(x_t, x, span.t, noise)
  return jnp.where(possible, _kl(x_t, x, log_x0, span, noise), 0.0)


def _possible(x_t: Array, x: Array, level: Level, noise: Noise) -> tuple[Array, Array]:
  """Returns whether q(x_t | x) > 0, and x_t with the last state, which is a mask, in the place of what cannot be."""
  if (noise.final > 0).all():
    return jnp.ones(x.shape, bool), x_t
  possible = (_of_states(_at_level(noise, level), noise, x_t) + jnp.where(x == x_t, level.keep, 0.0)) > 0
  return possible, jnp.where(possible, x_t, len(noise.final) - 1)


def _kl(x_t: Array, x: Array, log_x0: Array, span: Span, noise: Noise) -> Array:
  s_keep, t_keep, same, num_classes = span.s.keep, span.t.keep, x == x_t, log_x0.shape[-1]
  at_s, at_t, of_move = _at_level(noise, span.s), _at_level(noise, span.t), _of_move(noise, span)
  b_x, b_u, t_u, beta = (
    _of_states(amounts, noise, states) for amounts, states in ((at_s, x), (at_s, x_t), (at_t, x_t), (of_move, x_t))
  )
  log_x, log_u = categorical.take(log_x0, x), _of_state(log_x0, x_t)
  log_mx, log_mu = log_mixed(log_x, s_keep, b_x), log_mixed(log_u, s_keep, b_u)
  z, log_zp = t_u + jnp.where(same, t_keep, 0.0), log_mixed(log_u, t_keep, t_u)
  log_ratio = jnp.log(z) - log_zp
  ratio, spread = jnp.exp(jnp.minimum(log_ratio, LOG_HUGE)), jnp.exp(jnp.log(beta) - log_zp)  # Z_q / Z_p, c_j / Z_p
  less = jnp.exp(jnp.log(t_keep) + log_u - log_zp)

  m_x, c_x = s_keep + b_x, beta + jnp.where(same, span.step.keep, 0.0)
  missing = -jnp.expm1(log_x) * s_keep / m_x
  d_x = -jnp.where(same, missing * spread, missing * ratio + less)
  of_x = cost_of(c_x * m_x / z, c_x * jnp.exp(log_mx - log_zp), d_x, log_mx - jnp.log(m_x) + log_ratio)

  true_u, c_u = jnp.where(b_u > 0, b_u, 1.0), beta + span.step.keep
  per_noise = jnp.exp(log_u) / true_u  # prediction of x_t, in units of its noise
  scale = jnp.minimum(ratio * s_keep * per_noise, HUGE)
  d_u = scale * (beta / jnp.where(t_u > 0, t_u, 1.0))
  of_x_t = cost_of(c_u * b_u / z, c_u * jnp.exp(log_mu - log_zp), d_u, log_mu - jnp.log(true_u) + log_ratio)

  more = jnp.exp(jnp.minimum(jnp.log(t_keep) - log_zp, LOG_HUGE)) * -jnp.expm1(log_u)
  rest = _of_all(at_s, noise)
  numbers = _Others(
    keep=s_keep,
    rest=rest[..., :num_classes],
    chance=beta / z,
    ratio=ratio,
    start=jnp.where(same, 0.0, per_noise),
    shift=jnp.where(same, more, d_u),
  )
  total = of_x + jnp.where(same, 0.0, of_x_t) + _cost_of_others(log_x0, spread, x, x_t, numbers)
  if rest.shape[-1] == num_classes:
    return total
  mask = rest[..., num_classes]  # of which nothing is predicted
  of_mask = cost_of(beta * mask / z, mask * spread, jnp.where(same, more, -less), log_ratio)
  return total + jnp.where(x_t == num_classes, 0.0, of_mask)


def _of_state(log_x0: Array, x_t: Array) -> Array:
  """Returns the log-probability that is predicted of x_t; a mask has none."""
  num_classes = log_x0.shape[-1]
  found = categorical.take(log_x0, jnp.minimum(x_t, num_classes - 1))
  return jnp.where(x_t < num_classes, found, -jnp.inf)


class _Others(NamedTuple):
  """Numbers that say, for the categories j other than x and x_t, what is predicted of them and is true."""

  keep: Array
  rest: Array  # [..., classes]
  chance: Array  # q_j = chance rest_j; p_j = spread (keep prediction_j + rest_j)
  # what follows from these and from spread, without the rounding that it would take to compute it from them:
  # p_j / q_j = ratio (keep prediction_j + rest_j) / rest_j,
  # p_j / q_j - 1 = ratio keep (prediction_j / rest_j - start) + shift
  ratio: Array
  start: Array
  shift: Array


@jax.custom_jvp
def _cost_of_others(log_x0: Array, spread: Array, x: Array, x_t: Array, numbers: _Others) -> Array:
  """Returns the sum of `cost_of` over all categories but x and x_t, [batch, *event].

  Its derivative is written out, (1 - q / p) dp, so that a gradient keeps few arrays over classes. Levels are taken for
  constants.
  """
  return _others(log_x0, spread, x, x_t, numbers)[0]


@_cost_of_others.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  (_, spread, x, _, numbers), (d_log_x0, d_spread, *_) = primals, tangents
  cost, weight, predicted, mixed = _others(*primals)
  moved = (weight * predicted * d_log_x0).sum(-1)
  return cost, jnp.broadcast_to(spread * numbers.keep, x.shape) * moved + d_spread * (weight * mixed).sum(-1)


def _others(log_x0: Array, spread: Array, x: Array, x_t: Array, numbers: _Others) -> tuple[Array, Array, Array, Array]:
  """Returns the sum of costs, and over classes their derivatives by p, predictions, and p / spread."""
  num_classes, rest = log_x0.shape[-1], numbers.rest
  of_positions = (each for name, each in numbers._asdict().items() if name != "rest")
  keep, chance, ratio, start, shift = (jnp.broadcast_to(each, x.shape)[..., None] for each in of_positions)
  predicted, true = jnp.exp(log_x0), jnp.where(rest > 0, rest, 1.0)
  mixed, scale = keep * predicted + rest, jnp.minimum(ratio / true, HUGE)
  q, p = chance * rest, spread[..., None] * mixed
  r, d = scale * mixed, scale * keep * (predicted - rest * start) + shift
  log_r = jnp.log(jnp.where(r > 0, r, 1.0))  # it is 0 only where the truth is
  near = is_near(q, d)
  weight = jnp.where(near, d / jnp.where(near, 1.0 + d, 1.0), 1.0 - q / jnp.where(p > 0, p, 1.0))
  counted = ~(categorical.indicator(x, num_classes) | categorical.indicator(x_t, num_classes))
  return jnp.where(counted, cost_of(q, p, d, log_r), 0.0).sum(-1), jnp.where(counted, weight, 0.0), predicted, mixed


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  noise: Noise,
) -> Float[Array, "batch *event"]:
  """Returns the rate at which the continuous-time bound loses nats, per position and unit of time.

  With q = q(. | x) at time t, p the same with the prediction in place of x, u = x_t and w = q_u / p_u it is
  (g_u / q_u) [KL(q || p) + w - 1 - ln w], the limit of T KL for T -> infinity. Both parts are non-negative.

  Numerics: both parts are sums of terms r - 1 - ln r as in `kl`. It is 0 where x_t cannot come from x.

  Reference: for masks and uniform noise von Rütte et al. (2025), arXiv:2503.04482, Theorem 3.
  """
  level = _aligned(level, x.ndim)
  possible, x_t = _possible(x_t, x, level, noise)
  return jnp.where(possible, _rate(x_t, x, log_x0, level, over_events(slope, x.ndim), noise), 0.0)


def _rate(x_t: Array, x: Array, log_x0: Array, level: Level, slope: Array, noise: Noise) -> Array:
  num_classes, same, keep = log_x0.shape[-1], x == x_t, level.keep
  amounts = _at_level(noise, level)
  b_x, b_u = (_of_states(amounts, noise, states) for states in (x, x_t))
  log_x, log_u = categorical.take(log_x0, x), _of_state(log_x0, x_t)
  q_u, log_pu = b_u + jnp.where(same, keep, 0.0), log_mixed(log_u, keep, b_u)
  log_keep, one = jnp.log(keep), jnp.ones(x.shape)
  excess = jnp.where(same, jnp.exp(log_keep - log_pu) * -jnp.expm1(log_u), -jnp.exp(log_keep + log_u - log_pu))
  of_x_t = cost_of(one, 1.0 + excess, excess, jnp.log(q_u) - log_pu)

  q_x, log_px = keep + b_x, log_mixed(log_x, keep, b_x)
  of_x = cost_of(q_x, jnp.exp(log_px), jnp.expm1(log_x) * keep / q_x, log_px - jnp.log(q_x))
  nothing, rest = jnp.zeros(x.shape), _of_all(amounts, noise)[..., :num_classes]
  numbers = _Others(keep, rest, chance=one, ratio=one, start=nothing, shift=nothing)
  drawn = _amounts(noise, slope / keep, keep**2, level.lost * (1.0 + keep))
  rate = _of_states(drawn, noise, x_t) / q_u
  return rate * (of_x_t + of_x + _cost_of_others(log_x0, one, x, x, numbers))


def prior_sample(
  keys: Key[Array, "batch"], event_shape: tuple[int, ...], *, noise: Noise
) -> Int[Array, "batch *event"]:
  """Draws x_T from the law `final`."""
  logits = jnp.log(jnp.asarray(noise.final, jnp.float32))
  return categorical.sample_each(keys, jnp.broadcast_to(logits, (keys.shape[0], *event_shape, len(logits))))


def prior_log_prob(x_t: Int[Array, "batch *event"], *, noise: Noise) -> Float[Array, "batch *event"]:
  """Returns the logarithm of the law `final` at x_T."""
  return jnp.log(jnp.asarray(noise.final, jnp.float32))[x_t]


def prior_kl(x: Int[Array, "batch *event"], level: Level, *, noise: Noise) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_T | x) || final) in nats per position; 0 where `final` lacks states, so that alpha_bar_T must be 0.

  Numerics: a sum of terms r - 1 - ln r as in `kl`, so that a tiny value keeps its digits.
  """
  if (noise.final == 0).any():
    return jnp.zeros(x.shape)
  level = _aligned(level, x.ndim)
  amounts, num_states = _at_level(noise, level), len(noise.final)
  kept = jnp.where(categorical.indicator(x, num_states), level.keep[..., None], 0.0)
  final = _rows(jnp.ones_like(level.keep), noise.final)
  q = kept + _of_all(amounts, noise)
  missing = level.keep[..., None] * final - kept
  if noise.early is not None:
    missing += _rows(amounts.early, noise.final - noise.early)
  safe = jnp.where(q > 0, q, 1.0)
  return cost_of(q, jnp.broadcast_to(final, q.shape), missing / safe, jnp.log(final) - jnp.log(safe)).sum(-1)


def keep_at(wrong: Float[Array, ""] | float, *, noise: Noise, num_classes: int) -> Array:
  """Returns alpha_bar where a share of the visible categories is wrong, for categories as frequent as in the noise.

  Without a mask lost (1 - sum_j pi_j^2) are wrong; with one, y / (1 + y) (1 - sum_j pi_j^2) with y = p lost.
  """
  law = noise.final if noise.early is None else noise.early
  most = 1 - np.square(law[:num_classes]).sum()
  wrong = jnp.minimum(jnp.asarray(wrong, jnp.float32), most)
  if noise.early is None:
    return 1 - wrong / most
  return jnp.maximum(1 - wrong / (noise.share * jnp.maximum(most - wrong, 1e-6)), 0.0)
