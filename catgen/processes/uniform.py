"""Multinomial diffusion: categories are resampled uniformly (arXiv:2102.05379, section 4).

One step is q(x_t | x_s) = C(x_t | a x_s + (1 - a) / K) (Eq. 11), a = alpha_bar_t / alpha_bar_s, and t steps compose to
q(x_t | x) = C(x_t | alpha_bar_t x + (1 - alpha_bar_t) / K) (Eq. 12). By Bayes, since given x_s the state x_t does not
depend on x,

  q(x_s = j | x_t, x) is proportional to
    [a 1{j = x_t} + (1 - a) / K] [alpha_bar_s 1{j = x} + (1 - alpha_bar_s) / K]            (Eq. 13)

and the normalizer is q(x_t | x). The first factor is q(x_t | x_s = j): it is read as a vector over j, which looks like
"conditioning on x_t" only because the kernel is symmetric. p(x_s | x_t) puts the predicted probabilities in place of
1{j = x} (Eq. 14, 15).
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from catgen.distributions import categorical
from catgen.processes.levels import Level, Span, align
from catgen.processes.process import Process


def process(num_classes: int, /) -> Process:
  """Returns the uniform process over K >= 2 categories. Reference: arXiv:2102.05379, section 4."""
  bind = partial(partial, num_classes=num_classes)
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
  )


def _add_at(values: Float[Array, "*batch classes"], index: Int[Array, "*batch"], amount: Array) -> Array:
  """Returns values plus `amount` at class `index`."""
  return values + jnp.where(categorical.indicator(index, values.shape[-1]), amount, 0.0)


def marginal(x: Int[Array, "batch *event"], level: Level, *, num_classes: int) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_t | x), Eq. 12; with the level of a single move, Eq. 11."""
  keep, lost = align(level, x.ndim + 1)
  resampled = jnp.broadcast_to(lost / num_classes, (*x.shape, num_classes))
  return jnp.log(_add_at(resampled, x, keep))


def corrupt(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], level: Level, *, num_classes: int
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x): with probability 1 - alpha_bar a position is resampled, possibly to itself."""
  both = jax.vmap(jax.random.split)(keys)
  resample = categorical.bernoulli_each(both[:, 0], jnp.broadcast_to(level.lost, x.shape[:1]), x.shape[1:])
  fresh = jax.vmap(lambda key: jax.random.randint(key, x.shape[1:], 0, num_classes, x.dtype))(both[:, 1])
  return jnp.where(resample, fresh, x)


def posterior(
  x_t: Int[Array, "batch *event"], x: Int[Array, "batch *event"], span: Span, *, num_classes: int
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_s | x_t, x), normalized (Eq. 13); -inf where it is zero, as at s = 0 everywhere but at x."""
  return jax.nn.log_softmax(
    marginal(x_t, span.step, num_classes=num_classes) + marginal(x, span.s, num_classes=num_classes)
  )


def predictive(
  x_t: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  num_classes: int,
) -> Float[Array, "batch *event classes"]:
  """Returns log p(x_s | x_t), the posterior with the prediction in place of x (Eq. 13-15), at every s, 0 included."""
  return jax.nn.log_softmax(marginal(x_t, span.step, num_classes=num_classes) + _mixed(log_x0, span.s))


def _mixed(log_x0: Float[Array, "batch *event classes"], level: Level) -> Float[Array, "batch *event classes"]:
  """Returns log(alpha_bar exp(log_x0) + (1 - alpha_bar) / K)."""
  keep, lost = align(level, log_x0.ndim)
  return jnp.logaddexp(jnp.log(lost / log_x0.shape[-1]), jnp.log(keep) + log_x0)


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  num_classes: int,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) in nats per position; at s = 0, -log p(x_0 = x | x_t).

  Both distributions are products c_j m_j / Z with the same c_j = q(x_t | x_s = j), so

    KL = log Z_p - log Z_q + sum_j q_j log m_j(x) - sum_j q_j log m_j(prediction),

  where q takes one value at all categories other than x and x_t: a single pass over K is needed.

  Numerics: terms of order log K cancel, so the error is about 1e-7 nats per position whatever the value.
  """
  (s_keep, s_lost), (t_keep, t_lost), (keep, lost) = (align(level, x.ndim) for level in span)
  same, k = x == x_t, num_classes
  log_m = _mixed(log_x0, span.s)
  normalizer = t_lost / k + jnp.where(same, t_keep, 0.0)
  q_other, q_x_t, q_x = lost * s_lost / k**2, keep * s_lost / k, (lost / k + jnp.where(same, keep, 0.0)) * s_keep
  predicted = (
    q_other * log_m.sum(-1) + q_x_t * categorical.take(log_m, x_t) + q_x * categorical.take(log_m, x)
  ) / normalizer
  not_x = (q_other * (k - 1) + jnp.where(same, 0.0, q_x_t)) / normalizer
  true = not_x * jnp.log(jnp.where(s_lost > 0, s_lost / k, 1.0)) + (1 - not_x) * jnp.log(s_keep + s_lost / k)
  predicted_normalizer = t_lost / k + t_keep * jnp.exp(categorical.take(log_x0, x_t))
  return jnp.log(predicted_normalizer) - jnp.log(normalizer) + true - predicted


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  num_classes: int,
) -> Float[Array, "batch *event"]:
  """Returns the rate at which the continuous-time bound loses nats, per position and unit of time.

  With q = q(x_t | x), p the same with the prediction in place of x, u = x_t and beta = slope / alpha_bar, the limit of
  T KL for T -> infinity is (beta / K) sum_(j != u) [r_j' - r_j + r_j ln(r_j / r_j')], r = q / q_u, r' = p / p_u.
  Collecting terms it equals (beta / (K q_u)) (y - 1 - ln y + KL(q || p)) with y = q_u / p_u, both parts non-negative.

  Numerics: y - 1 is taken from alpha_bar (1{x = u} - prediction_u) / p_u, without cancellation. KL(q || p) has an
  error of about 1e-7, which beta enlarges near t = 1, where the caller stops short.
  """
  keep, lost = align(level, x.ndim)
  k, same = num_classes, x == x_t
  log_p = _mixed(log_x0, level)
  q_u, p_u = lost / k + jnp.where(same, keep, 0.0), jnp.exp(categorical.take(log_p, x_t))
  excess = keep * (jnp.where(same, 1.0, 0.0) - jnp.exp(categorical.take(log_x0, x_t))) / p_u
  q_x = keep + lost / k
  entropy = -(lost / k * (k - 1) * jnp.log(lost / k) + q_x * jnp.log(q_x))
  divergence = -entropy - lost / k * log_p.sum(-1) - keep * categorical.take(log_p, x)
  beta = align(Level(slope, slope), x.ndim).keep / keep
  return beta / (k * q_u) * (excess - jnp.log1p(excess) + divergence)


def prior_sample(
  keys: Key[Array, "batch"], event_shape: tuple[int, ...], *, num_classes: int
) -> Int[Array, "batch *event"]:
  """Draws x_T uniformly."""
  return jax.vmap(lambda key: jax.random.randint(key, event_shape, 0, num_classes))(keys)


def prior_log_prob(x_t: Int[Array, "batch *event"], *, num_classes: int) -> Float[Array, "batch *event"]:
  """Returns -log K at every position."""
  return jnp.full(x_t.shape, -math.log(num_classes))


def prior_kl(x: Int[Array, "batch *event"], level: Level, *, num_classes: int) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_T | x) || uniform) in nats per position, about alpha_bar^2 (K - 1) / 2 when that is small.

  Numerics: written as sum_j q_j log(K q_j) with log1p, so that the tiny value is not lost to rounding.
  """
  keep, lost = align(level, x.ndim)
  k = num_classes
  at_x, elsewhere = (1 + (k - 1) * keep) / k, lost / k
  lost_log = jnp.where(lost > 0, jnp.log1p(-jnp.where(lost > 0, keep, 0.0)), 0.0)
  return jnp.broadcast_to(at_x * jnp.log1p((k - 1) * keep) + (k - 1) * elsewhere * lost_log, x.shape)
