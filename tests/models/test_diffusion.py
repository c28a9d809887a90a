"""Diffusion models beyond the family contract: refusals, sampling options, and what a perfect denoiser achieves."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.kinds import Recipe
from catgen.models import MODELS
from catgen.networks.trunk import Abilities
from catgen.processes import PROCESSES, SCHEDULES
from tests.models.stubs import keys_up_to
from tests.parameters import filled

K = 2
EVENTS = np.array(list(itertools.product(range(K), repeat=2)), np.int32)
DATA = np.array([0.45, 0.05, 0.05, 0.45])  # two positions that agree with probability 0.9


class OneHot(nnx.Module):
  """Reads categories as they are."""

  def __init__(self, num_inputs):
    self.num_inputs = num_inputs

  def __call__(self, x):
    return jax.nn.one_hot(x, self.num_inputs)


class Same(nnx.Module):
  """A head that leaves logits as they are."""

  def __call__(self, h):
    return h


class Direct(nnx.Module):
  """A trunk from categories to logits: `logits(x, time)` is all that a member writes."""

  abilities = Abilities(time=True)

  def __init__(self, ends, *, rngs):
    self.num_inputs, self.num_outputs = ends.num_inputs, ends.num_outputs
    self.read_in, self.head = OneHot(ends.num_inputs), Same()
    self.value = nnx.Param(jnp.zeros(ends.num_outputs))

  def __call__(self, h, conditions):
    return self.logits(jnp.argmax(h, axis=-1), conditions.time)

  def logits(self, x, time):
    return jnp.broadcast_to(self.value[...], (*x.shape, self.num_outputs))


class LeaveOneOut(Direct):
  """The perfect denoiser of DATA: p(x^d | the other position of x_t), by Bayes; `lost` maps time to 1 - alpha_bar."""

  def __init__(self, ends, *, rngs, lost):
    super().__init__(ends, rngs=rngs)
    self.scale = nnx.Param(jnp.ones(()))
    self.masked, self.lost = ends.num_inputs > ends.num_outputs, lost

  def logits(self, x, time):
    joint = jnp.asarray(DATA.reshape(K, K))
    lost = self.lost(time)[:, None, None]
    other = x[:, ::-1]
    if self.masked:
      likelihood = jnp.where(other[..., None] == K, 1.0, jax.nn.one_hot(other, K))
    else:
      likelihood = (1 - lost) * jax.nn.one_hot(other, K) + lost / K
    return jnp.log(jnp.einsum("blo,oi->bli", likelihood, joint)) * self.scale[...]


def diffusion(event, *, process="uniform", schedule="cosine", **options):
  """A model whose process and schedule are named."""
  chosen = {"process": PROCESSES[process](), "schedule": SCHEDULES[schedule]()}
  return MODELS["diffusion"].make(event, **chosen, **options)


def start(model):
  """Returns the parameters as they are initialized, values zero and scales one, and the state."""
  batch = batch_of(np.zeros((1, *model.event.shape), np.int32))
  params, state = jax.eval_shape(model.init, batch, jax.random.key(0))
  assert state == {}
  return filled(params, scale=0.0), state


def perfect(process, num_steps=0):
  offset = 1 / num_steps if num_steps else 0.0  # a discrete model tells the network (t - 1) / T
  network = Recipe(LeaveOneOut, {"lost": lambda time: time + offset})
  return diffusion(EventSpec((2,), K), network=network, process=process, schedule="linear", num_steps=num_steps)


def zero_network(**options):
  return diffusion(EventSpec((4,), 5), network=Recipe(Direct, {}), **options)


def draw(model, num, **options):
  params, state = start(model)
  sample = jax.jit(lambda p, k: model.sample(p, k, state=state, options=SampleOptions(**options)))
  return jax.device_get(sample(params, keys_up_to(num, seed=1)))


@pytest.mark.parametrize(
  ("options", "names"),
  [
    ({"last_step": "posterio"}, "last_step is 'posterio'.*posterior"),
    ({"time_sampler": "loss"}, "time_sampler is 'loss'.*importance"),
    ({"process": "absorbing", "schedule": "paper_cosine"}, "exactly zero.*linear"),
    ({"num_steps": 0, "schedule": "paper_cosine"}, "discrete"),
    ({"num_steps": 0, "time_sampler": "importance"}, "discrete"),
    ({"num_steps": 0, "last_step": "literal"}, "literal"),
    ({"process": "absorbing", "last_step": "literal"}, "literal"),
    ({"num_steps": -1}, "num_steps is -1"),
  ],
)
def test_combinations_without_a_valid_bound_are_refused(options, names):
  with pytest.raises(InputError, match=names):
    zero_network(**options)


@pytest.mark.parametrize("options", [{"num_steps": 11}, {"num_steps": 0}, {"temperature": -0.5}, {"num_frames": 1}])
def test_sampling_options_that_cannot_be_honored_are_refused(options):
  with pytest.raises(InputError):
    draw(zero_network(num_steps=10), 2, **options)


@pytest.mark.parametrize("process", ["uniform", "absorbing"])
@pytest.mark.parametrize("num_steps", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 10))])
@pytest.mark.parametrize("total", [10, 0])
def test_chains_go_from_noise_to_the_sample(process, num_steps, total):
  samples = draw(zero_network(process=process, num_steps=total), 8, num_steps=num_steps, num_frames=4)
  assert samples.chain.shape == (4, 8, 4)
  np.testing.assert_array_equal(samples.chain[-1], samples.x)
  assert (samples.x < 5).all()
  if process == "absorbing":
    masked = (samples.chain == 5).sum((1, 2))
    assert masked[0] == 32
    assert (np.diff(masked) <= 0).all()


@pytest.mark.parametrize(
  "schedule", [*(pytest.param(each, marks=pytest.mark.slow) for each in ("cosine", "linear")), "paper_cosine"]
)
def test_zero_logits_give_log_k(schedule):
  model = zero_network(num_steps=10, schedule=schedule)
  params, state = start(model)
  batch = batch_of(np.random.default_rng(2).integers(0, 5, (512, 4), np.int32))
  full, _ = jax.jit(lambda p, b, k: model.full_bound(p, b, k, state=state))(params, batch, keys_up_to(512, 3))
  nats = np.asarray(full.nats) / 4
  np.testing.assert_allclose(nats.mean(), -np.log(5), atol=4 * nats.std() / np.sqrt(512) + 1e-6)


@pytest.mark.parametrize(
  ("process", "num_steps"),
  [
    pytest.param("uniform", 50, marks=pytest.mark.slow),
    ("absorbing", 50),
    ("uniform", 0),
    pytest.param("absorbing", 0, marks=pytest.mark.slow),
  ],
)
def test_a_perfect_denoiser_comes_close_to_the_entropy(process, num_steps):
  model = perfect(process, num_steps)
  params, state = start(model)
  batch = batch_of(EVENTS[np.random.default_rng(0).choice(4, size=40_000, p=DATA)])
  bound = jax.jit(lambda p, b, k: model.bound(p, b, k, state=state, train=False).nats)
  nats = np.asarray(bound(params, batch, keys_up_to(40_000, 3)))
  entropy, error = -np.sum(DATA * np.log(DATA)), nats.std() / np.sqrt(len(nats))
  assert -nats.mean() > entropy - 4 * error
  assert -nats.mean() < entropy + 4 * error + (0.05 if num_steps else 0.0)


def test_infilling_is_exact_for_masked_and_approximate_for_uniform_diffusion():
  x, observed = np.zeros((5_000, 2), np.int32), np.arange(2)[None].repeat(5_000, axis=0) == 0
  agreement = {}
  for process in ("uniform", "absorbing"):
    model = perfect(process, 50)
    params, state = start(model)
    completed = jax.jit(
      lambda p, x, seen, k, m=model, s=state: m.infill.draw(p, x, seen, k, state=s, options=SampleOptions()).x
    )(params, x, observed, keys_up_to(5_000, 4))
    known, drawn = np.asarray(completed).T
    assert (known == 0).all()
    agreement[process] = (drawn == 0).mean()
    assert model.infill.exact == (process == "absorbing")
  assert abs(agreement["absorbing"] - 0.9) < 4 * np.sqrt(0.09 / 5_000)
  assert 0.6 < agreement["uniform"] < 0.9


@functools.cache
def denoiser(process):
  """Returns (events, valid, error rate) -> posterior of the perfect denoiser."""
  model = perfect(process, 1000)
  params, state = start(model)
  return jax.jit(lambda x, valid, rate: model.denoise(params, x, valid, rate, state=state).posterior)


@pytest.mark.parametrize("process", ["uniform", "absorbing"])
@pytest.mark.parametrize("error_rate", [0.05, 0.2])
def test_denoising_is_bayes_with_the_typed_category(process, error_rate):
  posterior = np.exp(denoiser(process)(EVENTS, np.ones(EVENTS.shape, bool), np.float32(error_rate)))
  np.testing.assert_allclose(posterior.sum(-1), 1.0, rtol=1e-5)
  channel = (1 - error_rate) * np.eye(K) + error_rate * (1 - np.eye(K))
  for row, typed in enumerate(EVENTS):
    other = channel[:, typed[1]] if process == "uniform" else np.eye(K)[typed[1]]  # masked models trust what is visible
    joint = DATA.reshape(K, K) * channel[:, typed[0]][:, None] * other[None]
    exact = joint.sum(1) / joint.sum()
    np.testing.assert_allclose(posterior[row, 0], exact, atol=2e-3)


def test_temperature_sharpens():
  class Skewed(Direct):
    def logits(self, x, time):
      return jnp.broadcast_to(jnp.arange(3.0) + self.value[...], (*x.shape, 3))

  model = diffusion(EventSpec((50,), 3), network=Recipe(Skewed, {}), process="absorbing", num_steps=4)
  means = [float(draw(model, 50, temperature=t).x.mean()) for t in (0.25, 1.0, 4.0)]
  probs = [np.exp(np.arange(3) / t) / np.exp(np.arange(3) / t).sum() for t in (0.25, 1.0, 4.0)]
  np.testing.assert_allclose(means, [p @ np.arange(3) for p in probs], atol=0.06)


@pytest.mark.parametrize("num_steps", [3, 0])
@pytest.mark.parametrize("process", ["uniform", "absorbing"])
def test_context_is_refused(num_steps, process):
  model = zero_network(num_steps=num_steps, process=process)
  batch = batch_of(np.zeros((1, 4), np.int32))._replace(scored=np.ones((1, 4), bool))
  params, state = start(model)
  calls = [
    lambda: model.bound(params, batch, keys_up_to(1), state=state, train=False),
    *(
      lambda function=function: function(params, batch, keys_up_to(1), state=state)
      for function in (model.full_bound, model.log_weight)
      if function is not None
    ),
  ]
  for call in calls:
    with pytest.raises(InputError, match="a diffusion model scores whole examples"):
      call()
