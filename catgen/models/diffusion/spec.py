"""What a diffusion model is made of, and the prediction and sums that its bound, sampler and weights share."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.batches import refuse_scored, seen
from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, EventSpec, Profile, PyTree
from catgen.networks.conditions import Conditions
from catgen.processes import Process
from catgen.processes.levels import Level, Span
from catgen.processes.schedules import Schedule, levels, spans

FIRST_TIME = 1e-7  # in continuous time


class Spec(NamedTuple):
  """Process, schedule and network, and tables of noise levels. In continuous time T is 0 and there are no tables."""

  event: EventSpec
  process: Process
  schedule: Schedule
  network: Callable  # (params, x_t, conditions) -> logits
  literal_last_step: bool
  num_steps: int  # T; 0 = continuous time
  table: Level  # at steps 0..T, in float64
  spans: Span  # the moves t -> t - 1; entry t - 1
  last_level: Level  # at step T
  given: Int[Array, "batch attributes"] | None = None  # what the network is told of the examples

  def step_nats(
    self,
    params: PyTree,
    batch: Batch,
    t: Int[Array, "batch"],
    key_noise: Key[Array, "batch"],
    key_network: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *event"]:
    """Returns the loss L_t in nats per position at one step per example, with a fresh x_t."""
    span = self.span(t)

    def cost(log_x0: Array, x_t: Array, x: Array) -> Array:
      nats = self.process.kl(x_t, x, log_x0, span)
      return last_step_nats(nats, log_x0, x, t) if self.literal_last_step else nats

    x_t = self.process.corrupt(key_noise, batch.x, span.t)
    return costs(self, params, batch, x_t, step_time(t, self.num_steps), cost, key_network)

  def span(self, t: Int[Array, "*batch"]) -> Span:
    """Returns the noise levels of the move from step t to t - 1."""
    return jax.tree.map(lambda values: jnp.asarray(values)[t - 1], self.spans)


def make_spec(
  event: EventSpec, process: Process, schedule: Schedule, num_steps: int, literal: bool, network: Callable
) -> Spec:
  """Returns the spec, whose noise levels are the float64 table of the schedule rounded once to float32."""
  table = schedule.table(num_steps) if num_steps else Level(np.ones(1), np.zeros(1))
  last = jax.tree.map(lambda values: values[-1], levels(table))
  return Spec(
    event, process, schedule, network, literal, num_steps, table, spans(table, np.arange(num_steps + 1)), last
  )


def for_batch(spec: Spec, batch: Batch) -> Spec:
  """Returns the spec with what the batch gives. Raises InputError if positions are context."""
  refuse_scored(batch, "a diffusion model")
  return spec._replace(given=batch.given)


def step_time(t: Int[Array, "*batch"], num_steps: int) -> Float[Array, "*batch"]:
  """Returns what the network is told of step t in {1..T}: (t - 1) / T, the paper's index over T."""
  return (t - 1).astype(jnp.float32) / num_steps


def predict(
  spec: Spec,
  params: PyTree,
  x_t: Int[Array, "batch *event"],
  time: Float[Array, "batch"],
  valid: Bool[Array, "batch *event"] | None,
  keys: Key[Array, "batch"] | None = None,
) -> Float[Array, "batch *event classes"]:
  """Returns the network's log-probabilities of the clean categories, in float32."""
  logits = spec.network(params, x_t, Conditions(valid=seen(spec.event, valid), keys=keys, given=spec.given, time=time))
  return jax.nn.log_softmax(logits.astype(jnp.float32))


def costs(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  x_t: Int[Array, "batch *event"],
  time: Float[Array, "batch"],
  cost: Callable[..., Array],
  keys: Key[Array, "batch"] | None = None,
) -> Float[Array, "batch *event"]:
  """Returns cost(prediction, x_t, x) of every position in nats; in pieces of positions where there are many classes.

  Args:
    cost: of log-probabilities [batch, some positions, K] and states [batch, some positions], or of whole events.
  """
  pieces = categorical.num_pieces(len(x_t), x_t[0].size, spec.process.num_classes)
  if pieces == 1:
    return cost(predict(spec, params, x_t, time, batch.valid, keys), x_t, batch.x)
  told = Conditions(valid=seen(spec.event, batch.valid), keys=keys, given=spec.given, time=time)

  def of_logits(logits: Array, *states: Array) -> Array:
    return cost(jax.nn.log_softmax(logits.astype(jnp.float32)), *states)

  return spec.network(params, x_t, told, of_logits, x_t, batch.x, pieces=pieces, method="costs")


def last_step_nats(
  nats: Float[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  x: Int[Array, "batch *event"],
  t: Int[Array, "batch"],
) -> Float[Array, "batch *event"]:
  """Returns the losses with that of step 1 replaced by -log prediction, the literal Eq. 14/16."""
  first = (t == 1).reshape(t.shape + (1,) * (x.ndim - 1))
  return jnp.where(first, -categorical.take(log_x0, x), nats)


def walked(spec: Spec, batch: Batch, step: Callable[[Any], Array], inputs: PyTree) -> tuple[Bound, Profile]:
  """Returns the bound of steps that are taken one after another, and where its nats are lost.

  Args:
    step: (inputs of a step) -> nats of every position.
    inputs: of all steps, stacked, the one next to the data first.
  """

  def add(by_position: Array, each: Any) -> tuple[Array, Array]:
    nats = jnp.where(batch.valid, step(each), 0.0)
    return by_position + nats, sum_valid(nats, batch.valid)

  by_position, by_time = jax.lax.scan(add, jnp.zeros(batch.x.shape), inputs)
  prior = jnp.where(batch.valid, spec.process.prior_kl(batch.x, spec.last_level), 0.0)
  terms = {
    "reconstruction": -by_time[0],
    "diffusion": -by_time[1:].sum(0),
    "prior": -sum_valid(prior, batch.valid),
  }
  return Bound(add_terms(terms), terms), Profile(by_time.T, by_position + prior)


def add_terms(terms: dict[str, Array]) -> Float[Array, "batch"]:
  """Returns the sum of the terms of a bound."""
  return functools.reduce(jnp.add, terms.values())
