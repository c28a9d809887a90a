"""Layers with conditioners written here: what is read, what is transformed, in which order, and the volume of it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.flows.layer import Layer, Moving, moved
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.coupling import Coupling, half_coupling
from catgen.flows.layers.rearrangement import reversal, squeeze, unsqueeze
from catgen.flows.layers.transforms import AffineTransform
from catgen.interfaces import InputError
from catgen.networks.conditions import NO_CONDITIONS, Conditions

V = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)


class Recorder:
  """A conditioner of zeros that remembers what it was called with."""

  def __init__(self, num_features):
    self.num_features, self.seen = num_features, []

  def __call__(self, z, conditions):
    self.seen.append((z, conditions))
    return jnp.zeros((*z.shape[:-1], self.num_features))


class Sum:
  """A causal conditioner: the sum of all that came before gives shift and log-scale of every channel."""

  def __call__(self, v, *told, **keywords):
    total = v.sum(axis=-1).reshape(len(v), -1)
    before = jnp.cumsum(total, axis=1) - total
    return jnp.broadcast_to(before.reshape(v.shape[:-1])[..., None], (*v.shape[:-1], 6)) * 0.3

  def init_cache(self, batch_size):
    return jnp.zeros(batch_size)

  def decode(self, cache, previous, position, *told, **keywords):
    total = cache + previous.sum(axis=-1)
    return jnp.broadcast_to(total[:, None], (len(total), 6)) * 0.3, total


class Named(Layer):
  """Adds its number and leaves it as its volume; remembers the conditions that it met."""

  def __init__(self, number, met):
    self.number, self.note = number, met.append

  def forward(self, z, conditions):
    self.note((self.number, conditions))
    return 2.0 * z + self.number, jnp.full(z.shape[:-1], 10.0**self.number)

  def inverse(self, v, conditions):
    self.note((self.number, conditions))
    return (v - self.number) / 2.0, jnp.full(v.shape[:-1], -(10.0**self.number))


def test_a_coupling_reads_the_kept_channels_and_all_conditions():
  recorder = Recorder(4)
  coupling = Coupling(1, recorder, AffineTransform(2))
  conditions = Conditions(valid=jnp.ones((2, 4), bool), given=jnp.zeros((2, 1), jnp.int32))
  z, log_det = coupling.inverse(jnp.asarray(V), conditions)
  ((read, told),) = recorder.seen
  np.testing.assert_array_equal(read, V[..., :1])
  assert told is conditions
  np.testing.assert_allclose(z, V, rtol=1e-6)
  np.testing.assert_array_equal(log_det, 0.0)


def test_channels_beyond_the_transform_stay():
  num_changed = 1
  coupling = Coupling(1, lambda kept, *told, **keywords: jnp.tile(kept, 2 * num_changed), AffineTransform(num_changed))
  v, log_det = jax.jit(lambda v: coupling.forward(v, NO_CONDITIONS))(V)
  shift, log_scale = V[..., :1].astype(np.float64), 2 * np.tanh(V[..., :1].astype(np.float64) / 2)
  expected = V.astype(np.float64)
  expected[..., 1 : 1 + num_changed] = shift + np.exp(log_scale) * V[..., 1 : 1 + num_changed]
  np.testing.assert_allclose(v, expected, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(log_det, num_changed * log_scale[..., 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("num_channels", "num_mixtures"), itertools.product([2, 3, 5], [0, 2]))
def test_half_of_the_channels_condition_the_other_half(num_channels, num_mixtures):
  asked = {}

  def conditioner(**sizes):
    asked.update(sizes)
    return lambda z, *told, **keywords: None

  layer = half_coupling(num_channels, num_mixtures, conditioner)
  changed = num_channels - num_channels // 2
  assert (layer.kept, layer.end) == (num_channels // 2, num_channels)
  outputs = changed * (2 + 3 * num_mixtures if num_mixtures else 2)
  assert asked == {"num_channels": num_channels // 2, "num_outputs": outputs}


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_an_autoregressive_layer_solves_position_after_position(shape):
  layer = Autoregressive(Sum(), AffineTransform(3))
  z = 0.5 * V.reshape(2, *shape, 3)
  v, log_det = jax.jit(lambda z: layer.forward(z, NO_CONDITIONS))(jnp.asarray(z))
  flat, expected, scales = z.astype(np.float64).reshape(2, 4, 3), np.zeros((2, 4, 3)), np.zeros((2, 4))
  for position in range(4):
    told = 0.3 * expected[:, :position].sum(axis=(1, 2))[:, None]
    log_scale = 2 * np.tanh(told / 2)
    expected[:, position] = told + np.exp(log_scale) * flat[:, position]
    scales[:, position] = 3 * log_scale[:, 0]
  np.testing.assert_allclose(np.asarray(v).reshape(2, 4, 3), expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(np.asarray(log_det).reshape(2, 4), scales, rtol=1e-4, atol=1e-5)
  back, back_log_det = jax.jit(lambda v: layer.inverse(v, NO_CONDITIONS))(v)
  np.testing.assert_allclose(back, z, atol=1e-5)
  np.testing.assert_allclose(back_log_det, -log_det, atol=1e-5)


def test_a_chain_generates_first_to_last_and_infers_last_to_first():
  met = []
  chain = Chain([Named(number, met) for number in (0, 1, 2)])
  keys = jax.random.split(jax.random.key(0), 2)
  conditions = Conditions(keys=keys, valid=jnp.asarray(np.arange(4)[None] < np.array([4, 1])[:, None]))
  v, log_det = chain.forward(jnp.asarray(V), conditions)
  np.testing.assert_allclose(v, ((2 * V + 0) * 2 + 1) * 2 + 2, rtol=1e-6)
  np.testing.assert_allclose(log_det, 111 * np.array([4, 1]), rtol=1e-6)  # summed over valid positions
  z, back = chain.inverse(v, conditions)
  np.testing.assert_allclose(z, V, atol=1e-5)
  np.testing.assert_allclose(back, -log_det)
  assert [number for number, _ in met] == [0, 1, 2, 2, 1, 0]
  for number, seen in met:  # the same key in both directions, another one for every layer
    expected = [jax.random.key_data(jax.random.fold_in(key, number)) for key in keys]
    np.testing.assert_array_equal(jax.random.key_data(seen.keys), expected)


def test_actnorm_is_the_statistics_of_its_first_batch_and_survives_a_constant_channel():
  v = V.astype(np.float32).copy()
  v[..., 2] = 7.0

  @jax.jit
  def initialized(v):
    layer = ActNorm(3)
    layer.initialize(v, NO_CONDITIONS)
    return layer.shift[...], layer.log_scale[...], *layer.inverse(v, NO_CONDITIONS)

  shift, log_scale, z, log_det = initialized(v)
  wide = v.astype(np.float64)
  np.testing.assert_allclose(shift, wide.mean(axis=(0, 1)), rtol=1e-5)
  np.testing.assert_allclose(log_scale, np.log(wide.std(axis=(0, 1)) + 1e-6), rtol=1e-4)
  assert np.all(np.isfinite(z))
  np.testing.assert_allclose(log_det, -np.log(wide.std(axis=(0, 1)) + 1e-6).sum(), rtol=1e-4)


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_reversal_is_its_own_inverse_along_every_axis(shape):
  values = np.arange(2 * np.prod(shape) * 2, dtype=np.float32).reshape(2, *shape, 2)
  forward = jax.jit(lambda z: reversal().forward(z, NO_CONDITIONS))
  there, log_det = forward(values)
  flat = values.reshape(2, -1, 2)
  np.testing.assert_array_equal(np.asarray(there).reshape(2, -1, 2), flat[:, ::-1])
  np.testing.assert_array_equal(forward(there)[0], values)
  np.testing.assert_array_equal(log_det, 0.0)


@pytest.mark.parametrize("diagonal", [False, True])
def test_squeezing_moves_numbers_and_changes_none(diagonal):
  values = np.random.default_rng(1).normal(size=(1, 4, 6, 2)).astype(np.float32)
  layer = squeeze((4, 6), diagonal=diagonal)

  @jax.jit
  def there_and_back(v):
    z, log_det = layer.inverse(v, NO_CONDITIONS)
    return z, log_det, layer.forward(z, NO_CONDITIONS)[0]

  z, log_det, back = there_and_back(values)
  assert (z.shape, log_det.shape) == ((1, 2, 3, 8), (1, 4, 6))
  np.testing.assert_array_equal(np.sort(np.asarray(z).ravel()), np.sort(values.ravel()))
  np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (4, 3), (2, 2, 2)])
def test_only_maps_of_even_sides_are_squeezed(shape):
  with pytest.raises(InputError, match="even height and width"):
    squeeze(shape)


def test_conditions_that_are_not_there_need_no_moving():
  assert moved(squeeze((2, 2)), NO_CONDITIONS) == NO_CONDITIONS
  stays = Named(0, [])
  conditions = Conditions(valid=jnp.ones((1, 2), bool))
  assert moved(stays, conditions) is conditions
  assert isinstance(unsqueeze().moving, Moving)
