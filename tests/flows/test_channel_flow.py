"""Nonlinear squared flows over channels: what each channel depends on, and gradients by finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.flows.densities.recurrent import recurrent_density
from catgen.flows.layers.channel_flow import ChannelFlow
from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions
from tests.flows.layers import build_filled

CHANNELS, FEATURES = 5, 3
RNG = np.random.default_rng(0)
V, H = RNG.normal(size=(4, CHANNELS)).astype(np.float32), RNG.normal(size=(4, FEATURES)).astype(np.float32)


@functools.cache
def made(kind, num_layers=1, scale=2.0):
  sizes = {"kind": kind, "num_layers": num_layers, "hidden_width": 12}
  return build_filled(lambda: ChannelFlow(CHANNELS, FEATURES, **sizes, rngs=nnx.Rngs(0)), scale)


def jacobian(kind, num_layers):
  """Returns [examples, out, in] of the direction towards noise, and of that towards data at what comes of it."""
  graph, state = made(kind, num_layers)

  @jax.jit
  def both(state, v, h):
    flow = nnx.merge(graph, state)
    noise = flow.inverse(v, h)[0]
    one = [jax.vmap(jax.jacobian(lambda x, h, f=f: f(x[None], h[None])[0][0])) for f in (flow.inverse, flow.forward)]
    return one[0](v, h), one[1](noise, h)

  return both(state, V, H)


def test_a_masked_network_sees_the_channels_before_and_no_others():
  there, back = (np.asarray(each) for each in jacobian("af", 1))
  for found in (there, back):
    assert np.all(np.triu(found, 1) == 0)
    assert np.all(np.abs(np.tril(found)).max(axis=0)[np.tril_indices(CHANNELS)] > 0)
  np.testing.assert_allclose(there @ back, np.broadcast_to(np.eye(CHANNELS), there.shape), atol=1e-3)


def test_a_coupling_sees_its_first_half():
  there, _ = (np.asarray(each) for each in jacobian("scf", 1))
  seen = np.abs(there).max(axis=0) > 0
  expected = np.eye(CHANNELS, dtype=bool)
  expected[2:, :2] = True
  np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("kind", ["scf", pytest.param("af", marks=pytest.mark.slow)])
def test_the_gradient_of_the_density_is_that_of_finite_differences(kind):
  """By parameters of the first layer, whose gradient passes through the half that later layers copy."""
  graph, state = made(kind, 3, 0.7)

  def log_prob(state):
    z, log_det = nnx.merge(graph, state).inverse(jnp.asarray(V), jnp.asarray(H))
    return (log_det - 0.5 * jnp.square(z).sum(axis=-1)).sum()

  value, slopes = jax.jit(jax.value_and_grad(log_prob))(state)
  evaluate = jax.jit(log_prob)
  leaves, tree = jax.tree.flatten(state)
  for number, leaf in enumerate(leaves):
    direction = RNG.normal(size=leaf.shape).astype(np.float32) / np.sqrt(leaf.size)
    moved = [[*leaves[:number], leaf + sign * 4e-3 * direction, *leaves[number + 1 :]] for sign in (1, -1)]
    ahead, back = (float(evaluate(jax.tree.unflatten(tree, each))) for each in moved)
    expected = float((np.asarray(jax.tree.leaves(slopes)[number]) * direction).sum())
    assert abs((ahead - back) / 8e-3 - expected) < 0.03 * abs(expected) + 0.02, number
  assert np.isfinite(value)


def test_with_channels_reversed_in_between_all_depend_on_each_other_and_come_back():
  """Twelve hidden units for five channels: in turn some degrees have fewer units than others."""
  graph, state = made("af", 2)

  @jax.jit
  def all_of(state, v, h):
    flow = nnx.merge(graph, state)
    noise, log_det = flow.inverse(v, h)
    slopes = jax.vmap(jax.jacobian(lambda v, h: flow.inverse(v[None], h[None])[0][0]))(v, h)
    return log_det, slopes, *flow.forward(noise, h)

  log_det, slopes, again, change = all_of(state, V, H)
  assert np.all(np.abs(slopes).max(axis=0) > 0)
  np.testing.assert_allclose(again, V, atol=1e-4)
  np.testing.assert_allclose(change, -log_det, atol=1e-4)


@pytest.mark.parametrize("time", [pytest.param("af", marks=pytest.mark.slow), "iaf"])
def test_a_position_depends_on_those_before_it_and_itself(time):
  """Towards noise and towards data, by brute force: the other direction of a triangular map is triangular."""
  sizes = {"num_layers": 1, "hidden_width": 8, "lstm_width": 6, "start_width": 4, "channels": "scf", "time": time}
  graph, state = build_filled(lambda: recurrent_density(2, (4,), **sizes, rngs=nnx.Rngs(0)), 2.0)

  @jax.jit
  def jacobians(state, v):
    chain = nnx.merge(graph, state).chain
    return [jax.jacobian(lambda x, f=f: f(x[None], Conditions())[0][0])(v) for f in (chain.inverse, chain.forward)]

  for found in jacobians(state, RNG.normal(size=(4, 2)).astype(np.float32)):
    seen = np.abs(np.asarray(found)).max(axis=(1, 3)) > 0
    np.testing.assert_array_equal(seen, np.tril(np.ones((4, 4), bool)))


def test_one_position_has_the_start_of_the_network_as_its_context():
  sizes = {"num_layers": 1, "hidden_width": 8, "lstm_width": 6, "start_width": 4}
  graph, state = build_filled(lambda: recurrent_density(2, (1,), **sizes, rngs=nnx.Rngs(0)), 2.0)

  @jax.jit
  def both(state, v):
    layer = nnx.merge(graph, state).chain.layers[0]
    return layer.conditioner(v), layer.conditioner.init_cache(len(v))[-1].hidden

  states, start = both(state, RNG.normal(size=(3, 1, 2)).astype(np.float32))
  np.testing.assert_array_equal(states[:, 0], start)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"time": "later"}, "time 'later' of a density is unknown"),
    ({"channels": "maf"}, "channels 'maf' of a density are unknown"),
    ({"time": "iaf", "dropout": 0.2}, "without dropout"),
    ({"num_layers": 0}, "it must be at least 1"),
    ({"num_lstm_layers": 0}, "num_lstm_layers is 0"),
    ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
  ],
)
def test_mistakes_get_one_line(options, message):
  with pytest.raises(InputError, match=message):
    recurrent_density(2, (4,), **{"lstm_width": 8, **options}, rngs=nnx.Rngs(0))


def test_one_channel_has_no_half():
  with pytest.raises(InputError, match="need at least two"):
    recurrent_density(1, (4,), channels="scf", lstm_width=8, rngs=nnx.Rngs(0))
