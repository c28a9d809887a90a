"""Importance weights of diffusion models: one draw w with E[exp(w)] = p(x)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, PyTree
from catgen.keys import fold_in
from catgen.models.diffusion.spec import Spec, for_batch, predict, step_time


def log_weight(
  spec: Spec, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. log p(x, x_1..x_T) / q(x_1..x_T | x) on one trajectory drawn from q; T network calls.

  The trajectory is drawn backwards, x_T ~ q(x_T | x) and x_(t-1) ~ q(x_(t-1) | x_t, x), which is the same joint law.
  """
  spec, process = for_batch(spec, batch), spec.process
  x_last = process.corrupt(fold_in(keys, 0), batch.x, spec.last_level)
  log_q = categorical.take(process.marginal(batch.x, spec.last_level), x_last)
  total = sum_valid(process.prior_log_prob(x_last) - log_q, batch.valid)

  def move(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
    x_t, total = carry
    steps = jnp.broadcast_to(t, keys.shape)
    span = spec.span(t)
    log_x0 = predict(spec, params, x_t, step_time(steps, spec.num_steps), batch.valid)
    log_p, log_q = process.predictive(x_t, log_x0, span), process.posterior(x_t, batch.x, span)
    if spec.literal_last_step:
      log_p = jnp.where(t == 1, log_x0, log_p)
    x_s = categorical.sample_each(fold_in(keys, t), log_q).astype(x_t.dtype)
    ratio = categorical.take(log_p, x_s) - categorical.take(log_q, x_s)
    return (x_s, total + sum_valid(ratio, batch.valid)), None

  (_, total), _ = jax.lax.scan(move, (x_last, total), jnp.arange(spec.num_steps, 0, -1))
  return total


def order_log_weight(
  spec: Spec, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`, for continuous-time masked models: one random order (and times) of unmasking.

  In continuous time positions are revealed one at a time, at independent times with P(time <= t) = 1 - alpha_bar(t)
  that do not depend on the data. Given all times, p(x | times) is the product over positions of the prediction just
  before each is revealed, and its mean over times is p(x). One network call per position.
  """
  spec = for_batch(spec, batch)
  flat_valid = batch.valid.reshape(batch.valid.shape[0], -1)
  num_positions = flat_valid.shape[1]
  uniforms = jax.vmap(lambda key: jax.random.uniform(key, (num_positions,)))(keys)
  times = inverse_lost(spec, uniforms)
  order = jnp.argsort(jnp.where(flat_valid, -times, 1.0), axis=-1)  # latest first, padding last

  def reveal(carry: tuple[Array, Array], rank: Array) -> tuple[tuple[Array, Array], None]:
    x_t, total = carry
    position = order[:, rank]
    time = jnp.take_along_axis(times, position[:, None], axis=1)[:, 0]
    log_x0 = predict(spec, params, x_t, time, batch.valid)
    here = categorical.indicator(position, num_positions).reshape(batch.x.shape)
    total = total + sum_valid(categorical.take(log_x0, batch.x), here & batch.valid)
    return (jnp.where(here, batch.x, x_t), total), None

  masked = jnp.full_like(batch.x, spec.process.num_classes)
  start = (masked, jnp.zeros(batch.x.shape[0]))
  (_, total), _ = jax.lax.scan(reveal, start, jnp.arange(num_positions))
  return total


def inverse_lost(spec: Spec, uniforms: Float[Array, "batch length"]) -> Float[Array, "batch length"]:
  """Returns the times t with 1 - alpha_bar(t) = u, by 40 bisections (the schedules increase strictly)."""

  def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
    low, high = bracket
    middle = (low + high) / 2
    below = spec.schedule.lost(middle, jnp) < uniforms
    return jnp.where(below, middle, low), jnp.where(below, high, middle)

  low, high = jax.lax.fori_loop(0, 40, halve, (jnp.zeros_like(uniforms), jnp.ones_like(uniforms)))
  return (low + high) / 2
