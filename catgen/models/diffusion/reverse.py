"""What the reverse chain of a diffusion model is made of, apart from the sampler: see `chains.Reverse`."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from catgen.chains import Reverse
from catgen.interfaces import Model, PyTree
from catgen.models.diffusion.sampling import CONTINUOUS_STEPS
from catgen.models.diffusion.spec import Spec, predict
from catgen.processes.levels import Level
from catgen.processes.schedules import sampled, spans

SpecOf = Callable[[PyTree], Spec]


def make_reverse(spec: Spec, of: SpecOf | None, with_predictions: Callable[[Callable[..., Array]], Model]) -> Reverse:
  """Returns the chain's parts.

  Args:
    spec: of the model; where the noise is learned only what is no noise counts.
    of: parameters -> the spec, whose network predicts a position from the others; None: always `spec`.
    with_predictions: see `Reverse`.
  """
  spec_of: SpecOf = (lambda params: spec) if of is None else of
  return Reverse(
    num_states=spec.process.num_states,
    num_steps=spec.num_steps,
    default_moves=spec.num_steps or CONTINUOUS_STEPS,
    literal_last_step=spec.literal_last_step,
    learned=of is not None,
    predictions=partial(_predictions, spec_of),
    marginal=partial(_marginal, spec_of),
    posterior=partial(_posterior, spec_of),
    log_prior=spec.process.prior_log_prob,
    with_predictions=with_predictions,
  )


def _predictions(
  spec_of: SpecOf,
  params: PyTree,
  x_t: Int[Array, "batch *event"],
  told: Float[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> Float[Array, "batch *event classes"]:
  return predict(spec_of(params)._replace(given=given), params, x_t, told, None)


def _marginal(
  spec_of: SpecOf, params: PyTree, x: Int[Array, "batch *event"], t: Float[np.ndarray, "batch"]
) -> Float[Array, "batch *event states"]:
  spec = spec_of(params)
  return spec.process.marginal(x, jax.tree.map(jnp.float32, _levels(spec, t)))


def _posterior(
  spec_of: SpecOf,
  params: PyTree,
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  s: Float[np.ndarray, "batch"],
  t: Float[np.ndarray, "batch"],
) -> Float[Array, "batch *event states"]:
  spec, pairs = spec_of(params), np.stack([s, t], axis=1).reshape(-1)
  with np.errstate(divide="ignore", invalid="ignore"):  # between one pair and the next
    moves = spans(_levels(spec, pairs), np.arange(len(pairs)))
  span = jax.tree.map(lambda values: values[::2], moves)
  return spec.process.posterior(x_t, x, span)


def _levels(spec: Spec, t: Float[np.ndarray, "times"]) -> Level:
  """Returns the levels at some times, in float64."""
  if spec.num_steps:
    return jax.tree.map(lambda values: values[t.astype(int)], spec.table)
  return sampled(spec.schedule.keep, spec.schedule.lost, t)
