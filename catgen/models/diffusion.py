"""Categorical diffusion models: multinomial (uniform) and masked (absorbing), in discrete or continuous time.

The network predicts the clean categories, and the reverse step is the process's posterior with that prediction in
place of the data (arXiv:2102.05379, Eq. 13-15). Three facts that surprise:

- The last step, from x_1 to x_0, is the posterior form too, as in the code behind the published numbers:
  p(x_0 | x_1) is proportional to prediction * [alpha_1 x_1 + (1 - alpha_1) / K]. The literal Eq. 14/16,
  p(x_0 | x_1) = prediction, is selected by `last_step="literal"`; with the same network it gives about twice the
  bound, as the next point explains.
- In the posterior form, the position's own noisy value enters through the process at every step, so the best
  prediction is that of a position from the *other* ones, p(x^d | x_t^(-d)). It must not repeat what x_t^d says.
- A network whose logits are zero gives a bound of exactly log K in expectation (posterior form).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from catgen.interfaces import Batch, Bound, EventSpec, InputError, Model, PyTree
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.models.diffusion_parts import Parts, add_terms, make_parts, masked_sum, predict
from catgen.models.diffusion_sampling import make_infill, sample
from catgen.models.diffusion_uses import denoise, full_bound, log_weight, order_log_weight
from catgen.networks.roles import Denoiser
from catgen.processes import PROCESSES, time_sampling
from catgen.processes.schedules import SCHEDULES, continuous_level

# Continuous time ends here, where the prior's KL is taken: the bound is exact, and alpha_bar > 0 can be divided by.
_LAST_TIME, _FIRST_TIME = 1 - 1e-4, 1e-7


def diffusion(
  event: EventSpec,
  *,
  network: Recipe,
  process: str = "uniform",
  schedule: str = "cosine",
  schedule_power: float = 2.0,
  num_steps: int = 1000,
  last_step: str = "posterior",
  time_sampler: str = "stratified",
) -> Model:
  """Returns a categorical diffusion model.

  Args:
    event: shape and number of classes K of one example.
    network: a trunk, of which a `Denoiser` is made.
    process: "uniform" or "absorbing".
    schedule: "cosine", "paper_cosine", "linear" or "polynomial" (alpha_bar = 1 - t^schedule_power).
    num_steps: T >= 1, or 0 for continuous time.
    last_step: "posterior", or "literal" (uniform process in discrete time only).
    time_sampler: how a training example gets its step: "uniform", "stratified" over the batch, or "importance"
      (loss-aware, discrete time only; its history is the model's state).

  Raises:
    InputError: for unknown names and for combinations that have no valid bound, such as the absorbing process with a
      schedule that keeps something at the end.

  Reference: arXiv:2102.05379, section 4; Austin et al., arXiv:2107.03006; Shi et al., arXiv:2406.04329.
  """
  _check(process, schedule, num_steps, last_step, time_sampler)
  chosen = SCHEDULES[schedule](schedule_power) if schedule == "polynomial" else SCHEDULES[schedule]()
  kernel = PROCESSES[process](event.num_classes)
  if kernel.needs_zero_end and not chosen.ends_at_zero:
    raise InputError(
      f"the absorbing process needs a schedule that ends at exactly zero, and {schedule!r} keeps alpha_bar_T > 0"
      " (the bound would be infinite); use schedule 'cosine', 'linear' or 'polynomial'"
    )
  module = functional(
    lambda rngs: Denoiser(network, event.shape, kernel.num_states, event.num_classes, event.given, rngs=rngs)
  )
  parts = make_parts(event, kernel, chosen, num_steps, last_step == "literal", module.apply)
  discrete = num_steps > 0
  bound = _discrete_bound if discrete else _continuous_bound
  weight = log_weight if discrete else order_log_weight if process == "absorbing" else None
  return Model(
    event=event,
    init=partial(_init, module.init, num_steps if time_sampler == "importance" else None),
    bound=partial(bound, parts, time_sampler),
    sample=partial(sample, parts),
    update_state=_update_state if time_sampler == "importance" else None,
    log_weight=partial(weight, parts) if weight else None,
    full_bound=partial(full_bound, parts) if discrete else None,
    denoise=partial(denoise, parts),
    infill=make_infill(parts),
  )


def _check(process: str, schedule: str, num_steps: int, last_step: str, time_sampler: str) -> None:
  choices = {
    "process": (process, tuple(PROCESSES)),
    "schedule": (schedule, tuple(SCHEDULES)),
    "last_step": (last_step, ("posterior", "literal")),
    "time_sampler": (time_sampler, ("uniform", "stratified", "importance")),
  }
  for name, (value, known) in choices.items():
    if value not in known:
      raise InputError(f"diffusion: {name} is {value!r}; choose one of {', '.join(known)}")
  if num_steps < 0:
    raise InputError(f"diffusion: num_steps is {num_steps}; use at least 1, or 0 for continuous time")
  if num_steps == 0 and time_sampler == "importance":
    raise InputError("diffusion: importance sampling of time steps needs discrete time; set num_steps or time_sampler")
  if num_steps == 0 and schedule == "paper_cosine":
    raise InputError("diffusion: schedule 'paper_cosine' exists for discrete time only; use 'cosine'")
  if last_step == "literal" and (num_steps == 0 or process != "uniform"):
    raise InputError("diffusion: last_step 'literal' is for the uniform process in discrete time; use 'posterior'")


def _init(init_network: Callable, history_steps: int | None, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_network(key), time_sampling.init(history_steps)._asdict() if history_steps else {}


def _update_state(state: PyTree, statistics: PyTree, valid: Bool[Array, "batch"]) -> PyTree:
  """See `Model.update_state`."""
  t, losses = statistics
  return time_sampling.update(time_sampling.History(**state), t, losses, valid)._asdict()


def _uniforms(keys: Key[Array, "batch"], strata: Array | None, time_sampler: str) -> Float[Array, "batch"]:
  independent = jax.vmap(jax.random.uniform)(keys)
  return independent if strata is None or time_sampler == "uniform" else strata


def _discrete_bound(
  parts: Parts,
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
  key_time, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  uniforms, num_steps = _uniforms(key_time, strata, time_sampler), parts.num_steps
  if time_sampler == "importance":
    p = time_sampling.probabilities(time_sampling.History(**state))
    t = time_sampling.draw(uniforms, p)
    weight = 1.0 / p[t - 1]
  else:
    t = time_sampling.draw_uniform(uniforms, num_steps)
    weight = jnp.full(t.shape, float(num_steps))
  losses = masked_sum(parts.step_nats(params, batch, t, key_noise, key_network if train else None), batch.valid)
  terms = {
    "reconstruction": jnp.where(t == 1, -losses * weight, 0.0),
    "diffusion": jnp.where(t == 1, 0.0, -losses * weight),
    "prior": -masked_sum(parts.process.prior_kl(batch.x, parts.last_level), batch.valid),
  }
  return Bound(add_terms(terms), terms, (t, jax.lax.stop_gradient(losses)))


def _continuous_bound(
  parts: Parts,
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
  key_time, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  last = 1.0 if parts.process.needs_zero_end else _LAST_TIME
  t = jnp.maximum(_uniforms(key_time, strata, time_sampler) * last, _FIRST_TIME)
  level, slope = continuous_level(parts.schedule, t)
  x_t = parts.process.corrupt(key_noise, batch.x, level)
  log_x0 = predict(parts, params, x_t, t, batch.valid, key_network if train else None)
  rates = parts.process.kl_rate(x_t, batch.x, log_x0, level, slope)
  last_level, _ = continuous_level(parts.schedule, jnp.full(t.shape, last))
  terms = {
    "diffusion": -masked_sum(rates, batch.valid) * last,
    "prior": -masked_sum(parts.process.prior_kl(batch.x, last_level), batch.valid),
  }
  return Bound(add_terms(terms), terms)
