import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.meshes import on_mesh_of_arguments
from catgen.networks import TRUNKS
from catgen.networks.roles import Denoiser
from catgen.training.learning_rate import DECAYS
from catgen.training.optimizer import OPTIMIZERS, kernel_mask, muon_dimensions
from catgen.training.sharding import make_mesh, shard_state
from catgen.training.state import TrainState
from catgen.trees import leaves, path_name
from tests.parameters import filled

CONSTANT = DECAYS["constant"]()


def first_update(optimizer, grads, params):
  """Returns what a fresh optimizer adds, by one program."""
  return jax.jit(lambda *told: optimizer.update(told[0], optimizer.init(told[1]), told[1])[0])(grads, params)


def test_the_optimizer_uses_the_rate_of_its_step():
  keywords = {"learning_rate": 0.1, "warmup_steps": 3, "decay": DECAYS["linear"]()}
  optimizer, rate = OPTIMIZERS["adam"](**keywords, b1=0.0, b2=0.0, eps=1e-30)(10)
  params = {"bias": np.ones(3, np.float32)}
  state, update, rate = jax.jit(optimizer.init)(params), jax.jit(optimizer.update), jax.jit(rate)
  for step in range(10):
    # Without memory Adam moves every coordinate by exactly the rate, against the sign of the gradient.
    updates, state = update({"bias": np.array([1.0, -2.0, 3.0], np.float32)}, state, params)
    np.testing.assert_allclose(updates["bias"], -float(rate(step)) * np.array([1, -1, 1]), rtol=1e-5)


def network(seed=0):
  rng = np.random.default_rng(seed)

  def normal(*shape):
    return jax.device_put(rng.normal(size=shape).astype(np.float32))

  return {
    "embedding": {"kernel": normal(27, 8)},
    "position_embedding": {"table": normal(16, 8)},
    "layers": {
      "attention": {"query": {"kernel": normal(3, 8, 24)}, "output": {"kernel": normal(3, 24, 8)}},
      "norm": {"scale": normal(3, 8)},
      "mlp": {"bias": normal(3, 8)},
    },
    "middle": {"kernel": normal(8, 32), "bias": normal(32)},
    "column": {"kernel": normal(8, 1)},
    "head": {"kernel": normal(8, 27)},
  }


def test_muon_takes_hidden_kernels_and_nothing_else():
  chosen = jax.tree_util.tree_leaves_with_path(
    muon_dimensions(network()), is_leaf=lambda x: isinstance(x, optax.contrib.MuonDimensionNumbers)
  )
  names = {jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in chosen}
  assert names == {"layers/attention/query/kernel", "layers/attention/output/kernel", "middle/kernel"}


def test_muon_orthogonalizes_matrices_and_each_slice_of_a_stack():
  params, grads = network(0), network(1)
  optimizer, _ = OPTIMIZERS["muon"](learning_rate=1.0, decay=CONSTANT)(10)
  updates = jax.device_get(first_update(optimizer, grads, params))
  slices = [updates["middle"]["kernel"]]
  slices += [*updates["layers"]["attention"]["query"]["kernel"], *updates["layers"]["attention"]["output"]["kernel"]]
  for update in slices:
    scale = max(1.0, update.shape[1] / update.shape[0]) ** 0.5
    values = np.linalg.svd(update, compute_uv=False) / scale
    assert 0.6 < values.min() <= values.max() < 1.25
  for name in ("embedding", "head", "column"):
    # The first step of Adam moves every entry equally far, whatever the gradient's size: by no means orthogonal.
    moved = np.abs(updates[name]["kernel"])
    np.testing.assert_allclose(moved, moved.max(), rtol=1e-3)


@functools.cache
def expected_of_muon():
  return jax.device_get(first_update(by_optax(), network(1), network(0)))


def by_optax():
  rates = {"learning_rate": lambda step: 1e-2, "adam_learning_rate": lambda step: 2e-3}
  return optax.contrib.muon(**rates, weight_decay=0.1, muon_weight_dimension_numbers=muon_dimensions)


@pytest.mark.parametrize(
  "mesh", [None, pytest.param({"fsdp": 8}, marks=pytest.mark.slow), {"data": 2, "fsdp": 2, "tensor": 2}]
)
def test_muon_is_that_of_the_library_on_any_devices(mesh):
  params, grads = network(0), network(1)
  optimizer, _ = OPTIMIZERS["muon"](learning_rate=1e-2, adam_learning_rate=2e-3, decay=CONSTANT, weight_decay=0.1)(10)
  states = [jax.tree.structure(jax.eval_shape(each.init, params)) for each in (optimizer, by_optax())]
  assert states[0] == states[1]  # checkpoints of either are read by the other
  if mesh is not None:
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    layout = shard_state(TrainState(0, shapes, None, (), ()), make_mesh(**mesh), min_size=1).params
    params, grads = jax.device_put((params, grads), (layout, layout))
  found = jax.jit(on_mesh_of_arguments(lambda g, p: optimizer.update(g, optimizer.init(p), p)[0]))(grads, params)
  chex.assert_trees_all_close(jax.device_get(found), expected_of_muon(), rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("axis", ["fsdp", pytest.param("data", marks=pytest.mark.slow)])
def test_each_device_orthogonalizes_some_matrices_and_none_all(axis):
  """By the operations of the program that a device runs: an eighth, and what remains of filling up to eight."""
  kernels = {str(i): {"kernel": jax.ShapeDtypeStruct((64, 96), jnp.float32)} for i in range(13)}
  kernels |= {"stack": {"kernel": jax.ShapeDtypeStruct((3, 96, 64), jnp.float32)}}
  optimizer, _ = OPTIMIZERS["muon"]()(10)

  def update(grads, params):
    return optimizer.update(grads, optimizer.init(params), params)[0]

  def flops(mesh):
    layout = shard_state(TrainState(0, kernels, None, (), ()), mesh).params
    placed = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), kernels, layout)
    program = jax.jit(on_mesh_of_arguments(update), out_shardings=layout).lower(placed, placed)
    return program.compile().cost_analysis()["flops"]

  alone = flops(make_mesh(devices=jax.devices()[:1]))
  assert flops(make_mesh(**{axis: 8})) < 1.2 / 8 * alone


def test_muon_gives_adam_its_own_rate():
  params, grads = network(0), network(1)
  moved = []
  for rate in (1.0, 0.25):
    optimizer, learning_rate = OPTIMIZERS["muon"](learning_rate=1.0, adam_learning_rate=rate)(10)
    moved.append(jax.device_get(first_update(optimizer, grads, params)))
    assert float(learning_rate(0)) == 1.0
  np.testing.assert_allclose(moved[1]["head"]["kernel"], 0.25 * moved[0]["head"]["kernel"], rtol=1e-5)
  np.testing.assert_array_equal(moved[1]["middle"]["kernel"], moved[0]["middle"]["kernel"])


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_weight_decay_acts_on_kernels_alone_and_is_decoupled(name):
  params = network(0)
  grads = jax.tree.map(np.zeros_like, params)
  optimizer, _ = OPTIMIZERS[name](learning_rate=0.5, weight_decay=0.2)(10)
  updates = first_update(optimizer, grads, params)
  np.testing.assert_allclose(updates["middle"]["kernel"], -0.1 * params["middle"]["kernel"], rtol=1e-5)
  assert not np.any(updates["middle"]["bias"])
  assert not np.any(updates["layers"]["norm"]["scale"])
  assert not np.any(updates["position_embedding"]["table"])
  assert not kernel_mask(params)["layers"]["mlp"]["bias"]


def test_clipping_bounds_the_global_norm_before_the_optimizer_sees_it():
  params = {"a": {"bias": np.zeros(4, np.float32)}}
  big, small = ({"a": {"bias": np.float32(scale) * np.array([3, 4, 0, 0], np.float32)}} for scale in (100.0, 0.1))
  optimizer, _ = OPTIMIZERS["adam"](learning_rate=1.0, clip_norm=1.0, eps=1.0, b1=0.0, b2=0.0)(5)

  @jax.jit
  def update(grads):
    return optimizer.update(grads, optimizer.init(params), params)[0]["a"]["bias"]

  np.testing.assert_allclose(update(big), -np.array([0.6 / 1.6, 0.8 / 1.8, 0, 0]), rtol=1e-5)
  np.testing.assert_allclose(update(small), -np.array([0.3 / 1.3, 0.4 / 1.4, 0, 0]), rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_quadratic(name):
  target = network(1)

  def loss(params):
    return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.square(a - b).sum(), params, target)))

  rates = {"learning_rate": 0.05, **({"adam_learning_rate": 0.05} if name == "muon" else {})}
  optimizer, _ = OPTIMIZERS[name](warmup_steps=5, **rates)(60)
  params = network(0)

  @jax.jit
  def step(params, state):
    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, value

  state, losses = jax.jit(optimizer.init)(params), []
  for _ in range(61):
    params, state, value = step(params, state)
    losses.append(float(value))
  assert losses[60] < 0.5 * losses[0]


@pytest.mark.parametrize(
  ("name", "keywords", "named"),
  [
    ("adamw", {"learning_rate": 0.0}, "learning_rate"),
    ("adamw", {"warmup_steps": 11}, "warmup_steps"),
    ("adamw", {"weight_decay": -1.0}, "weight_decay"),
    ("muon", {"weight_decay": float("inf")}, "weight_decay is inf; it must be finite"),
    ("adam", {"weight_decay": 0.1}, "weight_decay"),
    ("adamax", {"clip_norm": -1.0}, "clip_norm"),
    ("adamw", {"adam_learning_rate": 0.1}, "adam_learning_rate"),
    ("muon", {"adam_learning_rate": 0.0}, "learning_rate"),
    ("sgd", {"momentum": 1.0}, "momentum"),
    ("adam", {"b1": 2.0}, "b1 is 2.0; it must be at least 0 and below 1"),
    *((name, {"b1": 1.0}, "b1 is 1.0") for name in ("adam", "radam", "adamw", "adamax", "muon")),
    *((name, {"b2": 1.0}, "b2 is 1.0") for name in ("adam", "radam", "adamw", "adamax", "muon")),
    ("adamax", {"b1": -0.1}, "b1 is -0.1"),
    ("adamw", {"learning_rate": float("inf")}, "learning_rate is inf"),
    ("adamw", {"eps": -1e-8}, "eps is -1e-08"),
    ("adam", {"eps": 0.0}, "eps is 0.0; it must be at least 1.18e-38"),
    ("radam", {"eps": 1e-40}, "eps is 1e-40"),
    ("adamax", {"eps": 0.0}, "eps is 0.0"),
    ("muon", {"eps": 0.0}, "eps is 0.0"),
    ("muon", {"momentum": 1.5}, "momentum is 1.5"),
    ("muon", {"ns_steps": -1}, "ns_steps is -1"),
  ],
)
def test_mistakes_are_named_in_one_line(name, keywords, named):
  with pytest.raises(InputError, match=named) as caught:
    OPTIMIZERS[name](**keywords)(10)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("keywords", "number"), [({}, 1), ({"adam_paths": "^middle/"}, 2)])
def test_kernels_of_paths_that_are_named_are_adams_which_keeps_two_averages_of_each(keywords, number):
  optimizer, _ = OPTIMIZERS["muon"](**keywords)(10)
  state = jax.eval_shape(optimizer.init, network())
  assert sum(path.endswith("middle/kernel") for path, _ in leaves(state)) == number


@pytest.mark.parametrize("kind", ["transformer", "unet"])
def test_what_makes_logits_goes_to_adam_and_every_other_kernel_to_muon(kind):
  """By the paths of a real network: renaming a part of it must not move it from one optimizer to the other."""
  shape = (4, 4) if kind == "unet" else (4,)
  sizes = {"widths": (8, 8), "patch_size": 2} if kind == "unet" else {"width": 8}
  recipe = TRUNKS[kind](num_heads=2, num_layers=1, time_width=8, **sizes)
  network = nnx.eval_shape(lambda: Denoiser(recipe, shape, 5, 5, rngs=nnx.Rngs(0)))
  params = jax.device_put(filled(nnx.to_pure_dict(nnx.state(network, nnx.Param))))
  chosen = jax.tree_util.tree_leaves_with_path(
    muon_dimensions(params), is_leaf=lambda x: isinstance(x, optax.contrib.MuonDimensionNumbers)
  )
  kernels = {path for path, leaf in leaves(params) if path.endswith("/kernel") and leaf.ndim > 1}
  head = "stack/trunk/head/output/kernel" if kind == "unet" else "stack/head/kernel"
  assert kernels - {path_name(path) for path, _ in chosen} == {head, "stack/trunk/norm/modulation/kernel"}
