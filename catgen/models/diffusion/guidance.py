"""Predictions of diffusion models that exaggerate what examples are given: classifier-free guidance."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from catgen.distributions import categorical
from catgen.interfaces import PyTree, SampleOptions
from catgen.models.diffusion.spec import Spec, predict
from catgen.processes.levels import over_events


def predict_guided(
  spec: Spec,
  params: PyTree,
  x_t: Int[Array, "batch *event"],
  time: Float[Array, "batch"],
  options: SampleOptions,
  valid: Bool[Array, "batch *event"] | None = None,
) -> Float[Array, "batch *event classes"]:
  """Returns the log-probabilities of the clean categories, guided as the options say; two network calls where they do.

  Guided is the clean category and not the next state, so that P(a position changes) is that of the model, and a single
  position has the law p(x | y)^guidance p(x)^(1 - guidance) / Z after any number of steps, whatever the process.
  """
  log_x0 = predict(spec, params, x_t, time, valid)
  if options.guidance == 1:
    return log_x0
  begin, end = options.guidance_interval
  strength = jnp.where((begin <= time) & (time <= end), options.guidance, 1.0)
  not_given = predict(spec._replace(given=None), params, x_t, time, valid)
  return categorical.guided(log_x0, not_given, over_events(strength, log_x0.ndim))
