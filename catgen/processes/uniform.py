"""Multinomial diffusion: categories are resampled uniformly (arXiv:2102.05379, section 4).

One step is q(x_t | x_s) = C(x_t | a x_s + (1 - a) / K) (Eq. 11), a = alpha_bar_t / alpha_bar_s, and t steps compose to
q(x_t | x) = C(x_t | alpha_bar_t x + (1 - alpha_bar_t) / K) (Eq. 12). By Bayes, since given x_s the state x_t does not
depend on x,

  q(x_s = j | x_t, x) is proportional to
    [a 1{j = x_t} + (1 - a) / K] [alpha_bar_s 1{j = x} + (1 - alpha_bar_s) / K]            (Eq. 13)

and the normalizer is q(x_t | x). The first factor is q(x_t | x_s = j): it is read as a vector over j, which looks like
"conditioning on x_t" only because the kernel is symmetric. p(x_s | x_t) puts the predicted probabilities in place of
1{j = x} (Eq. 14, 15).

Positions may have different numbers of categories, as the columns of a table do: K is then that of the position, and
the categories that it lacks have probability 0 in everything that is said of it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import categorical
from catgen.processes.costs import HUGE, LOG_HUGE, cost_of, is_near, log_mixed
from catgen.processes.levels import Level, Span, align
from catgen.processes.process import Process

Columns = Int[np.ndarray, "*event"]


def process(num_classes: int, columns: Columns | None = None, /) -> Process:
  """Returns the uniform process over K >= 2 categories, or over those of each position. columns: how many it has.

  Reference: arXiv:2102.05379, section 4.
  """
  bind = partial(partial, num_classes=num_classes, columns=columns)
  resampled = 1 - 1 / num_classes if columns is None else float(np.mean(1 - 1 / columns))  # to another category
  return Process(
    num_classes=num_classes,
    num_states=num_classes,
    needs_zero_end=False,
    marginal=bind(marginal),
    corrupt=bind(corrupt),
    posterior=bind(posterior),
    predictive=bind(predictive),
    kl=bind(kl),
    kl_rate=bind(kl_rate),
    prior_sample=bind(prior_sample),
    prior_log_prob=bind(prior_log_prob),
    prior_kl=bind(prior_kl),
    exact_clamping=False,
    likelihood=bind(marginal),  # resampling is symmetric
    keep_at=lambda wrong: 1 - wrong / resampled if resampled else 1.0 + 0.0 * wrong,
  )


def _sizes(num_classes: int, columns: Columns | None) -> Float[Array, "1 *event"] | int:
  """Returns the number of categories of each position."""
  return num_classes if columns is None else jnp.asarray(columns, jnp.float32)[None]


def _evenly(lost: Array, num_classes: int, columns: Columns | None) -> Array:
  """Returns what each category gets of what is resampled, `lost` [batch, 1, ..., 1] with an axis of classes."""
  if columns is None:
    return lost / num_classes
  return jnp.where(_present(columns, num_classes), lost / jnp.asarray(columns, jnp.float32)[None, ..., None], 0.0)


def _present(columns: Columns, num_classes: int) -> Bool[np.ndarray, "1 *event classes"]:
  return (np.arange(num_classes) < columns[..., None])[None]


def _add_at(values: Float[Array, "*batch classes"], index: Int[Array, "*batch"], amount: Array) -> Array:
  """Returns values plus `amount` at class `index`."""
  return values + jnp.where(categorical.indicator(index, values.shape[-1]), amount, 0.0)


def marginal(
  x: Int[Array, "batch *event"], level: Level, *, num_classes: int, columns: Columns | None = None
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_t | x), Eq. 12; with the level of a single move, Eq. 11."""
  keep, lost = align(level, x.ndim + 1)
  resampled = jnp.broadcast_to(_evenly(lost, num_classes, columns), (*x.shape, num_classes))
  return jnp.log(_add_at(resampled, x, keep))


def corrupt(
  keys: Key[Array, "batch"],
  x: Int[Array, "batch *event"],
  level: Level,
  *,
  num_classes: int,
  columns: Columns | None = None,
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x): with probability 1 - alpha_bar a position is resampled, possibly to itself."""
  both = jax.vmap(jax.random.split)(keys)
  resample = categorical.bernoulli_each(both[:, 0], jnp.broadcast_to(level.lost, x.shape[:1]), x.shape[1:])
  most = num_classes if columns is None else jnp.asarray(columns)
  fresh = jax.vmap(lambda key: jax.random.randint(key, x.shape[1:], 0, most, x.dtype))(both[:, 1])
  return jnp.where(resample, fresh, x)


def posterior(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  span: Span,
  *,
  num_classes: int,
  columns: Columns | None = None,
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_s | x_t, x), normalized (Eq. 13); -inf where it is zero, as at s = 0 everywhere but at x."""
  of = partial(marginal, num_classes=num_classes, columns=columns)
  return jax.nn.log_softmax(of(x_t, span.step) + of(x, span.s))


def predictive(
  x_t: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  num_classes: int,
  columns: Columns | None = None,
) -> Float[Array, "batch *event classes"]:
  """Returns log p(x_s | x_t), the posterior with the prediction in place of x (Eq. 13-15), at every s, 0 included."""
  keep, lost = align(span.s, log_x0.ndim)
  mixed = log_mixed(log_x0, keep, _evenly(lost, num_classes, columns))
  return jax.nn.log_softmax(marginal(x_t, span.step, num_classes=num_classes, columns=columns) + mixed)


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  num_classes: int,
  columns: Columns | None = None,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) in nats per position; at s = 0, -log p(x_0 = x | x_t).

  Both distributions are products c_j m_j / Z with the same c_j = q(x_t | x_s = j): m_j is q(x_s = j | x), or the same
  with the prediction in place of x, and the normalizers Z are what each says of x_t. All classes other than x and x_t
  have one q_j, so that a single pass over K is needed.

  Numerics: class j contributes q_j (r_j - 1 - ln r_j) >= 0 with r_j = p_j / q_j, and r_j - 1 is written out below for
  every kind of class without a difference of nearly equal numbers. In float32, with K from 2 to 50,257 and
  predictions from uniform to certain, classes of probability 0 among them, errors of up to 4e-6 of the value were seen
  at all steps of 1000 (or 1e-9 nats), and of the gradient by the logits up to 1e-5 of its largest number, or 1e-7 of
  the value. It is inf where the prediction makes x impossible at s = 0.
  """
  (s_keep, s_lost), (t_keep, t_lost), (keep, lost) = (align(level, x.ndim) for level in span[:3])
  same, k = x == x_t, _sizes(num_classes, columns)
  log_x, log_u = categorical.take(log_x0, x), categorical.take(log_x0, x_t)
  log_mx, log_mu = (log_mixed(each, s_keep, s_lost / k) for each in (log_x, log_u))
  z, log_zp = t_lost / k + jnp.where(same, t_keep, 0.0), log_mixed(log_u, t_keep, t_lost / k)
  log_ratio = jnp.log(z) - log_zp
  ratio = jnp.exp(jnp.minimum(log_ratio, LOG_HUGE))  # Z_q / Z_p
  spread = jnp.exp(jnp.log(lost / k) - log_zp)  # c_j / Z_p of the classes j other than x_t
  true_m = jnp.where(s_lost > 0, s_lost, 1.0) / k  # m_j of x; where it is 0, so is q_j
  scale = jnp.minimum(ratio / true_m, HUGE)

  m_x, c_x = s_keep + s_lost / k, lost / k + jnp.where(same, keep, 0.0)
  missing = -jnp.expm1(log_x) * s_keep / m_x
  d_x = -jnp.where(same, missing * spread, missing * ratio + jnp.exp(jnp.log(t_keep) + log_u - log_zp))
  p_x = c_x * jnp.exp(log_mx - log_zp)
  of_x = cost_of(c_x * m_x / z, p_x, d_x, log_mx - jnp.log(m_x) + log_ratio)

  c_u, d_u = keep + lost / k, scale * s_keep * jnp.exp(log_u) * (lost / t_lost)
  of_x_t = cost_of(c_u * s_lost / k / z, c_u * jnp.exp(log_mu - log_zp), d_u, log_mu - jnp.log(true_m) + log_ratio)

  more = jnp.exp(jnp.minimum(jnp.log(t_keep) - log_zp, LOG_HUGE)) * -jnp.expm1(log_u)
  numbers = _Others(
    keep=s_keep,
    rest=s_lost / k,
    spread=spread,
    true=lost / k * s_lost / k / z,
    scale=scale,
    start=jnp.where(same, 0.0, jnp.exp(log_u)),
    shift=jnp.where(same, more, d_u),
  )
  return of_x + jnp.where(same, 0.0, of_x_t) + _cost_of_others(log_x0, x, x_t, numbers, _counted(columns, x))


class _Others(NamedTuple):
  """Numbers of each position that say, for the classes other than x and x_t, what is predicted of them and is true."""

  keep: Array
  rest: Array  # p = spread (keep prediction + rest)
  spread: Array
  true: Array  # q
  # what follows from these, without the rounding that it would take to compute it from them
  scale: Array  # p / q = scale (keep prediction + rest)
  start: Array  # p / q - 1 = scale keep (prediction - start) + shift
  shift: Array


def _counted(columns: Columns | None, x: Int[Array, "batch *event"]) -> Int[Array, "batch *event"] | None:
  """Returns how many categories each position has, where they differ."""
  return None if columns is None else jnp.broadcast_to(jnp.asarray(columns)[None], x.shape)


@jax.custom_jvp
def _cost_of_others(
  log_x0: Float[Array, "batch *event classes"],
  x: Int[Array, "batch *event"],
  x_t: Int[Array, "batch *event"],
  numbers: _Others,
  sizes: Int[Array, "batch *event"] | None,
) -> Float[Array, "batch *event"]:
  """Returns the sum of `cost_of` over all classes but two, of those that a position has.

  Its derivative is written out, (1 - q / p) dp - ln(p / q) dq, so that a gradient keeps one array over classes.
  """
  cost, _, _, _ = _others(log_x0, x, x_t, numbers, sizes)
  return cost.sum(-1)


@_cost_of_others.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
  (_, x, _, numbers, _), (d_log_x0, _, _, moved, _) = primals, tangents
  cost, weight, predicted, log_r = _others(*primals)
  spread, keep = (jnp.broadcast_to(number, x.shape) for number in (numbers.spread, numbers.keep))
  weighted = weight * predicted
  slope = ((spread * keep)[..., None] * weighted * d_log_x0).sum(-1)
  total, of_prediction = weight.sum(-1), weighted.sum(-1)
  slope += moved.spread * (keep * of_prediction + numbers.rest * total)
  slope += spread * (moved.keep * of_prediction + moved.rest * total) - moved.true * log_r.sum(-1)
  return cost.sum(-1), slope


def _others(
  log_x0: Array, x: Array, x_t: Array, numbers: _Others, sizes: Array | None
) -> tuple[Array, Array, Array, Array]:
  """Returns the costs of the classes, their derivatives by p, predictions, and ln(p / q): arrays over classes."""
  k = log_x0.shape[-1]
  counted = ~(categorical.indicator(x, k) | categorical.indicator(x_t, k))
  if sizes is not None:
    counted &= jnp.arange(k).reshape((1,) * x.ndim + (-1,)) < sizes[..., None]
  keep, rest, spread, true, scale, start, shift = (jnp.broadcast_to(n, x.shape)[..., None] for n in numbers)
  predicted = jnp.exp(log_x0)
  mixed = keep * predicted + rest
  p, r, d = spread * mixed, scale * mixed, scale * keep * (predicted - start) + shift
  log_r = jnp.log(jnp.where(r > 0, r, 1.0))  # it is 0 only where q is
  near = is_near(true, d)
  weight = jnp.where(near, d / jnp.where(near, 1.0 + d, 1.0), 1.0 - true / jnp.where(p > 0, p, 1.0))
  cost = cost_of(true, p, d, log_r)
  cost, weight, log_r = (jnp.where(counted, each, 0.0) for each in (cost, weight, log_r))
  return cost, weight, predicted, log_r


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  num_classes: int,
  columns: Columns | None = None,
) -> Float[Array, "batch *event"]:
  """Returns the rate at which the continuous-time bound loses nats, per position and unit of time.

  With q = q(x_t | x), p the same with the prediction in place of x, u = x_t and beta = slope / alpha_bar, the limit of
  T KL for T -> infinity is (beta / K) sum_(j != u) [r_j' - r_j + r_j ln(r_j / r_j')], r = q / q_u, r' = p / p_u.
  Collecting terms it equals (beta / (K q_u)) (y - 1 - ln y + KL(q || p)) with y = q_u / p_u, both parts non-negative.

  Numerics: both parts are sums of terms r - 1 - ln r as in `kl`, with the same accuracy at all t from 1e-7 to 0.9999.
  """
  keep, lost = align(level, x.ndim)
  k, same = _sizes(num_classes, columns), x == x_t
  log_x, log_u = categorical.take(log_x0, x), categorical.take(log_x0, x_t)
  q_u, log_pu = lost / k + jnp.where(same, keep, 0.0), log_mixed(log_u, keep, lost / k)
  log_keep, one = jnp.log(keep), jnp.ones(x.shape)
  excess = jnp.where(same, jnp.exp(log_keep - log_pu) * -jnp.expm1(log_u), -jnp.exp(log_keep + log_u - log_pu))
  of_x_t = cost_of(one, 1.0 + excess, excess, jnp.log(q_u) - log_pu)

  q_x, log_px = keep + lost / k, log_mixed(log_x, keep, lost / k)
  of_x = cost_of(q_x, jnp.exp(log_px), jnp.expm1(log_x) * keep / q_x, log_px - jnp.log(q_x))
  nothing = jnp.zeros(x.shape)
  numbers = _Others(keep, lost / k, spread=one, true=lost / k, scale=k / lost, start=nothing, shift=nothing)
  beta = align(Level(slope, slope), x.ndim).keep / keep
  return beta / (k * q_u) * (of_x_t + of_x + _cost_of_others(log_x0, x, x, numbers, _counted(columns, x)))


def prior_sample(
  keys: Key[Array, "batch"], event_shape: tuple[int, ...], *, num_classes: int, columns: Columns | None = None
) -> Int[Array, "batch *event"]:
  """Draws x_T uniformly."""
  most = num_classes if columns is None else jnp.asarray(columns)
  return jax.vmap(lambda key: jax.random.randint(key, event_shape, 0, most))(keys)


def prior_log_prob(
  x_t: Int[Array, "batch *event"], *, num_classes: int, columns: Columns | None = None
) -> Float[Array, "batch *event"]:
  """Returns -log K at every position; -inf for a category that it lacks."""
  if columns is None:
    return jnp.full(x_t.shape, -np.log(num_classes), jnp.float32)
  return jnp.where(x_t < jnp.asarray(columns)[None], -jnp.log(_sizes(num_classes, columns)), -jnp.inf)


def prior_kl(
  x: Int[Array, "batch *event"], level: Level, *, num_classes: int, columns: Columns | None = None
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_T | x) || uniform) in nats per position, about alpha_bar^2 (K - 1) / 2 when that is small.

  Numerics: a sum of terms r - 1 - ln r as in `kl`, so that a tiny value keeps its digits.
  """
  keep, lost = align(level, x.ndim)
  k = _sizes(num_classes, columns)
  more, uniform, safe = (k - 1) * keep, jnp.ones_like(keep) / k, jnp.where(lost > 0, lost, 1.0)
  of_x = cost_of((1 + more) / k, uniform, -more / (1 + more), -jnp.log1p(more))
  of_other = cost_of(lost / k, uniform, keep / safe, -jnp.log(safe))
  return jnp.broadcast_to(of_x + (k - 1) * of_other, x.shape)
