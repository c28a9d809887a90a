"""Tiny members of families: a model, parameters away from any symmetric point, exact probabilities of all events."""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from catgen.batches import batch_of
from catgen.interfaces import Batch, EventSpec, Model
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.processes import PROCESSES, SCHEDULES
from tests.compiling import OPTIMIZED
from tests.contracts import blocks, discrete, emission, exact, flows
from tests.contracts.parts import (
  CONDITIONERS,
  density,
  encoder,
  transformer,
)
from tests.parameters import filled

K, D, T = 3, 2, 4
CONTINUOUS_STEPS = 16
EVENT = EventSpec((D,), K)
MAP, PAIR, SEQUENCE = EventSpec((2, 2), 2), EventSpec((2,), 2), EventSpec((4,), 2)


class Family(NamedTuple):
  """A tiny model, parameters away from any symmetric point, and exact probabilities of all events."""

  name: str
  model: Model
  events: np.ndarray  # [events, *event], all there are
  params: dict
  state: dict
  probs: np.ndarray  # [events]; with what is missing to one, P(invalid)
  sample_probs: np.ndarray  # the same for what `sample` does (continuous time is sampled in CONTINUOUS_STEPS)
  drawn_given: bool = False  # x is drawn given the latent, not a function of it
  invalid: float | None = 0.0  # P(no event): of unused codes, by quadrature; None = outside boxes, not integrated


def events_of(event: EventSpec) -> np.ndarray:
  return exact.events(event.num_classes, math.prod(event.shape)).reshape(-1, *event.shape)


def initial(model: Model, **options: Any) -> tuple[dict, dict]:
  """Returns parameters as of `filled(**options)`, and the state at the start, which is made of zeros."""
  shapes, state = jax.eval_shape(model.init, batch_of(events_of(model.event)), jax.random.key(0))
  return jax.device_put((filled(shapes, **options), jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)))


def _predictions(model: Model, params: dict, parts: Any = None) -> Callable:
  """Returns (states, time) -> log_x0, all of positions in a row: the network, reached through the model's own parts."""
  parts = model.sample.args[0] if parts is None else parts

  @jax.jit
  def predict(states, time):
    x_t = states.reshape(-1, *model.event.shape)
    logits = parts.network(params, x_t, Conditions(time=jnp.full(states.shape[0], time)))
    return jax.nn.log_softmax(logits).reshape(*states.shape, -1)

  return lambda states, time: predict(states, np.float32(time))


def make_diffusion(
  name: str,
  event: EventSpec = EVENT,
  network: Callable = transformer,
  process: str = "uniform",
  schedule: str = "cosine",
  scale: float = 1.0,
  **options,
) -> Family:
  chosen = {"process": PROCESSES[process](**exact.options(process, event.num_classes))}
  chosen["schedule"] = SCHEDULES[schedule]()
  model = MODELS["diffusion"].make(event=event, network=network(), **chosen, **options)
  params, state = initial(model, scale=scale)
  predict, made = _predictions(model, params), partial(Family, name, model, events_of(event), params, state)
  kept = SCHEDULES[schedule].make()
  exactly = partial(exact.diffusion, process, event.num_classes, math.prod(event.shape))
  if options["num_steps"]:
    literal = options.get("last_step") == "literal"
    probs = exactly(kept.table(T).keep, lambda s, t: predict(s, (t - 1) / T), literal)
    return made(probs, probs)
  stepped = exactly(kept.table(CONTINUOUS_STEPS).keep, lambda s, t: predict(s, t / CONTINUOUS_STEPS))
  if process == "absorbing":
    quantiles = (np.arange(1000) + 0.5) / 1000  # the network's fastest waves turn 600 times
    times = np.interp(quantiles, kept.lost(np.linspace(0, 1, 10_001), np), np.linspace(0, 1, 10_001))
    return made(exact.masked_in_continuous_time(event.num_classes, times, predict), stepped)
  return made(exactly(kept.table(2000).keep, lambda s, t: predict(s, (t - 0.5) / 2000)), stepped)


def make_learned(name: str, rates: str) -> Family:
  model = MODELS["learned_masking"].make(event=EVENT, network=transformer(), rates=rates)
  params, state = initial(model)
  params["rates"] = np.linspace(-0.8, 2.0, len(params["rates"]), dtype=np.float32)  # rates from 0.4 to 2.1
  predict = _predictions(model, params, model.sample.args[0].args[0])
  logits = np.asarray(params["rates"], np.float64)
  learned = np.log1p(np.exp(logits)).reshape((1, K) if rates == "class" else (D, 1))
  exactly, steps = partial(exact.rated, np.broadcast_to(learned, (D, K))), np.arange(2001) / 2000
  coarse = (np.arange(CONTINUOUS_STEPS + 1) / CONTINUOUS_STEPS) ** (1 / learned.min())
  probs = exactly(steps, lambda s, t: predict(s, (t - 0.5) / 2000))
  return Family(
    name, model, events_of(EVENT), params, state, probs, exactly(coarse, lambda s, t: predict(s, coarse[t]))
  )


def make_autoregressive(
  name: str, event: EventSpec = EVENT, network: Callable = transformer, scale: float = 1.0, **options: Any
) -> Family:
  model = MODELS["autoregressive"].make(event=event, network=network(), **options)
  params, state = initial(model, scale=scale)
  apply, events = jax.jit(model.sample.args[0]), events_of(event)
  logits = np.asarray(apply(params, events, NO_CONDITIONS), np.float64)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  probs = np.exp(np.take_along_axis(log_p, events[..., None], -1).reshape(len(events), -1).sum(-1))
  return Family(name, model, events, params, state, probs, probs)


def make_block_diffusion(name: str, block_length: int, event: EventSpec = SEQUENCE, **options: Any) -> Family:
  model = MODELS["block_diffusion"].make(event=event, network=transformer(**options), block_length=block_length)
  params, state = initial(model)
  events = events_of(event)
  probs = blocks.probabilities(model.bound.args[0], params, events)
  return Family(name, model, events, params, state, probs, probs)


def make_discrete(name: str, kind: str, event: EventSpec = EVENT, trunk: str = "transformer", **options) -> Family:
  model = MODELS[kind].make(event=event, conditioner=CONDITIONERS[trunk], **options)
  params, state = initial(model, scale=2.0)
  density = model.bound.args[0](params).density
  probs = discrete.probabilities(density, event.num_classes, event.shape)
  return Family(name, model, events_of(event), params, state, probs, probs)


def uneven(events: np.ndarray) -> np.ndarray:
  """Returns the events as data of which each occurs another number of times."""
  return np.repeat(events, np.arange(1, len(events) + 1), axis=0)


@functools.cache
def gradient_of(model: Model) -> Callable:
  """Returns (params, batch, seed, state) -> the gradient of minus what training raises, in a row; the bounds."""

  def loss(params, batch, seed, state):
    bound = model.bound(params, batch, example_keys(jax.random.key(seed), batch.index), state=state, train=True)
    raised = bound.nats if bound.objective is None else bound.objective
    return -raised.mean(), bound.nats

  def gradient(*args):
    slopes, nats = jax.grad(loss, has_aux=True)(*args)
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(slopes)]), nats

  return jax.jit(gradient)


def as_tree(numbers: np.ndarray, like: dict) -> dict:
  """Returns numbers in a row as a tree of views of them."""
  leaves, tree = jax.tree.flatten(like)
  parts = np.split(numbers, np.cumsum([leaf.size for leaf in leaves])[:-1])
  return jax.tree.unflatten(tree, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def trained(model: Model, batch: Batch, params: dict, state: dict, num_steps: int = 400) -> dict:
  """Brings q(v | x) and p(v) near each other, where weights have a variance: by training on uneven data."""
  numbers = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
  values = as_tree(numbers, params)
  mean, square = np.zeros_like(numbers), np.zeros_like(numbers)
  for step in range(1, num_steps + 1):  # by Adam, written out
    slope = np.asarray(gradient_of(model)(values, batch, step, state)[0])
    mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
    if model.update_state is not None:
      state = model.update_state(state, (), jnp.ones(len(batch.x), bool))
    numbers -= 1e-2 * np.float32(np.sqrt(1 - 0.999**step) / (1 - 0.9**step)) * mean / (np.sqrt(square) + 1e-8)
  return jax.device_put(values)


def make_flow(name: str, kind: str = "argmax_flow", event: EventSpec = EVENT, refined: int = 0, **options) -> Family:
  options = {"encoder": encoder(), "density": density("autoregressive"), **options}
  model, events = MODELS[kind].make(event=event, **options), events_of(event)
  params, state = initial(model)
  params = trained(model, batch_of(uneven(events)), params, state)
  boxes, base = kind == "dequantized_flow", options.get("base", 0) or event.num_classes
  log_prob = jax.jit(lambda v: model.latent.log_prob(params, v, state=state), compiler_options=OPTIMIZED)
  codes = flows.probabilities(log_prob, event, base=base, boxes=boxes, refined=refined)
  probs = codes[(slice(0, event.num_classes),) * codes.ndim].reshape(-1)
  invalid = None if boxes else codes.sum() - probs.sum()
  return Family(name, model, events, params, state, probs, probs, invalid=invalid)


def make_emission(name: str, event: EventSpec = EVENT, log_points: int = 16, **options) -> Family:
  model, events = MODELS["latent_emission"].make(event=event, **options), events_of(event)
  params, state = initial(model)
  params, latent = trained(model, batch_of(uneven(events)), params, state), model.latent

  def log_likelihood(z):
    each = [batch_of(jnp.broadcast_to(x, (len(z), *x.shape)), jnp.ones((len(z), *x.shape), bool)) for x in events]
    return jnp.stack([latent.log_likelihood(params, batch, z, state=state) for batch in each])

  compiled = [
    jax.jit(function, compiler_options=OPTIMIZED)
    for function in (lambda z: latent.log_prob(params, z, state=state), log_likelihood)
  ]
  keys = example_keys(jax.random.key(0), jnp.arange(1000))
  drawn = jax.jit(lambda params: latent.sample(params, keys, state=state)[0])(params)
  probs = emission.probabilities(*compiled, np.asarray(drawn), events, log_points)
  return Family(name, model, events, params, state, probs, probs, drawn_given=True)
