"""Denoising by diffusion models: what each position was, given a sequence of which a known share is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen.distributions import categorical
from catgen.interfaces import Denoised, EventSpec, PyTree
from catgen.models.diffusion.spec import Spec, predict, step_time
from catgen.processes.schedules import levels

_MASKED_PASSES = 8  # groups of positions that are masked in turn when a masked model denoises


def denoise(
  spec: Spec,
  params: PyTree,
  x: Int[Array, "batch *event"],
  valid: Bool[Array, "batch *event"],
  noise_level: Float[Array, ""] | float,
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> Denoised:
  """See `Model.denoise`. `noise_level` e is the probability that a category of x is wrong, 0 <= e < (K - 1) / K.

  The prediction answers from the other positions only (see the module `diffusion`), so the posterior multiplies it by
  the likelihood of what is written, 1 - e for the category itself and e / (K - 1) for each other one, of a column with
  its own K. e selects the
  step whose alpha_bar is nearest to `Process.keep_at`, for the uniform process 1 - e K / (K - 1); e = 0 means the first
  step. A masked model has learned nothing at visible positions: groups of positions are masked in turn, at the noise
  level that masks as many.
  """
  spec = spec._replace(given=given)
  if spec.process.exact_clamping:
    prediction = _predict_masked(spec, params, x, valid)
  else:
    prediction = predict(spec, params, x, _nearest_time(spec, spec.process.keep_at(noise_level), x.shape[0]), valid)
  return Denoised(_with_own_category(spec.event, prediction, x, noise_level), prediction)


def _with_own_category(event: EventSpec, prediction: Array, x: Array, noise_level: Array | float) -> Array:
  k, error = prediction.shape[-1], jnp.asarray(noise_level, jnp.float32)
  others = k - 1 if event.sizes is None else np.maximum(np.array(event.sizes).reshape(1, *event.shape, 1) - 1, 1)
  same = categorical.indicator(x, k)
  return jax.nn.log_softmax(prediction + jnp.where(same, jnp.log1p(-error), jnp.log(error / others)))


def _nearest_time(spec: Spec, keep: Array | float, batch_size: int) -> Float[Array, "batch"]:
  keep = jnp.asarray(keep, jnp.float32)
  if spec.num_steps == 0:
    grid = jnp.linspace(0.0, 1.0, 4097)
    time = grid[jnp.argmin(jnp.abs(spec.schedule.keep(grid, jnp) - keep))]
  else:
    kept = jnp.asarray(levels(spec.table).keep[1:])
    time = step_time(jnp.argmin(jnp.abs(kept - keep)) + 1, spec.num_steps)
  return jnp.broadcast_to(time, (batch_size,))


def _predict_masked(spec: Spec, params: PyTree, x: Array, valid: Array) -> Float[Array, "batch *event classes"]:
  """Returns predictions of every position while it and every eighth other one are masked."""
  passes = min(_MASKED_PASSES, x[0].size)
  group = (jnp.arange(x[0].size) % passes).reshape(x.shape[1:])
  time = _nearest_time(spec, 1 - 1 / passes, x.shape[0])

  def one_pass(number: Array) -> Array:
    masked = jnp.broadcast_to(group == number, x.shape)
    return predict(spec, params, jnp.where(masked, spec.process.num_classes, x), time, valid)

  def accumulate(result: Array, number: Array) -> tuple[Array, None]:
    mine = jnp.broadcast_to((group == number)[..., None], result.shape[1:])
    return jnp.where(mine[None], one_pass(number), result), None

  start = jnp.zeros((*x.shape, spec.process.num_classes))
  return jax.lax.scan(accumulate, start, jnp.arange(passes))[0]
