"""Layers, priors and densities of one-hot vectors: one to one, of the positions and channels that they say."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.batches import batch_of
from catgen.flows.densities.categorical_priors import Ordered, Predicted
from catgen.flows.layers.alternating import Alternating
from catgen.flows.layers.categories import ModularTransform, SortingTransform
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.denoising import DenoisingPositions, denoising_channels
from catgen.flows.layers.rearrangement import Rotation
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.roles import Conditioner
from catgen.trees import leaves
from tests.flows.layers import build_filled
from tests.parameters import filled

K = 3
TRANSFORMER, DENSENET = (
  TRUNKS["transformer"](width=8, num_layers=1, num_heads=2),
  TRUNKS["densenet"](width=8, num_layers=1, growth=8),
)


def one_hot(x):
  return jax.device_put(np.eye(K, dtype=np.float32)[x])


def conditioner(rngs, shape=(4,), channels=K, outputs=K, trunk=TRANSFORMER, **options):
  return Conditioner(trunk, shape, channels, outputs, rngs=rngs, **options)


def alternating(parity):
  transform = ModularTransform(K, scaled=True, temperature=0.1)
  return lambda rngs: Alternating((4,), parity, conditioner(rngs, channels=K + 1, outputs=2 * K), transform)


def denoising(parity):
  return lambda rngs: DenoisingPositions(
    (4,), parity, conditioner(rngs, channels=K + 1), SortingTransform(K, num_sorted=2)
  )


def built(make):
  graph, state = build_filled(lambda: make(nnx.Rngs(0)), 2.0)
  return nnx.merge(graph, jax.device_put(state))


@pytest.mark.parametrize("num_classes", [4, 6, 7])
def test_whatever_scale_is_wanted_one_that_can_be_undone_is_taken(num_classes):
  """Also 0, and those that share a factor with K; of the others the one that is wanted most."""
  wanted = np.repeat(np.arange(num_classes), num_classes)  # and each with every category
  x = np.eye(num_classes, dtype=np.float32)[np.tile(np.arange(num_classes), num_classes)]
  features = np.random.default_rng(0).normal(size=(len(x), 2 * num_classes)).astype(np.float32)
  features[:, :num_classes] = features[0, :num_classes]
  features[:, num_classes:] = features[0, num_classes:]
  features[np.arange(len(x)), num_classes + wanted] += 20
  transform = ModularTransform(num_classes, scaled=True, temperature=0.1)
  x, told = jnp.asarray(x), jnp.asarray(features)
  z, _ = jax.jit(transform.inverse)(x, told)
  np.testing.assert_array_equal(jax.jit(transform.forward)(z, told)[0], x)
  numbers = np.asarray(z).argmax(-1).reshape(num_classes, num_classes)
  assert all(len(set(row)) == num_classes for row in numbers.tolist())
  undoable = [number for number in range(num_classes) if math.gcd(number, num_classes) == 1]
  shift = int(features[0, :num_classes].argmax())
  for scale in undoable:
    np.testing.assert_array_equal((shift + scale * numbers[scale]) % num_classes, np.arange(num_classes))


@pytest.mark.parametrize(
  ("make", "parity"),
  [
    (alternating, 0),
    (denoising, 1),
    pytest.param(alternating, 1, marks=pytest.mark.slow),
    pytest.param(denoising, 0, marks=pytest.mark.slow),
  ],
)
def test_every_second_position_changes_given_the_others(make, parity):
  layer = built(make(parity))
  x = np.array(list(itertools.product(range(K), repeat=4)), np.int32)
  stay = np.arange(4) % 2 != parity
  other = np.array([[0, 1, 2, 1], [0, 1, 2, 1], [0, 1, 2, 1]], np.int32)
  other[1, stay], other[2, ~stay] = 2, 2

  @jax.jit
  def all_of(v, other):
    z, log_det = layer.inverse(v, NO_CONDITIONS)
    return z, log_det, layer.features(other, NO_CONDITIONS), layer.forward(z, NO_CONDITIONS)[0]

  z, log_det, features, back = map(np.asarray, all_of(one_hot(x), one_hot(other)))
  numbers = np.asarray(z).argmax(-1)
  np.testing.assert_array_equal(z, one_hot(numbers))
  assert not np.any(log_det)
  np.testing.assert_array_equal(numbers[:, stay], x[:, stay])
  assert len(np.unique(numbers, axis=0)) == K**4  # one to one
  assert np.abs(features[1] - features[0])[~stay].max() > 1e-4
  np.testing.assert_array_equal(features[2], features[0])
  np.testing.assert_array_equal(back, one_hot(x))


def test_sorting_positions_learns_by_their_log_probability_and_by_nothing_else():
  layer = built(denoising(1))
  x = np.array([[0, 1, 2, 1], [2, 2, 0, 1]], np.int32)

  @jax.jit
  def all_of(v):
    return *layer.explain(v, NO_CONDITIONS), layer.inverse(v, NO_CONDITIONS)[0], layer.features(v, NO_CONDITIONS)

  z, log_p, same, logits = all_of(one_hot(x))
  np.testing.assert_array_equal(z, same)
  logits = np.asarray(logits, np.float64)
  of_all = np.take_along_axis(logits, x[..., None], -1)[..., 0] - np.log(np.exp(logits).sum(-1))
  np.testing.assert_allclose(log_p, np.where(np.arange(4) % 2, of_all, 0), rtol=1e-5)

  graph, state = nnx.split(layer)

  def ranks(state):
    return nnx.merge(graph, state).explain(one_hot(x), NO_CONDITIONS)[0].sum()

  slopes = jax.jit(jax.grad(ranks))(state)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(slopes))


def test_sorting_channels_ranks_the_second_half_given_the_first():
  def make(rngs):
    def network(num_channels, num_outputs):
      return conditioner(rngs, (2, 2), num_channels, num_outputs, DENSENET)

    return Chain([denoising_channels(K, 4, 2, network), Rotation(K)][::-1])

  chain = built(make)
  x = np.random.default_rng(2).integers(0, K, (200, 2, 2, 4), dtype=np.int32)
  values = one_hot(x).reshape(200, 2, 2, 4 * K)
  z, raised = jax.jit(chain.explain)(values)
  np.testing.assert_array_equal(jax.jit(chain.forward)(z)[0], values)
  numbers = np.asarray(z).reshape(200, 2, 2, 4, K).argmax(-1)
  np.testing.assert_array_equal(numbers[..., [3, 0]], x[..., :2])  # they stayed, and were rotated
  assert (numbers[..., 1:3] != x[..., 2:]).any()
  log_p = jax.jit(lambda v: chain.layers[1].explain(v, NO_CONDITIONS)[1])(values)
  np.testing.assert_allclose(raised, np.asarray(log_p).sum((1, 2)), rtol=1e-5)


def test_priors_that_predict_are_normalized():
  predicted = built(lambda rngs: Predicted(conditioner(rngs, (1,), K, 2 * K), K))
  ordered = built(lambda rngs: Ordered(conditioner(rngs, (2,), causal=True), K))
  pairs = np.array(list(itertools.product(range(K), repeat=2)), np.int32)
  side_by_side, stays = one_hot(pairs).reshape(-1, 1, 2 * K), one_hot(np.ones((9, 1), np.int32))
  for prior, z, given in ((predicted, side_by_side, stays), (ordered, one_hot(pairs), None)):
    log_p = jax.jit(lambda z, prior=prior, given=given: prior.log_prob(z, given, NO_CONDITIONS))(z)
    assert np.std(log_p) > 0.01
    np.testing.assert_allclose(np.exp(np.float64(log_p)).sum(), 1, rtol=1e-5)


def test_padding_is_no_part_of_a_layers_lesson():
  chain = built(lambda rngs: Chain([denoising(1)(rngs)]))
  x, valid = np.array([[0, 1, 2, 1]], np.int32), jnp.array([[True, True, True, False]])
  lesson = jax.jit(lambda v, valid: chain.explain(v, Conditions(valid=valid))[1])
  whole, cut = (lesson(one_hot(x), each) for each in (jnp.ones_like(valid), valid))
  assert float(cut[0]) > float(whole[0])  # nats of one position less
  changed = lesson(one_hot(x + [[0, 0, 0, 1]]), valid)
  np.testing.assert_array_equal(cut, changed)


@pytest.mark.parametrize(
  ("kind", "keywords", "message"),
  [
    ("discrete_flow", {"coupling": "triangular"}, "coupling 'triangular' is unknown; choose autoregressive or bipart"),
    ("discrete_flow", {"temperature": 0.0}, "temperature 0.0; they must be"),
    ("discrete_flow", {"num_layers": 0}, "num_layers is 0"),
    ("discrete_flow", {"num_classes": 50_000}, "scales need at most 46,340 categories, not 50,000; set scale to false"),
    ("denoising_flow", {"num_sorted": 4}, "num_sorted 4; they must be .* 1 to 3"),
    ("denoising_flow", {"num_levels": -1}, "num_levels -1"),
    ("denoising_flow", {"num_levels": 1}, "maps of even height and width, not"),
  ],
)
def test_impossible_flows_are_refused(kind, keywords, message):
  num_classes, keywords = keywords.get("num_classes", K), {k: v for k, v in keywords.items() if k != "num_classes"}
  with pytest.raises(InputError, match=message):
    MODELS[kind].make(EventSpec((4,), num_classes), **{"conditioner": TRANSFORMER, **keywords})


def test_maps_with_ignored_pixels_are_not_squeezed():
  event = EventSpec((2, 2), K, ignores=True)
  with pytest.raises(InputError, match=r"blocks of 2 x 2 pixels as one.*num_levels to 0"):
    MODELS["denoising_flow"].make(event, conditioner=DENSENET, num_levels=1)
  MODELS["denoising_flow"].make(event, conditioner=DENSENET)


def test_draws_of_flows_of_categories_have_no_options():
  model = MODELS["discrete_flow"].make(EventSpec((2,), K), conditioner=TRANSFORMER)
  with pytest.raises(InputError, match="draws that mean nothing by themselves: top_k does not apply"):
    model.sample({}, jax.random.split(jax.random.key(0), 2), state={}, options=SampleOptions(top_k=1))


def test_a_denoising_flow_trains_its_networks_by_what_they_predict_beside_the_likelihood():
  model = MODELS["denoising_flow"].make(EventSpec((4,), K), conditioner=TRANSFORMER, num_layers=2)
  batch = jax.device_put(batch_of(np.random.default_rng(0).integers(0, K, (5, 4)).astype(np.int32)))
  params = filled(jax.eval_shape(model.init, batch, jax.random.key(0))[0])
  keys = jax.random.split(jax.random.key(1), 5)
  module_of = model.bound.args[0]
  lesson = jax.jit(lambda params, x: module_of(params).density.explain(x, NO_CONDITIONS)[1])(params, one_hot(batch.x))

  def of(params):
    bound = model.bound(params, batch, keys, state={}, train=True)
    return bound.objective.sum(), bound

  slopes, bound = jax.jit(jax.grad(of, has_aux=True))(params)
  assert (np.asarray(lesson) < -0.1).all()
  np.testing.assert_allclose(bound.objective - bound.nats, lesson, rtol=1e-5)
  heads = [np.abs(leaf).max() for name, leaf in leaves(slopes) if "head" in name]
  assert len(heads) == 4  # kernel and bias of both layers
  assert min(heads) > 1e-3


@pytest.mark.slow
def test_two_levels_hold_every_map_once():
  """Of the 2^16 bit maps of 4 x 4: probabilities add up to one over all of them."""
  sizes = {"conditioner": TRUNKS["densenet"](width=4, num_layers=1, growth=4), "num_layers": 2, "num_levels": 2}
  model = MODELS["denoising_flow"].make(EventSpec((4, 4), 2), **sizes)
  maps = (np.arange(2**16)[:, None] >> np.arange(16) & 1).astype(np.int32).reshape(-1, 4, 4)
  params = filled(jax.eval_shape(model.init, batch_of(maps[:1]), jax.random.key(0))[0], 2.0)
  log_p = np.float64(jax.jit(lambda params: model.log_prob(params, jax.device_put(batch_of(maps)), state={}))(params))
  assert log_p.std() > 0.1
  np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
