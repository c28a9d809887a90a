"""Bounds of diffusion models on log p(x): one random time per example, or every step of discrete time once."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, Profile, PyTree, SampleOptions
from catgen.keys import fold_in
from catgen.models.diffusion.moves_bound import moves_bound
from catgen.models.diffusion.spec import FIRST_TIME, Spec, add_terms, costs, for_batch, walked
from catgen.processes import time_sampling
from catgen.processes.schedules import continuous_level

# Continuous time ends here, where the prior's KL is taken: the bound is exact, and alpha_bar > 0 can be divided by.
_LAST_TIME = 1 - 1e-4


def discrete_bound(
  spec: Spec,
  time_sampler: str,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. One time step per example, its loss divided by the step's probability."""
  spec = for_batch(spec, batch)
  key_time, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  uniforms, num_steps = _uniforms(key_time, strata, time_sampler), spec.num_steps
  if time_sampler == "importance":
    p = time_sampling.probabilities(time_sampling.History(**state))
    t = time_sampling.draw(uniforms, p)
    weight = 1.0 / p[t - 1]
  else:
    t = time_sampling.draw_uniform(uniforms, num_steps)
    weight = jnp.full(t.shape, float(num_steps))
  losses = sum_valid(spec.step_nats(params, batch, t, key_noise, key_network if train else None), batch.valid)
  terms = {
    "reconstruction": jnp.where(t == 1, -losses * weight, 0.0),
    "diffusion": jnp.where(t == 1, 0.0, -losses * weight),
    "prior": -sum_valid(spec.process.prior_kl(batch.x, spec.last_level), batch.valid),
  }
  return Bound(add_terms(terms), terms, (t, jax.lax.stop_gradient(losses)))


def continuous_bound(
  spec: Spec,
  time_sampler: str,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. One time in (0, 1) per example; the integral's integrand there."""
  spec = for_batch(spec, batch)
  key_time, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  last = 1.0 if spec.process.needs_zero_end else _LAST_TIME
  t = jnp.maximum(_uniforms(key_time, strata, time_sampler) * last, FIRST_TIME)
  level, slope = continuous_level(spec.schedule, t)
  x_t = spec.process.corrupt(key_noise, batch.x, level)

  def rate(log_x0: Array, x_t: Array, x: Array) -> Array:
    return spec.process.kl_rate(x_t, x, log_x0, level, slope)

  rates = costs(spec, params, batch, x_t, t, rate, key_network if train else None)
  last_level, _ = continuous_level(spec.schedule, jnp.full(t.shape, last))
  terms = {
    "diffusion": -sum_valid(rates, batch.valid) * last,
    "prior": -sum_valid(spec.process.prior_kl(batch.x, last_level), batch.valid),
  }
  return Bound(add_terms(terms), terms)


def full_bound(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  options: SampleOptions = SampleOptions(),  # noqa: B008
) -> tuple[Bound, Profile]:
  """See `Model.full_bound`. T network calls, or one a move; each has its own x_t."""
  if options != SampleOptions():
    return moves_bound(spec, params, batch, keys, options=options)
  spec = for_batch(spec, batch)

  def step(t: Array) -> Array:
    return spec.step_nats(params, batch, jnp.broadcast_to(t, keys.shape), fold_in(keys, t))

  return walked(spec, batch, step, jnp.arange(1, spec.num_steps + 1))


def _uniforms(keys: Key[Array, "batch"], strata: Array | None, time_sampler: str) -> Float[Array, "batch"]:
  independent = jax.vmap(jax.random.uniform)(keys)
  return independent if strata is None or time_sampler == "uniform" else strata
