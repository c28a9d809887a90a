"""Heads and hidden features over the devices of the tensor axis: the same numbers, and what then travels."""

import functools

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import InputError
from catgen.training.collectives import collectives
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.sharding import make_mesh, place, shard_state
from catgen.training.step import abstract_state, make_train_step
from catgen.trees import leaves
from tests.parameters import filled
from tests.training.spread_members import EACH, MEMBERS, diffusion, trunk

LAYERS, WIDTH, LENGTH, BATCH = 2, 32, 8, 8 * EACH
MESHES = {
  "2 x 2 x 2": {"data": 2, "fsdp": 2, "tensor": 2},
  "2 x 1 x 4": {"tensor": 4},
  "1 x 4 x 2": {"fsdp": 4, "tensor": 2},
}


@functools.cache
def program(name, mesh, num_devices=8):
  """Returns the state as shapes, with noise for parameters, a batch, and a compiled step."""
  model, mesh = MEMBERS[name](), make_mesh(**dict(mesh), devices=jax.devices()[:num_devices])
  x = np.random.default_rng(0).integers(model.event.num_classes, size=(BATCH, *model.event.shape))
  update, rate = OPTIMIZERS["adam"]()(10)
  batch = place(batch_of(x.astype(np.int32)), mesh)
  target = abstract_state(model, update, batch, mesh=mesh, min_size=64)
  step = make_train_step(model, update, rate, target=target)
  return target, batch, step.lower(target, batch, jax.random.key(0)).compile()


@functools.cache
def stepped(name, mesh, num_devices=8):
  """Returns the state after a step and its metrics, on the host."""
  target, batch, step = program(name, mesh, num_devices)
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), target)
  state = jax.device_put(zeros._replace(params=filled(target.params)), jax.tree.map(lambda leaf: leaf.sharding, target))
  return jax.device_get(step(state, batch, jax.random.key(0)))


@pytest.mark.parametrize(
  ("name", "mesh"),
  [
    ("causal transformer, scanned", "2 x 2 x 2"),
    pytest.param("transformer, scanned", "2 x 2 x 2", marks=pytest.mark.slow),
    pytest.param("transformer, scanned", "2 x 1 x 4", marks=pytest.mark.slow),
    pytest.param("causal transformer", "1 x 4 x 2", marks=pytest.mark.slow),
    pytest.param("deep transformer", "2 x 2 x 2", marks=pytest.mark.slow),
    pytest.param("transformer_xl", "2 x 2 x 2", marks=pytest.mark.slow),
    pytest.param("unet", "2 x 2 x 2", marks=pytest.mark.slow),
    pytest.param("argmax flow, couplings of scanned transformers", "2 x 2 x 2", marks=pytest.mark.slow),
  ],
)
def test_a_step_is_that_of_one_device(name, mesh):
  one, metrics = stepped(name, (), 1)
  other, others = stepped(name, tuple(MESHES[mesh].items()))
  for key in ("nats", "positions", "grad_norm"):
    np.testing.assert_allclose(others[key], metrics[key], rtol=2e-5)
  # the first average of Adam is a tenth of the gradient
  for (path, found), (_, expected) in zip(leaves(other.opt_state), leaves(one.opt_state), strict=True):
    if path.endswith("attention/key/bias"):  # it adds the same to all scores of a query: its gradient is rounding
      assert max(np.abs(found).max(), np.abs(expected).max()) < 1e-8, path
      continue
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * (1e-12 + np.abs(expected).max()), err_msg=path)


def test_what_travels_are_two_sums_a_block_forward_and_their_gradients():
  target, _, step = program("causal transformer, scanned", tuple(MESHES["2 x 2 x 2"].items()))
  parameters = sum(leaf.size * 4 for leaf in jax.tree.leaves(target.params))
  found = collectives(step.as_text())
  shapes = [(each, array) for each in found for array in each.arrays if any(size % EACH == 0 for size in array.shape)]
  residual = BATCH // 4 * LENGTH * WIDTH  # of the examples of a device
  assert {np.prod(array.shape) for _, array in shapes} <= {residual, *(BATCH // 4 * np.array([1, 16]))}
  sums = sum(each.runs * (np.prod(array.shape) == residual) for each, array in shapes)
  assert sums == LAYERS * (2 + 2 + 3)  # forward; of the perceptron's two and the attention's three products
  others = sum(each.num_bytes for each in found) - 4 * residual * sums
  assert others <= 1.5 * 3 * parameters


def test_kernels_are_cut_by_heads_and_hidden_features():
  target, *_ = program("causal transformer, scanned", tuple(MESHES["2 x 2 x 2"].items()))
  specs = {name: tuple(leaf.sharding.spec) for name, leaf in leaves(target.params)}
  block = {name.split("blocks/")[1]: spec for name, spec in specs.items() if "blocks/" in name}
  assert block["attention/query/kernel"] == (None, "fsdp", "tensor")
  assert block["attention/output/kernel"] == (None, "tensor", "fsdp")
  assert block["mlp/gate/kernel"] == (None, "fsdp", "tensor")
  assert block["mlp/output/kernel"] == (None, "tensor", "fsdp")
  assert not [name for name, spec in specs.items() if "tensor" in spec and not name.endswith("kernel")]


def test_sizes_that_do_not_divide_are_refused():
  model = diffusion(trunk("transformer", num_heads=1))
  mesh = make_mesh(tensor=2)
  update, rate = OPTIMIZERS["adam"]()(10)
  batch = place(batch_of(np.zeros((8, *model.event.shape), np.int32)), mesh)
  target = abstract_state(model, update, batch, mesh=mesh)
  with pytest.raises(InputError, match=r"num_heads 1 is no multiple of mesh\.tensor 2"):
    make_train_step(model, update, rate, target=target).lower(target, batch, jax.random.key(0))
  with pytest.raises(InputError, match=r"88 columns, which mesh\.tensor 3 does not divide"):
    shard_state(target, make_mesh(tensor=3, devices=jax.devices()[:3]), ((r"mlp/gate", "columns"),))
