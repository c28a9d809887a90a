"""The families under contract: tiny members of every entry of MODELS, each with its exact probabilities.

Most have nine events of two positions. Most flows have three to five events of one position, where a quadrature over
all their channels costs little and is exact enough. Models of maps have the sixteen maps of 2 x 2 bits, or less.
"""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from catgen.batches import batch_of
from catgen.flows.densities import POSTERIOR_FLOWS
from catgen.interfaces import Batch, EventSpec, Model
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.models.emission import ENCODINGS, WEIGHTINGS
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.processes import PROCESSES, SCHEDULES
from tests.compiling import OPTIMIZED
from tests.contracts import blocks, discrete, emission, exact, flows
from tests.contracts.parts import (
  CONDITIONERS,
  UNORDERED,
  deep_transformer,
  density,
  encoder,
  exchangeable,
  linear_attention_unet,
  map_posterior_flow,
  multi_scale,
  pixel_cnn,
  posterior_flow,
  pyramid,
  recurrent,
  transformer,
  transformer_xl,
  unet,
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


def _diffusion(
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


def _learned(name: str, rates: str) -> Family:
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


def _autoregressive(
  name: str, event: EventSpec = EVENT, network: Callable = transformer, scale: float = 1.0, **options: Any
) -> Family:
  model = MODELS["autoregressive"].make(event=event, network=network(), **options)
  params, state = initial(model, scale=scale)
  apply, events = jax.jit(model.sample.args[0]), events_of(event)
  logits = np.asarray(apply(params, events, NO_CONDITIONS), np.float64)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  probs = np.exp(np.take_along_axis(log_p, events[..., None], -1).reshape(len(events), -1).sum(-1))
  return Family(name, model, events, params, state, probs, probs)


def _block_diffusion(name: str, block_length: int, event: EventSpec = SEQUENCE, **options: Any) -> Family:
  model = MODELS["block_diffusion"].make(event=event, network=transformer(**options), block_length=block_length)
  params, state = initial(model)
  events = events_of(event)
  probs = blocks.probabilities(model.bound.args[0], params, events)
  return Family(name, model, events, params, state, probs, probs)


def _discrete(name: str, kind: str, event: EventSpec = EVENT, trunk: str = "transformer", **options) -> Family:
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


def _flow(name: str, kind: str = "argmax_flow", event: EventSpec = EVENT, refined: int = 0, **options) -> Family:
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


def _emission(name: str, event: EventSpec = EVENT, log_points: int = 16, **options) -> Family:
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


_five = partial(_flow, event=EventSpec((1,), 5))
_three = partial(_flow, event=EventSpec((1,), K))
_four = partial(_flow, event=EventSpec((1,), 4))
_map = partial(_flow, event=MAP, encoder=encoder("densenet"), density=multi_scale(squeeze_first=True, num_levels=1))


FAMILIES: dict[str, Callable[[], Family]] = {
  "uniform": partial(_diffusion, num_steps=T, schedule="paper_cosine"),
  # Its last step is the prediction alone: from a network that is surer of what is wrong, the bound says nothing.
  "uniform_literal": partial(_diffusion, num_steps=T, last_step="literal", scale=0.7),
  "uniform_importance": partial(_diffusion, num_steps=T, time_sampler="importance"),
  "uniform_continuous": partial(_diffusion, num_steps=0),
  "absorbing": partial(_diffusion, num_steps=T, process="absorbing", schedule="linear"),
  "absorbing_continuous": partial(_diffusion, num_steps=0, process="absorbing"),
  "absorbing_continuous_counted": partial(_diffusion, num_steps=0, process="absorbing", time_sampler="fixed_count"),
  "learned_class_continuous": partial(_learned, rates="class"),
  "learned_position_continuous": partial(_learned, rates="position"),
  "prior": partial(_diffusion, num_steps=T, process="prior"),
  "prior_continuous": partial(_diffusion, num_steps=0, process="prior"),
  "hybrid": partial(_diffusion, num_steps=T, process="hybrid", schedule="linear"),
  "hybrid_continuous": partial(_diffusion, num_steps=0, process="hybrid"),
  "kernel": partial(_diffusion, num_steps=T, process="kernel"),
  "kernel_continuous": partial(_diffusion, num_steps=0, process="kernel"),
  "pairs": partial(_diffusion, num_steps=T, process="pairs"),
  "pairs_continuous": partial(_diffusion, num_steps=0, process="pairs"),
  "autoregressive": _autoregressive,
  "autoregressive_raster": partial(_autoregressive, event=EventSpec((2, 2), K)),
  "autoregressive_pixel_cnn": partial(_autoregressive, event=EventSpec((2, 2), K), network=pixel_cnn, scale=2.0),
  "block_diffusion": partial(_block_diffusion, block_length=2),
  "block_diffusion_alone": partial(_block_diffusion, block_length=4),
  "block_diffusion_single": partial(_block_diffusion, block_length=1, event=EVENT, scan_layers=True),
  "discrete_autoregressive": partial(_discrete, kind="discrete_flow", num_layers=2),
  "discrete_bipartite": partial(_discrete, kind="discrete_flow", coupling="bipartite", num_layers=2),
  "discrete_shifts": partial(_discrete, kind="discrete_flow", trunk="lstm", scale=False),
  "discrete_in_bfloat16": partial(_discrete, kind="discrete_flow", trunk="transformer_in_bfloat16", num_layers=2),
  "denoising_positions": partial(_discrete, kind="denoising_flow", num_layers=2),
  "denoising_in_bfloat16": partial(_discrete, kind="denoising_flow", trunk="transformer_in_bfloat16", num_layers=2),
  "denoising_map": partial(
    _discrete, kind="denoising_flow", event=MAP, trunk="densenet", num_layers=2, num_levels=1, num_sorted=1
  ),
  "autoregressive_deep": partial(_autoregressive, network=deep_transformer, auxiliary_steps=8, second_target=0.5),
  "autoregressive_xl": partial(_autoregressive, network=transformer_xl),
  "argmax_softplus_bits": partial(_flow, base=2, encoder=encoder("lstm")),
  "argmax_softplus_transformer": partial(
    _flow, base=2, encoder=encoder("transformer"), density=density("coupling", "transformer", actnorm=True)
  ),
  "argmax_gumbel_bits": partial(_three, base=2, inverse="gumbel", encoder=encoder("none")),
  "argmax_gumbel_layers": partial(
    _flow, base=2, inverse="gumbel", density=density("autoregressive", "transformer", num_layers=2, actnorm=True)
  ),
  "argmax_thresholding_bits": partial(_three, base=2, inverse="gumbel_thresholding"),
  "argmax_posterior_flow": partial(_flow, refined=2, base=2, posterior_flow=posterior_flow(), num_context=4),
  "dequantized_uniform": partial(_three, kind="dequantized_flow", encoder=None, density=density("coupling")),
  "dequantized_variational": partial(_three, kind="dequantized_flow", noise="variational"),
  "dequantized_bits": partial(_flow, kind="dequantized_flow", base=2, encoder=None),
  "emission_mixture": partial(
    _emission,
    encoding=ENCODINGS["mixture"](num_channels=1, embedding_width=8, prior="frequencies"),
    density=density("autoregressive", base="logistic"),
    weighting=WEIGHTINGS["fading_emission"](),
  ),
  "emission_linear": partial(
    _emission,
    encoding=ENCODINGS["linear"](num_channels=2, num_layers=2, embedding_width=8, hidden_width=8),
    density=exchangeable(),
    event=EventSpec((1,), K),
  ),
  "emission_learned": partial(
    _emission,
    encoding=ENCODINGS["learned"](encoder=encoder("lstm"), decoder=encoder("lstm"), num_channels=1),
    density=density("autoregressive"),
    weighting=WEIGHTINGS["kl_warmup"](hold_steps=10, rise_steps=10),
  ),
  "emission_learned_flow": partial(
    _emission,
    encoding=ENCODINGS["learned"](
      encoder=encoder("lstm"),
      decoder=CONDITIONERS["lstm"],
      num_channels=2,
      noise_base="logistic",
      posterior_flow=POSTERIOR_FLOWS["map_coupling"](num_layers=1, num_mixtures=2, conditioner=UNORDERED),
      num_context=2,
    ),
    density=exchangeable(),
    event=PAIR,
    log_points=19,
  ),
  "emission_map": partial(
    _emission,
    encoding=ENCODINGS["learned"](
      encoder=encoder("densenet"),
      decoder=CONDITIONERS["densenet"],
      num_channels=2,
      posterior_flow=map_posterior_flow(),
      num_context=2,
    ),
    density=multi_scale(num_levels=1),
    event=EventSpec((1, 2), 2),
    log_points=19,
  ),
  **{
    f"emission_{time}_{channels}": partial(
      _emission,
      encoding=ENCODINGS["recurrent"](num_channels=2, width=8, lstm_width=8, num_layers=1),
      density=recurrent(time, channels),
      event=PAIR,
      log_points=18,
    )
    for time in ("af", "iaf")
    for channels in ("af", "scf")
  },
  "emission_in_bfloat16": partial(
    _emission,
    encoding=ENCODINGS["recurrent"](num_channels=2, width=8, lstm_width=8, num_layers=1, dtype="bfloat16"),
    density=recurrent("af", "scf", dtype="bfloat16"),
    event=PAIR,
    log_points=18,
  ),
  "argmax_softplus_classes": _four,
  "argmax_softplus_base3": partial(_five, base=3),
  "argmax_gumbel_classes": partial(_four, refined=2, inverse="gumbel"),
  "argmax_gumbel_base3": partial(_five, inverse="gumbel", base=3),
  "argmax_thresholding_classes": partial(_four, inverse="gumbel_thresholding"),
  "argmax_thresholding_base3": partial(
    _five, inverse="gumbel_thresholding", base=3, noise_base="logistic", density=density("coupling")
  ),
  "dequantized_base3": partial(_five, kind="dequantized_flow", base=3, encoder=None),
  "dequantized_variational_bits": partial(_five, kind="dequantized_flow", base=2, noise="variational"),
  "dequantized_variational_base3": partial(_five, kind="dequantized_flow", base=3, noise="variational"),
  "dequantized_normal": partial(_five, kind="dequantized_flow", noise="variational", noise_base="normal"),
  "uniform_unet": partial(_diffusion, event=MAP, network=unet, num_steps=T),
  "uniform_linear_attention_unet": partial(_diffusion, event=MAP, network=linear_attention_unet, num_steps=T),
  "absorbing_unet": partial(_diffusion, event=MAP, network=unet, num_steps=T, process="absorbing"),
  "argmax_softplus_map": _map,
  "argmax_pyramid_map": partial(_map, density=pyramid()),
  "argmax_gumbel_map": partial(_map, inverse="gumbel"),
  "argmax_thresholding_map": partial(_map, inverse="gumbel_thresholding"),
  "argmax_posterior_flow_map": partial(_map, posterior_flow=map_posterior_flow(squeeze=True), num_context=2),
  "dequantized_map": partial(_map, kind="dequantized_flow", encoder=None, density=multi_scale(num_levels=2)),
  "dequantized_variational_map": partial(
    _flow,
    kind="dequantized_flow",
    event=EventSpec((1, 2), 2),  # the mixtures of a posterior flow are too narrow for a quadrature over eight channels
    noise="variational",
    encoder=encoder("densenet"),
    density=multi_scale(num_levels=1, num_mixtures=2),
    posterior_flow=map_posterior_flow(num_mixtures=2),
    num_context=2,
  ),
}
# In the default suite each idea is seen once; `make test-slow` has them all.
SLOW = {
  "uniform_importance",  # the same model; tests/processes has its time steps
  "argmax_gumbel_bits",  # tests/surjections has its inverse
  "argmax_softplus_bits",  # tests/models/test_latent_normal.py has its integral
  "argmax_softplus_classes",
  "dequantized_uniform",  # boxes as of variational noise
  "uniform_continuous",  # tests/processes has its rates, and tests/models/test_diffusion.py the entropy that it reaches
  "absorbing_continuous",  # tests/models/test_diffusion_bounds.py has its rates, test_diffusion_sampling.py its samples
  "absorbing_continuous_counted",  # tests/models/test_counted_masks.py enumerates it
  "learned_class_continuous",  # tests/models/test_learned_masking.py enumerates them
  "learned_position_continuous",
  "emission_mixture",  # tests/models/test_emission.py has its terms and its draws
  "emission_af_af",
  "emission_af_scf",
  "emission_iaf_af",
  "emission_iaf_scf",
  "emission_linear",
  "emission_learned",
  "emission_learned_flow",
  "emission_map",
  "autoregressive_xl",
  "autoregressive_deep",  # the same family; its auxiliary predictions are seen in tests/models/test_auxiliary.py
  "block_diffusion_alone",  # one block; tests/models/test_block_diffusion.py sums over its orders
  "block_diffusion_single",  # the autoregressive model
  "prior",  # tests/processes has its laws
  "prior_continuous",
  "hybrid",  # tests/models/test_diffusion_bounds.py enumerates it
  "hybrid_continuous",
  "kernel",
  "kernel_continuous",
  "pairs",
  "pairs_continuous",
  "uniform_literal",  # tests/models/test_diffusion_bounds.py and test_diffusion_sampling.py enumerate it
  "autoregressive_raster",
  "autoregressive_pixel_cnn",
  "discrete_bipartite",
  "discrete_shifts",
  "discrete_in_bfloat16",
  "denoising_in_bfloat16",
  "emission_in_bfloat16",
  "denoising_map",
  "argmax_softplus_map",
  "uniform_unet",
  "uniform_linear_attention_unet",
  "absorbing_unet",
  "argmax_pyramid_map",
  "argmax_gumbel_map",
  "argmax_thresholding_map",
  "argmax_posterior_flow_map",
  "dequantized_map",
  "dequantized_variational_map",
  "argmax_softplus_transformer",
  "argmax_gumbel_layers",
  "argmax_posterior_flow",
  "dequantized_bits",
  "argmax_thresholding_base3",
  "argmax_gumbel_classes",
  "argmax_gumbel_base3",
  "argmax_thresholding_classes",
  "argmax_softplus_base3",
  "dequantized_base3",
  "dequantized_variational_bits",
  "dequantized_variational_base3",
  "dequantized_normal",
}
_MADE: dict[str, Family] = {}


def family(name: str) -> Family:
  if name not in _MADE:
    _MADE[name] = FAMILIES[name](name)
  return _MADE[name]
