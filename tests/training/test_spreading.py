"""What devices exchange, by the compiled programs: parameters and gradients, and never examples or activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.distributions import categorical
from catgen.evaluation import estimators, infilling, samples
from catgen.evaluation.spread import ALONE
from catgen.interfaces import SampleOptions
from catgen.meshes import gathered, on_mesh_of_arguments, spread
from catgen.training.collectives import collectives
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.sharding import batch_sharding, make_mesh, place
from catgen.training.step import abstract_state, make_train_step
from tests.training.spread_members import EACH, MANY, MEMBERS

MESHES = {"fsdp": {"fsdp": 8}, "data and fsdp": {"data": 2, "fsdp": 4}, "data": {"data": 8}}
PIECES = 4  # of the members with many classes, on a device
QUICK = {("causal transformer, scanned", "fsdp")}  # of the scanned blocks the one whose program is the smallest
OTHER_MESHES = ("transformer, scanned", "causal lstm", "unet", "argmax flow, autoregressive")
TRAINED = [(name, "fsdp") for name in MEMBERS] + [(name, mesh) for name in OTHER_MESHES for mesh in list(MESHES)[1:]]
DRAWN = {"causal lstm"}
# Blocks of four positions and the sequence itself: network calls of an estimator, and for samples of two blocks.
OF_BLOCKS = {"exact": 2**4, "elbo": 2, "iwbo": 4 + 1, "order": 4 + 1, "draws": 2 * (4 + 1), "training": 2}


@pytest.fixture(autouse=True)
def _pieces(monkeypatch):
  monkeypatch.setattr(categorical, "PIECE", EACH * MANY.shape[0] * MANY.num_classes // PIECES)


def placed(model, mesh):
  """Returns a batch, and the state as shapes, of which all but the smallest parameters are spread."""
  batch = batch_of(np.zeros((8 * EACH, *model.event.shape), np.int32))
  if model.carry is not None:  # whose step reads on from a memory
    batch = batch._replace(continues=np.ones(len(batch.x), bool))
  batch = place(batch, mesh)
  update, rate = OPTIMIZERS["adam"]()(10)
  return batch, abstract_state(model, update, batch, mesh=mesh, min_size=64), update, rate


def num_bytes(params):
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def exchanged(program):
  """Returns the bytes that a device receives, and refuses exchanges of examples."""
  found = collectives(program.compile().as_text())
  examples = [each for each in found if any(size % EACH == 0 for array in each.arrays for size in array.shape)]
  assert not examples, [(each.kind, list(map(str, each.arrays)), each.source) for each in examples]
  assert all(each.bounded for each in found)
  return sum(each.num_bytes for each in found)


@pytest.mark.parametrize(
  ("name", "mesh"), [pytest.param(*each, marks=() if each in QUICK else pytest.mark.slow) for each in TRAINED]
)
def test_a_step_moves_gradients_once_and_parameters_at_most_twice(name, mesh):
  model, devices = MEMBERS[name](), make_mesh(**MESHES[mesh])
  batch, target, update, rate = placed(model, devices)
  step = make_train_step(model, update, rate, target=target)
  moved = exchanged(step.lower(target, batch, jax.random.key(0)))
  parameters = num_bytes(target.params)
  passes = OF_BLOCKS["training"] if name.startswith("blocks") else 1
  assert 0.9 * parameters <= moved <= 1.5 * parameters * (1 if devices.shape["fsdp"] == 1 else 3) * passes


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MEMBERS))
def test_an_evaluation_gathers_parameters_once_for_each_call_of_the_network_and_nothing_else(name):
  model = MEMBERS[name]()
  batch, target, *_ = placed(model, make_mesh(fsdp=8))
  most = 1.5 * num_bytes(target.params)
  for estimator in estimators.available(model):
    law = SampleOptions(order=model.orders.names[0]) if estimator == "order" else SampleOptions()
    score = estimators.compiled(model, estimator, 2, law=law)
    numbers = np.arange(2, dtype=np.int32)
    program = score.lower(target.params, target.model_state, batch, jax.random.key(0), numbers, np.int32(2))
    steps = model.bound.args[0].num_steps if estimator == "full" or (estimator == "iwbo" and model.full_bound) else 1
    steps = OF_BLOCKS[estimator] if name.startswith("blocks") else steps
    assert exchanged(program) <= most * steps * len(numbers), estimator  # on several devices draws follow one another


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=() if name in DRAWN else pytest.mark.slow) for name in MEMBERS]
)
def test_drawing_gathers_parameters_and_nothing_else(name):
  model, mesh = MEMBERS[name](), make_mesh(fsdp=8)
  batch, target, *_ = placed(model, mesh)
  options = SampleOptions(num_steps=3) if model.denoise is not None else SampleOptions()
  calls = OF_BLOCKS["draws"] if name.startswith("blocks") else options.num_steps or 1
  keys = jax.random.split(jax.random.key(0), 8 * EACH)  # as a caller has them, on one device
  draws = [samples.compiled(model, options).lower(target.params, keys, None, target.model_state)]
  if model.infill is not None:
    x, observed = np.asarray(batch.x), np.ones(batch.x.shape, bool)
    draw = infilling.compiled(model, options, ALONE)
    draws.append(draw.lower(target.params, x, observed, keys, None, target.model_state))
  for program in draws:
    assert exchanged(program) <= 1.5 * num_bytes(target.params) * calls


def primitives(jaxpr):
  """Returns the names of all operations, those within loops and branches too."""
  inner = [body for equation in jaxpr.eqns for body in jax.core.jaxprs_in_params(equation.params)]
  return {equation.primitive.name for equation in jaxpr.eqns}.union(*map(primitives, inner))


def test_one_device_is_told_nothing():
  model, mesh = MEMBERS["causal transformer, scanned"](), make_mesh(devices=jax.devices()[:1])
  batch, target, update, rate = placed(model, mesh)
  step = make_train_step(model, update, rate, target=target, num_microbatches=EACH)
  names = primitives(step.trace(target, batch, jax.random.key(0)).jaxpr.jaxpr)
  assert "dot_general" in names
  assert "sharding_constraint" not in names


def test_examples_are_spread_along_any_axis_and_what_does_not_divide_stays():
  x = jax.device_put(np.zeros((16, 3), np.float32), batch_sharding(make_mesh(fsdp=4)))

  @jax.jit
  @on_mesh_of_arguments
  def layouts(x):
    keys = jax.random.split(jax.random.key(0), 16)
    columns, few = spread(jnp.zeros((3, 16)), axis=1), spread(jnp.zeros(12))
    return spread((x.sum(axis=1), jax.vmap(jax.random.uniform)(spread(keys)))), columns, few, gathered(x + 1)

  (rows, drawn), columns, few, whole = layouts(x)
  assert {each.addressable_shards[0].data.shape for each in (rows, drawn)} == {(2,)}
  assert columns.addressable_shards[0].data.shape == (3, 2)
  assert few.is_fully_replicated
  assert whole.is_fully_replicated


def test_elsewhere_arrays_come_back_as_they_are():
  x = jnp.zeros((16, 3))
  assert spread(x) is x
  assert gathered(x) is x
  assert spread(None) is None


def test_devices_draw_what_one_would_also_where_they_do_it_one_example_after_the_other():
  keys, logits = jax.random.split(jax.random.key(0), 16), np.random.default_rng(0).normal(size=(16, 3, 5))
  logits = logits.astype(np.float32)
  there = jax.device_put(logits, batch_sharding(make_mesh(fsdp=4)))
  found = {}
  for at_once in (True, False):
    categorical.PIECE = 2**24 if at_once else 1  # the fixture puts it back
    draw = jax.jit(on_mesh_of_arguments(lambda keys, logits: categorical.sample_each(keys, logits)))
    found[at_once] = [np.asarray(draw(keys, each)) for each in (logits, there)]
  expected = found[True][0]
  assert len(np.unique(expected)) == 5
  for drawn in (*found[True], *found[False]):
    np.testing.assert_array_equal(drawn, expected)
