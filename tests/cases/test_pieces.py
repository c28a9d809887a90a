"""A loss over many categories is computed in pieces of positions, and a draw one example at a time: nothing changes."""

import functools

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.distributions import categorical
from catgen.interfaces import EventSpec, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES
from tests.parameters import filled

MASKED = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"]()}
FAMILIES = {
  "uniform": ("diffusion", {"num_steps": 7}),
  "uniform, literal": ("diffusion", {"num_steps": 7, "last_step": "literal"}),
  "uniform, continuous": ("diffusion", {"num_steps": 0}),
  "absorbing": ("diffusion", {"num_steps": 7, **MASKED}),
  "absorbing, continuous": ("diffusion", {"num_steps": 0, **MASKED}),
  "absorbing, counted": ("diffusion", {"num_steps": 0, **MASKED, "time_sampler": "fixed_count"}),
  "learned by category": ("learned_masking", {}),
  "learned by position": ("learned_masking", {"rates": "position"}),
  "autoregressive": ("autoregressive", {}),
  "block diffusion": ("block_diffusion", {"block_length": 2}),
}
QUICK = ("absorbing", "autoregressive")


def model_of(name, shape, num_classes):
  family, keys = FAMILIES[name]
  sizes = {"num_layers": 1, "width": 16, "num_heads": 2, "time_width": 8, "dropout": 0.0, "dtype": "float32"}
  return MODELS[family].make(EventSpec(shape, num_classes), network=TRUNKS["transformer"](**sizes), **keys)


@pytest.mark.parametrize(
  "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_e1_a_loss_in_pieces_is_the_whole_one_and_so_is_its_gradient(name, monkeypatch):
  model, x = model_of(name, (6,), 5), np.random.default_rng(0).integers(0, 5, (3, 6)).astype(np.int32)
  batch = batch_of(x, np.arange(6) < np.array([[6], [4], [5]]))
  shapes, state = jax.eval_shape(model.init, batch, jax.random.key(0))
  params, keys = filled(shapes), jax.random.split(jax.random.key(1), 3)

  def loss(params, batch, keys):
    bound = model.bound(params, batch, keys, state=state, train=True)
    return (bound.nats if bound.objective is None else bound.objective).sum(), bound.nats

  def found():  # a function of its own each time, or the program of before is taken
    return jax.jit(jax.value_and_grad(lambda *each: loss(*each), has_aux=True))(params, batch, keys)

  whole = found()
  monkeypatch.setattr(categorical, "PIECE", 3 * 2 * 5)  # three pieces of two positions
  pieces = found()
  assert categorical.num_pieces(3, 6, 5) == 3
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), pieces, whole)


def test_e1_draws_of_one_example_at_a_time_are_those_of_all(monkeypatch):
  logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
  keys = jax.jit(example_keys)(jax.random.key(0), np.arange(3))
  whole = jax.jit(categorical.sample_each)(keys, logits)
  monkeypatch.setattr(categorical, "PIECE", 1)
  np.testing.assert_array_equal(jax.jit(lambda *each: categorical.sample_each(*each))(keys, logits), whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uniform", "uniform, continuous", "absorbing", "autoregressive", "block diffusion"])
def test_e1_models_of_50257_categories_train_and_draw_in_little_memory(name):
  """Beside what it is given a step holds less than one array [batch, length, K]; it held 2 to 6."""
  shape, batch_size, num_classes = (128,), 16, 50_257
  model, x = model_of(name, shape, num_classes), np.zeros((batch_size, *shape), np.int32)
  x[:, ::2] = num_classes - 1
  batch, keys = batch_of(x), jax.random.split(jax.random.key(0), batch_size)
  params, state = jax.eval_shape(model.init, batch, jax.random.key(0))
  assert state == {}

  def loss(model, params, batch, keys):
    return -model.bound(params, batch, keys, state={}, train=True).nats.sum()

  whole = 4 * batch_size * shape[0] * num_classes
  compiled = jax.jit(jax.value_and_grad(functools.partial(loss, model))).lower(params, batch, keys).compile()
  assert compiled.memory_analysis().temp_size_in_bytes < whole
  few = jax.tree.map(lambda leaf: leaf[:2, :16] if leaf.ndim == 2 else leaf[:2], batch)
  small = model_of(name, (16,), num_classes)
  made = filled(jax.eval_shape(small.init, few, jax.random.key(0))[0])
  value, slope = jax.jit(jax.value_and_grad(functools.partial(loss, small)))(made, few, keys[:2])
  assert np.isfinite(value)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
  options = SampleOptions(num_steps=None if name in ("autoregressive", "block diffusion") else 2)
  drawn = jax.jit(lambda params, keys: small.sample(params, keys, state={}, options=options))(made, keys[:2])
  assert np.asarray(drawn.x).max() < num_classes
