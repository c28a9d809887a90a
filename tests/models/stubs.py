"""Diffusion models whose network is a function written here, so that all of their numbers can be enumerated."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from catgen.batches import batch_of
from catgen.interfaces import Batch, EventSpec
from catgen.keys import example_keys
from catgen.models.diffusion.spec import Spec, make_spec
from catgen.processes import SCHEDULES
from tests.contracts import exact
from tests.processes.test_processes import divergence, kernel, make, normalized

_KEYS = jax.jit(example_keys)


def spec_of(
  logits: Callable,
  *,
  shape: tuple[int, ...] = (2,),
  num_classes: int = 3,
  process: str = "uniform",
  schedule: str = "linear",
  num_steps: int = 4,
  literal: bool = False,
) -> Spec:
  """Returns the spec of `logits(params, x_t, time)`, whatever else a network is told."""

  def network(params, x_t, conditions):
    return logits(params, x_t, conditions.time)

  chosen = make(process, num_classes), SCHEDULES[schedule].make()
  return make_spec(EventSpec(shape, num_classes), *chosen, num_steps, literal, network)


def zeros(params, x_t, time):
  """Knows nothing: K is the number of classes that `params` says."""
  return jnp.zeros((*x_t.shape, params))


def own(params, x_t, time):
  """Reads the position's own state alone, in a table [states, classes]."""
  return params[x_t]


def neighbor(params, x_t, time):
  """Reads the other one of two positions in a table [states, classes], more surely at later times."""
  return params[x_t[:, ::-1]] * (1 + time)[:, None, None]


def table(num_states: int, num_classes: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=(num_states, num_classes)).astype(np.float32)


def whole(x) -> Batch:
  """Returns examples as a batch, all positions valid."""
  return batch_of(np.asarray(x, np.int32))


def keys_of(batch: Batch, seed: int = 0):
  """Returns a key for each example."""
  return _KEYS(jax.random.key(seed), batch.index)


def keys_up_to(number: int, seed: int = 0):
  """Returns the keys of the examples 0, 1, ..., number - 1."""
  return _KEYS(jax.random.key(seed), np.arange(number, dtype=np.int32))


class Enumerated(NamedTuple):
  """A model of two positions with the network `neighbor`, and its numbers in float64."""

  spec: Spec
  params: np.ndarray
  events: np.ndarray
  probs: np.ndarray  # p(x)
  elbo: np.ndarray  # the expected bound on log p(x)


def enumerated(process: str, schedule: str, num_classes: int, num_steps: int, literal: bool = False) -> Enumerated:
  options = {"process": process, "schedule": schedule, "num_steps": num_steps, "literal": literal}
  spec = spec_of(neighbor, num_classes=num_classes, **options)
  params, kept = table(spec.process.num_states, num_classes), SCHEDULES[schedule].make().table(num_steps).keep
  logits = np.asarray(params, np.float64)

  def predict(states, t, time=None):
    """log_x0 of the move from step t."""
    scaled = logits[states[:, ::-1]] * (1 + ((t - 1) / num_steps if time is None else time))
    return scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True)

  probs = exact.diffusion(process, num_classes, 2, kept, predict, literal)
  events, states = exact.events(num_classes, 2), exact.events(spec.process.num_states, 2)
  prior = np.exp(np.asarray(spec.process.prior_log_prob(jnp.arange(spec.process.num_states)), np.float64))
  elbo = -divergence(kernel(process, kept[-1], num_classes)[events], prior).sum(axis=1)
  for t in range(1, num_steps + 1):
    to_s = kernel(process, kept[t - 1], num_classes)
    step = kernel(process, kept[t] / kept[t - 1], num_classes, since=kept[t - 1])
    predicted = np.exp(predict(states, t))
    with np.errstate(invalid="ignore"):  # of states that cannot be
      p = normalized((predicted @ to_s[:num_classes]) * step.T[states])
    for row, x in enumerate(events):
      weight = (to_s @ step)[x[None], states].prod(axis=1)
      q = to_s[x][None] * step.T[states]
      loss = divergence(normalized(np.where(weight[:, None, None] > 0, q, 1.0)), p)
      if literal and t == 1:
        loss = -np.log(predicted[:, np.arange(2), x])
      elbo[row] -= (np.where(weight > 0, weight, 0.0) * np.where(weight[:, None] > 0, loss, 0.0).sum(axis=1)).sum()
  return Enumerated(spec, params, events, probs, elbo)
