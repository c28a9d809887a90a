"""Flow layers: round trips, log-determinants against slogdet of the Jacobian, validity, causality, initialization."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.flows.actnorm import ActNorm
from catgen.flows.autoregressive import Autoregressive
from catgen.flows.block_coupling import BlockCoupling
from catgen.flows.chain import Chain
from catgen.flows.coupling import Coupling
from catgen.flows.invertible_linear import InvertibleLinear
from catgen.flows.multi_scale import map_posterior_flow
from catgen.flows.reversal import Reversal
from catgen.flows.squeeze import Squeeze
from catgen.interfaces import InputError
from catgen.networks import TRUNKS

LENGTH, CHANNELS, MIXTURES = 4, 3, 3
MAP = (2, 2)  # the same positions, for layers that need a map
LSTM = {"hidden_width": 8, "width": 12, "time_width": 4, "lstm_width": 8, "num_layers": 2, "input_dropout": 0.3}
TRANSFORMER = {"width": 8, "num_layers": 2, "num_heads": 2, "dropout": 0.3}
DENSENET = {"width": 6, "num_layers": 2, "growth": 4, "dropout": 0.3}
SIZES = {"lstm": LSTM, "transformer": TRANSFORMER, "densenet": DENSENET}


def coupling(kind, rngs, num_mixtures=MIXTURES, **options):
  return Coupling(
    CHANNELS,
    event_shape=MAP if kind == "densenet" else (LENGTH,),
    num_mixtures=num_mixtures,
    conditioner=TRUNKS[kind](**SIZES[kind]),
    rngs=rngs,
    **options,
  )


def autoregressive(kind, rngs, num_channels=CHANNELS):
  return Autoregressive(
    num_channels,
    event_shape=(LENGTH,),
    num_mixtures=MIXTURES,
    conditioner=TRUNKS[kind](**SIZES[kind]),
    num_features=8,
    hidden_width=8,
    channel_features=5,
    rngs=rngs,
  )


def block_coupling(rngs, kept, changed):
  return BlockCoupling(
    kept=kept,
    changed=changed,
    event_shape=MAP,
    num_mixtures=MIXTURES,
    conditioner=TRUNKS["densenet"](**DENSENET),
    num_features=8,
    hidden_width=8,
    channel_features=5,
    rngs=rngs,
  )


def chain(rngs):
  return Chain([coupling("lstm", rngs), InvertibleLinear(CHANNELS, rngs=rngs), Reversal(), coupling("lstm", rngs)])


def map_posterior(rngs, **options):
  conditioner = TRUNKS["densenet"](**DENSENET)
  return map_posterior_flow(
    num_channels=CHANNELS,
    event_shape=MAP,
    conditioner=conditioner,
    rngs=rngs,
    num_context=0,
    num_layers=2,
    **options,
  )


MAKERS = {
  "coupling_lstm": partial(coupling, "lstm"),
  "coupling_transformer": partial(coupling, "transformer"),
  "autoregressive_lstm": partial(autoregressive, "lstm"),
  "autoregressive_transformer": partial(autoregressive, "transformer"),
  "invertible_linear": partial(lambda rngs: InvertibleLinear(CHANNELS, rngs=rngs)),
  "reversal": lambda rngs: Reversal(),
  "actnorm": lambda rngs: ActNorm(CHANNELS),
  "coupling_densenet": partial(coupling, "densenet"),
  "coupling_affine": partial(coupling, "densenet", num_mixtures=0),
  "block_coupling": partial(block_coupling, kept=1, changed=2),
  "block_coupling_of_one": partial(block_coupling, kept=1, changed=1),
  "squeeze": lambda rngs: Squeeze(MAP),
  "squeeze_diagonal": lambda rngs: Squeeze(MAP, diagonal=True),
  "squeezed": partial(map_posterior, squeeze=True),
  "chain": chain,
}


def perturbed(module, scale=0.1):
  graph, state = nnx.split(module)
  leaves, tree = jax.tree.flatten(state)
  keys = jax.random.split(jax.random.key(1), max(len(leaves), 1))
  noisy = [leaf + scale * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=False)]
  return nnx.merge(graph, jax.tree.unflatten(tree, noisy))


@pytest.fixture(params=MAKERS)
def layer(request):
  return perturbed(MAKERS[request.param](nnx.Rngs(0)))


def points(batch=5, scale=2.0):
  return scale * jax.random.normal(jax.random.key(2), (batch, LENGTH, CHANNELS))


def test_round_trip_and_log_det(layer):
  v = points()
  z, log_det = layer.inverse(v)
  back, back_log_det = jax.jit(layer.forward)(z)
  np.testing.assert_allclose(back, v, atol=2e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-3)
  flat = lambda x: layer.inverse(x.reshape(1, LENGTH, CHANNELS))[0].reshape(-1)  # noqa: E731
  jacobian = jax.vmap(jax.jacrev(flat))(v.reshape(len(v), -1))
  expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-4)


def test_what_an_invalid_position_holds_reaches_no_valid_one(layer):
  valid = jnp.arange(LENGTH)[None] < jnp.array([4, 2, 3, 0, 1])[:, None]
  v = points()
  other = jnp.where(valid[..., None], v, 7.0)
  (z, log_det), (same_z, same) = layer.inverse(v, valid=valid), layer.inverse(other, valid=valid)
  np.testing.assert_allclose(log_det, same, rtol=1e-6, atol=1e-6)
  where = layer.move(valid) if hasattr(layer, "move") else valid
  np.testing.assert_allclose(jnp.where(where[..., None], z - same_z, 0.0), 0.0, atol=1e-6)
  assert float(log_det[3]) == 0.0


def test_gradients_are_finite_far_out(layer):
  def value(layer, v):
    z, log_det = layer.inverse(v)
    return z.sum() + log_det.sum()

  for scale in (0.0, 60.0):
    for leaf in jax.tree.leaves(nnx.grad(value, argnums=(0, 1))(layer, points(scale=scale))):
      assert bool(jnp.all(jnp.isfinite(leaf)))


@pytest.mark.parametrize("kind", SIZES)
def test_autoregressive_jacobian_is_triangular(kind):
  layer = perturbed(autoregressive(kind, nnx.Rngs(0)))
  flat = lambda x: layer.inverse(x.reshape(1, LENGTH, CHANNELS))[0].reshape(-1)  # noqa: E731
  jacobian = np.asarray(jax.jacrev(flat)(points(1).reshape(-1)))
  np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
  assert np.all(jacobian[np.tril_indices(len(jacobian), -1)] != 0.0)


def test_changed_channels_of_two_positions_meet_through_kept_ones_alone():
  """z at a position moves with its own earlier channels and with what is kept anywhere, with nothing else."""
  layer = perturbed(block_coupling(nnx.Rngs(0), kept=1, changed=2))
  jacobian = np.asarray(jax.jacrev(lambda v: layer.inverse(v[None])[0][0])(points(1)[0]))
  moves = jacobian != 0  # [position, channel, by position, by channel]
  assert moves[:, 1:, :, 0].all()
  for place, other in np.ndindex(LENGTH, LENGTH):
    among = [[True, False], [True, True]] if place == other else np.zeros((2, 2))
    np.testing.assert_array_equal(moves[place, 1:, other, 1:], among)


def test_masked_weights_have_no_gradient():
  layer = perturbed(autoregressive("lstm", nnx.Rngs(0)))
  gradient = nnx.grad(lambda layer: layer.inverse(points())[0].sum())(layer)
  kernel = np.asarray(gradient["channels"]["hidden_kernel"][...])
  seen = np.arange(CHANNELS)[:, None] > np.arange(CHANNELS - 1)[None]
  np.testing.assert_array_equal(np.any(kernel != 0, axis=(2, 3)), seen)


def test_one_channel():
  layer = perturbed(autoregressive("lstm", nnx.Rngs(0), num_channels=1))
  v = points()[..., :1]
  np.testing.assert_allclose(layer.forward(layer.inverse(v)[0])[0], v, atol=1e-4)
  with pytest.raises(InputError, match="two latent channels"):
    Coupling(1, event_shape=(4,), num_mixtures=2, conditioner=TRUNKS["lstm"](), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", SIZES)
def test_context_conditions_a_coupling(kind):
  layer = perturbed(coupling(kind, nnx.Rngs(0), num_context=2))
  context = jax.random.normal(jax.random.key(5), (5, LENGTH, 2))
  z, log_det = layer.inverse(points(), context=context)
  np.testing.assert_allclose(layer.forward(z, context=context)[0], points(), atol=1e-4)
  assert bool(jnp.all(jnp.abs(log_det - layer.inverse(points(), context=-context)[1]) > 1e-4))


@pytest.mark.parametrize("kind", SIZES)
def test_dropout_draws_per_example(kind):
  layer = perturbed(coupling(kind, nnx.Rngs(0)))
  keys = jax.random.split(jax.random.key(0), 5)
  with_keys = layer.inverse(points(), keys=keys)[1]
  np.testing.assert_allclose(with_keys[2:3], layer.inverse(points()[2:3], keys=keys[2:3])[1], rtol=1e-5)
  assert bool(jnp.any(jnp.abs(with_keys - layer.inverse(points())[1]) > 1e-4))


def test_actnorm_starts_at_mean_zero_and_deviation_one_over_valid_positions():
  valid = jnp.arange(LENGTH)[None] < jnp.array([4, 2, 3, 1, 1])[:, None]
  v = jnp.where(valid[..., None], 3.0 * points() + 5.0, 1e3)
  layer = Chain([coupling("lstm", nnx.Rngs(0)), ActNorm(CHANNELS)])
  layer.initialize(v, valid=valid)
  inner = np.asarray(layer.layers[1].inverse(v, valid=valid)[0])[np.asarray(valid)]
  np.testing.assert_allclose(inner.mean(0), 0.0, atol=1e-5)
  np.testing.assert_allclose(inner.std(0), 1.0, atol=1e-4)
