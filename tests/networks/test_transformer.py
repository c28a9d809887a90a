"""What is special to the transformer: layers as a loop or a scan, with and without rematerialization, and padding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions
from catgen.networks.parts.sizes import block_sizes
from tests.networks import members
from tests.networks.members import BATCH, Member, call, data, gradient, untrained_part

build = partial(members.build, num_layers=2)


@pytest.mark.parametrize("role", ["denoiser", "causal"])
def test_padding_equals_a_shorter_sequence(role):
  x, *rest = data(role)
  short = call(members.build("transformer", role, event=(4,)), (x[:, :4], *rest))
  valid = np.broadcast_to(np.arange(6) < 4, x.shape)
  padded = call(members.build("transformer", role), (x, *rest), valid=valid)
  np.testing.assert_allclose(padded[:, :4], short, atol=1e-5)


def test_without_positions_their_order_is_the_order_of_the_outputs():
  order, (x, *rest) = np.array([3, 0, 5, 1, 4, 2]), data()
  found, moved = (call(members.build("transformer", positions=False), (each, *rest)) for each in (x, x[:, order]))
  np.testing.assert_allclose(moved, found[:, order], atol=1e-5)
  told = [call(members.build("transformer"), (each, *rest)) for each in (x, x[:, order])]
  assert np.abs(told[1] - told[0][:, order]).max() > 1e-2


@pytest.mark.parametrize("scanned", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("role", ["denoiser", pytest.param("causal", marks=pytest.mark.slow)])
def test_scanned_and_rematerialized_layers_compute_the_same(role, scanned):
  loop = build("transformer", role)
  value, slopes = gradient(loop, data(role))
  if scanned:
    other, parameters, expected = (
      build("transformer", role, remat="dots", scan_layers=True),
      stacked(loop),
      stack(slopes),
    )
  else:
    other, parameters, expected = build("transformer", role, remat="full"), nnx.to_pure_dict(nnx.state(loop)), slopes
  again, same = gradient(with_parameters(other, parameters), data(role))
  np.testing.assert_allclose(again, value, rtol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), same, expected)


def test_scanned_layers_drop_the_same_activations():
  loop = build("transformer", dropout=0.2)
  scanned = with_parameters(build("transformer", dropout=0.2, scan_layers=True), stacked(loop))
  keys = jax.random.wrap_key_data(np.arange(2 * BATCH, dtype=np.uint32).reshape(BATCH, 2))
  np.testing.assert_allclose(*(call(network, data(), keys=keys) for network in (loop, scanned)), atol=1e-5)


def test_scanned_layers_start_differently():
  member, sizes = Member("transformer", "denoiser"), {"num_layers": 2, "scan_layers": True}
  kernel = untrained_part(lambda network: network.stack.trunk.layers.blocks.mlp.gate.kernel[...], member, **sizes)
  assert kernel.shape[0] == 2
  assert np.abs(np.subtract(*kernel)).min() > 0


def with_parameters(network, parameters):
  state = nnx.state(network)
  nnx.replace_by_pure_dict(state, parameters)
  nnx.update(network, state)
  return network


def stacked(network):
  return stack(nnx.to_pure_dict(nnx.state(network)))


def stack(parameters):
  """Returns the parameters of a loop of layers in the form of scanned ones."""
  trunk = parameters["stack"]["trunk"]
  blocks = trunk["layers"]["blocks"]
  scanned = jax.tree.map(lambda *leaves: np.stack(leaves), *(blocks[i] for i in sorted(blocks)))
  return {"stack": {**parameters["stack"], "trunk": {**trunk, "layers": {"blocks": scanned}}}}


def test_a_policy_of_rematerialization_that_does_not_exist_is_refused():
  with pytest.raises(InputError, match="remat 'some' is unknown; choose one of none, full, dots"):
    build("transformer", remat="some")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_policies_keep_less_and_less(dtype):
  """Of a block the backward pass finds all that it needs; products with kernels, but no scores; nothing."""
  kept = {}
  for remat in ("none", "dots", "full"):
    network = build("transformer", remat=remat, scan_layers=True, dtype=dtype)
    _, pull = jax.eval_shape(lambda h, network=network: jax.vjp(lambda h: features(network, h), h), np.zeros((2, 6, 8)))
    kept[remat] = [leaf.shape[1:] for leaf in jax.tree.leaves(pull) if len(leaf.shape) > 2 and leaf.shape[0] == 2]
  scores = (2, 2, 6, 6)  # [batch, heads, queries, keys]
  assert scores in kept["none"]
  assert scores not in kept["dots"]
  assert len(kept["none"]) > len(kept["dots"]) > len(kept["full"])


def features(network, h):
  trunk = network.stack.trunk
  time = jnp.zeros((len(h), 8))
  return trunk.layers(h, trunk._angles(), Conditions(time=time))


@pytest.mark.parametrize(
  ("width", "multiple", "hidden"),
  [(128, None, 344), (160, None, 424), (512, None, 1408), (768, None, 2048), (2048, None, 5504), (512, 8, 1368)],
)
def test_hidden_features_are_a_multiple_of_128_where_there_are_many(width, multiple, hidden):
  sizes = block_sizes(width=width, num_heads=4, mlp_ratio=8 / 3, dropout=0.0, dtype="float32", hidden_multiple=multiple)
  assert sizes.hidden_width == hidden
