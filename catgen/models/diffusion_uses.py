"""What else a trained diffusion model answers: its full bound, importance weights, and denoising."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, Denoised, Profile, PyTree
from catgen.keys import fold_in
from catgen.models.diffusion_parts import Parts, add_terms, predict, step_time
from catgen.processes.schedules import levels

_MASKED_PASSES = 8  # groups of positions that are masked in turn when a masked model denoises


def full_bound(
  parts: Parts, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> tuple[Bound, Profile]:
  """See `Model.full_bound`. T network calls; each step has its own x_t."""

  def step(by_position: Array, t: Array) -> tuple[Array, Array]:
    steps = jnp.broadcast_to(t, keys.shape)
    nats = jnp.where(batch.valid, parts.step_nats(params, batch, steps, fold_in(keys, t)), 0.0)
    return by_position + nats, sum_valid(nats, batch.valid)

  steps = jnp.arange(1, parts.num_steps + 1)
  by_position, by_time = jax.lax.scan(step, jnp.zeros(batch.x.shape), steps)
  prior = jnp.where(batch.valid, parts.process.prior_kl(batch.x, parts.last_level), 0.0)
  terms = {
    "reconstruction": -by_time[0],
    "diffusion": -by_time[1:].sum(0),
    "prior": -sum_valid(prior, batch.valid),
  }
  return Bound(add_terms(terms), terms), Profile(by_time.T, by_position + prior)


def log_weight(
  parts: Parts, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. log p(x, x_1..x_T) / q(x_1..x_T | x) on one trajectory drawn from q; T network calls.

  The trajectory is drawn backwards, x_T ~ q(x_T | x) and x_(t-1) ~ q(x_(t-1) | x_t, x), which is the same joint law.
  """
  process = parts.process
  x_last = process.corrupt(fold_in(keys, 0), batch.x, parts.last_level)
  log_q = categorical.take(process.marginal(batch.x, parts.last_level), x_last)
  total = sum_valid(process.prior_log_prob(x_last) - log_q, batch.valid)

  def move(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], None]:
    x_t, total = carry
    steps = jnp.broadcast_to(t, keys.shape)
    span = parts.span(t)
    log_x0 = predict(parts, params, x_t, step_time(steps, parts.num_steps), batch.valid)
    log_p, log_q = process.predictive(x_t, log_x0, span), process.posterior(x_t, batch.x, span)
    if parts.literal_last_step:
      log_p = jnp.where(t == 1, log_x0, log_p)
    x_s = categorical.sample_each(fold_in(keys, t), log_q).astype(x_t.dtype)
    ratio = categorical.take(log_p, x_s) - categorical.take(log_q, x_s)
    return (x_s, total + sum_valid(ratio, batch.valid)), None

  (_, total), _ = jax.lax.scan(move, (x_last, total), jnp.arange(parts.num_steps, 0, -1))
  return total


def order_log_weight(
  parts: Parts, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`, for continuous-time masked models: one random order (and times) of unmasking.

  In continuous time positions are revealed one at a time, at independent times with P(time <= t) = 1 - alpha_bar(t)
  that do not depend on the data. Given all times, p(x | times) is the product over positions of the prediction just
  before each is revealed, and its mean over times is p(x). One network call per position.
  """
  flat_valid = batch.valid.reshape(batch.valid.shape[0], -1)
  num_positions = flat_valid.shape[1]
  uniforms = jax.vmap(lambda key: jax.random.uniform(key, (num_positions,)))(keys)
  times = _inverse_lost(parts, uniforms)
  order = jnp.argsort(jnp.where(flat_valid, -times, 1.0), axis=-1)  # latest first, padding last

  def reveal(carry: tuple[Array, Array], rank: Array) -> tuple[tuple[Array, Array], None]:
    x_t, total = carry
    position = order[:, rank]
    time = jnp.take_along_axis(times, position[:, None], axis=1)[:, 0]
    log_x0 = predict(parts, params, x_t, time, batch.valid)
    here = categorical.indicator(position, num_positions).reshape(batch.x.shape)
    total = total + sum_valid(categorical.take(log_x0, batch.x), here & batch.valid)
    return (jnp.where(here, batch.x, x_t), total), None

  masked = jnp.full_like(batch.x, parts.process.num_classes)
  start = (masked, jnp.zeros(batch.x.shape[0]))
  (_, total), _ = jax.lax.scan(reveal, start, jnp.arange(num_positions))
  return total


def _inverse_lost(parts: Parts, uniforms: Float[Array, "batch length"]) -> Float[Array, "batch length"]:
  """Returns the times t with 1 - alpha_bar(t) = u, by 40 bisections (the schedules increase strictly)."""

  def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
    low, high = bracket
    middle = (low + high) / 2
    below = parts.schedule.lost(middle, jnp) < uniforms
    return jnp.where(below, middle, low), jnp.where(below, high, middle)

  low, high = jax.lax.fori_loop(0, 40, halve, (jnp.zeros_like(uniforms), jnp.ones_like(uniforms)))
  return (low + high) / 2


def denoise(
  parts: Parts,
  params: PyTree,
  x: Int[Array, "batch *event"],
  valid: Bool[Array, "batch *event"],
  noise_level: Float[Array, ""] | float,
  *,
  state: PyTree,
) -> Denoised:
  """See `Model.denoise`. `noise_level` e is the probability that a category of x is wrong, 0 <= e < (K - 1) / K.

  The prediction answers from the other positions only (see the module `diffusion`), so the posterior multiplies it by
  the likelihood of what is written, 1 - e for the category itself and e / (K - 1) for each other one. For the uniform
  process e selects the step whose alpha_bar is nearest to 1 - e K / (K - 1); e = 0 means the first step. A masked
  model has learned nothing at visible positions: groups of positions are masked in turn, at the noise level that
  masks as many.
  """
  if parts.process.exact_clamping:
    prediction = _predict_masked(parts, params, x, valid)
  else:
    k = parts.process.num_classes
    prediction = predict(parts, params, x, _nearest_time(parts, 1 - noise_level * k / (k - 1), x.shape[0]), valid)
  return Denoised(_with_own_category(prediction, x, noise_level), prediction)


def _with_own_category(prediction: Array, x: Array, noise_level: Array | float) -> Array:
  k = prediction.shape[-1]
  error = jnp.asarray(noise_level, jnp.float32)
  same = categorical.indicator(x, k)
  return jax.nn.log_softmax(prediction + jnp.where(same, jnp.log1p(-error), jnp.log(error / (k - 1))))


def _nearest_time(parts: Parts, keep: Array | float, batch_size: int) -> Float[Array, "batch"]:
  keep = jnp.asarray(keep, jnp.float32)
  if parts.num_steps == 0:
    grid = jnp.linspace(0.0, 1.0, 4097)
    time = grid[jnp.argmin(jnp.abs(parts.schedule.keep(grid, jnp) - keep))]
  else:
    kept = jnp.asarray(levels(parts.table).keep[1:])
    time = step_time(jnp.argmin(jnp.abs(kept - keep)) + 1, parts.num_steps)
  return jnp.broadcast_to(time, (batch_size,))


def _predict_masked(parts: Parts, params: PyTree, x: Array, valid: Array) -> Float[Array, "batch *event classes"]:
  """Returns predictions of every position while it and every eighth other one are masked."""
  passes = min(_MASKED_PASSES, x[0].size)
  group = (jnp.arange(x[0].size) % passes).reshape(x.shape[1:])
  time = _nearest_time(parts, 1 - 1 / passes, x.shape[0])

  def one_pass(number: Array) -> Array:
    masked = jnp.broadcast_to(group == number, x.shape)
    return predict(parts, params, jnp.where(masked, parts.process.num_classes, x), time, valid)

  def accumulate(result: Array, number: Array) -> tuple[Array, None]:
    mine = jnp.broadcast_to((group == number)[..., None], result.shape[1:])
    return jnp.where(mine[None], one_pass(number), result), None

  start = jnp.zeros((*x.shape, parts.process.num_classes))
  return jax.lax.scan(accumulate, start, jnp.arange(passes))[0]
