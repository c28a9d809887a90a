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

import jax.numpy as jnp
from jaxtyping import Array, Bool

from catgen.interfaces import Batch, EventSpec, InputError, Model, PyTree
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.models.diffusion.bound import continuous_bound, discrete_bound, full_bound
from catgen.models.diffusion.counted import counted_bound
from catgen.models.diffusion.denoising import denoise
from catgen.models.diffusion.reverse import make_reverse
from catgen.models.diffusion.sampling import make_chain, make_infill, sample
from catgen.models.diffusion.sequential import make_sequential
from catgen.models.diffusion.spec import FIRST_TIME, Spec, make_spec
from catgen.models.diffusion.unmasking import make_orders
from catgen.models.diffusion.weights import log_weight, order_log_weight
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Denoiser
from catgen.processes import PROCESSES, SCHEDULES, Process, Schedule, make_process, time_sampling
from catgen.processes.schedules import check_first

_UNIFORM, _COSINE = PROCESSES["uniform"](), SCHEDULES["cosine"]()


def diffusion(
  event: EventSpec,
  *,
  network: Recipe,
  process: Callable[..., Process] = _UNIFORM,
  schedule: Callable[[], Schedule] = _COSINE,
  num_steps: int = 1000,
  last_step: str = "posterior",
  time_sampler: str = "stratified",
) -> Model:
  """Returns a categorical diffusion model.

  Args:
    event: shape and number of classes K of one example.
    network: that predicts the clean categories, as a `Denoiser`.
    process: K -> how categories are corrupted: uniformly (multinomial diffusion), absorbing (masked diffusion), with
      the frequencies of the data (unigram) or a given prior, both masked and replaced (hybrid), or moved to neighbors
      (kernel, pairs, neighbors).
    schedule: how much of the data is kept at each time.
    num_steps: T >= 1, or 0 for continuous time.
    last_step: from x_1 to the data: "posterior", or "literal" (in discrete time, without masks).
    time_sampler: how a training example gets its step: "uniform", "stratified" over the batch, "importance"
      (loss-aware, discrete time only; its history is the model's state), or "fixed_count", by its number of masks
      (absorbing process in continuous time only): the same bound with less noise.

  Raises:
    InputError: for unknown names and for combinations that have no valid bound, such as the absorbing process with a
      schedule that keeps something at the end.

  Reference: arXiv:2102.05379, section 4; Austin et al., arXiv:2107.03006; Shi et al., arXiv:2406.04329.
  """
  kernel, kept = make_process(process, event), schedule()
  _check(kernel, kept, num_steps, last_step, time_sampler)
  check_first(kept, 1 / num_steps if num_steps else FIRST_TIME)
  module = functional(
    lambda rngs: Denoiser(
      network, event.shape, kernel.num_states, event.num_classes, event.given, sizes=event.sizes, rngs=rngs
    )
  )
  spec = make_spec(event, kernel, kept, num_steps, last_step == "literal", module.apply)
  return _made(spec, time_sampler, partial(_init, module.init, num_steps if time_sampler == "importance" else None))


def _made(spec: Spec, time_sampler: str, init: Callable) -> Model:
  """Returns the model with the process, schedule and network of a spec."""
  discrete, masked = spec.num_steps > 0, spec.process.exact_clamping
  bound = partial(discrete_bound if discrete else continuous_bound, spec, time_sampler)
  weight = log_weight if discrete else order_log_weight if masked else None

  def with_predictions(function: Callable[..., Array]) -> Model:
    def network(params: PyTree, x_t: Array, conditions: Conditions) -> Array:
      return function(x_t, jnp.asarray(conditions.time), conditions.given)

    return _made(spec._replace(network=network), time_sampler, init)

  return Model(
    event=spec.event,
    init=init,
    bound=partial(counted_bound, spec) if time_sampler == "fixed_count" else bound,
    sample=partial(sample, spec),
    update_state=_update_state if time_sampler == "importance" else None,
    log_weight=partial(weight, spec) if weight else None,
    full_bound=partial(full_bound, spec) if discrete else None,
    denoise=partial(denoise, spec),
    infill=make_infill(spec),
    chain=make_chain(spec),
    orders=make_orders(spec) if masked else None,
    sequential=make_sequential(spec) if masked else None,
    reverse=make_reverse(spec, None, with_predictions),
  )


def _check(process: Process, schedule: Schedule, num_steps: int, last_step: str, time_sampler: str) -> None:
  choices = {
    "last_step": (last_step, ("posterior", "literal")),
    "time_sampler": (time_sampler, ("uniform", "stratified", "importance", "fixed_count")),
  }
  for name, (value, known) in choices.items():
    if value not in known:
      raise InputError(f"diffusion: {name} is {value!r}; choose one of {', '.join(known)}")
  if num_steps < 0:
    raise InputError(f"diffusion: num_steps is {num_steps}; use at least 1, or 0 for continuous time")
  if num_steps == 0 and time_sampler == "importance":
    raise InputError("diffusion: importance sampling of time steps needs discrete time; set num_steps or time_sampler")
  if time_sampler == "fixed_count" and (num_steps or not process.exact_clamping):
    raise InputError(
      "diffusion: time_sampler 'fixed_count' counts masks, of the absorbing process in continuous time; set process to"
      " 'absorbing' and num_steps to 0, or take time_sampler 'stratified'"
    )
  if num_steps == 0 and schedule.slope is None:
    raise InputError(f"diffusion: schedule {schedule.name!r} exists for discrete time only; use 'cosine'")
  if last_step == "literal" and (num_steps == 0 or process.needs_zero_end):
    raise InputError("diffusion: last_step 'literal' is for processes without masks in discrete time; use 'posterior'")
  if process.needs_zero_end and not schedule.ends_at_zero:
    raise InputError(
      f"a process with masks needs a schedule that ends at exactly zero, and {schedule.name!r} keeps alpha_bar_T > 0"
      " (the bound would be infinite); use schedule 'cosine', 'linear' or 'polynomial'"
    )


def _init(init_network: Callable, history_steps: int | None, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_network(key), time_sampling.init(history_steps)._asdict() if history_steps else {}


def _update_state(state: PyTree, statistics: PyTree, valid: Bool[Array, "batch"]) -> PyTree:
  """See `Model.update_state`."""
  t, losses = statistics
  return time_sampling.update(time_sampling.History(**state), t, losses, valid)._asdict()
