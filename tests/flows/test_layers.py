"""What every flow layer promises, and what is special to some."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.coupling import half_coupling
from catgen.flows.layers.rearrangement import squeeze, unsqueeze
from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions
from tests.flows.layers import CHANNELS, LAYERS, TEXT, autoregressive, block_coupling, coupling, perturbed

BATCH = 5


class Case:
  """A chain of a member's layers, away from any symmetric point, with values and a context for it."""

  def __init__(self, name):
    self.member = LAYERS[name]
    layers = self.member.make(nnx.Rngs(0))
    self.chain = perturbed(Chain(layers if isinstance(layers, list) else [layers]))
    self.conditions = Conditions(
      context=self.context(1.0) if self.member.num_context else None,
      given=self.given(0) if self.member.given else None,
    )

  def values(self, scale=2.0):
    return scale * jax.random.normal(jax.random.key(2), (BATCH, *self.member.shape, self.member.channels))

  def context(self, scale):
    return scale * jax.random.normal(jax.random.key(5), (BATCH, *self.member.shape, self.member.num_context))

  def given(self, first):
    """Attributes that differ from example to example, the first example's from `first` on."""
    return (jnp.arange(BATCH)[:, None] + first) % jnp.array(self.member.given)[None]

  def valid(self):
    """Some positions of the first examples, all of the next, none of the last but one, one of the last."""
    count = int(np.prod(self.member.shape))
    numbers = jnp.arange(count)[None] < jnp.array([count, count // 2, count - 1, 0, 1])[:, None]
    return numbers.reshape(BATCH, *self.member.shape)


@pytest.fixture(params=LAYERS)
def case(request):
  return Case(request.param)


def test_round_trip_and_log_det(case):
  v = case.values()
  z, log_det = case.chain.inverse(v, case.conditions)
  back, back_log_det = jax.jit(case.chain.forward)(z, case.conditions)
  np.testing.assert_allclose(back, v, atol=2e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-3)
  np.testing.assert_allclose(case.chain.inverse(back, case.conditions)[0], z, atol=2e-3)

  def flat(values, conditions):
    return case.chain.inverse(values.reshape(1, *v.shape[1:]), conditions)[0].reshape(-1)

  conditions = jax.tree.map(lambda array: array[:, None], case.conditions)
  jacobian = jax.vmap(jax.jacrev(flat))(v.reshape(BATCH, -1), conditions)
  expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-4)


def test_what_an_invalid_position_holds_reaches_no_valid_one(case):
  v, valid = case.values(), case.valid()
  conditions = case.conditions._replace(valid=valid)
  (z, log_det), (same_z, same) = (case.chain.inverse(x, conditions) for x in (v, jnp.where(valid[..., None], v, 7.0)))
  np.testing.assert_allclose(log_det, same, rtol=1e-6, atol=1e-6)
  where = case.chain.moved(conditions).valid
  assert where.shape == z.shape[:-1]
  np.testing.assert_allclose(jnp.where(where[..., None], z - same_z, 0.0), 0.0, atol=1e-6)
  assert float(log_det[3]) == 0.0


def test_values_context_and_validity_move_together_and_back(case):
  """A position is valid where all that it is made of is; what moves to z's positions moves back."""
  features, valid = jax.random.normal(jax.random.key(4), (BATCH, *case.member.shape, 4)), case.valid()
  moved = case.chain.moved(Conditions(context=features, valid=valid))
  np.testing.assert_array_equal(case.chain.move(features), moved.context)
  np.testing.assert_array_equal(case.chain.move_back(moved.context), features)
  each = case.chain.move(jnp.broadcast_to(valid[..., None], features.shape).astype(float)).all(axis=-1)
  assert bool(jnp.all(each | ~moved.valid))
  if len(case.chain.layers) == 1:  # after squeezing and back, all of a block is invalid where one position was
    np.testing.assert_array_equal(moved.valid, each)


def test_gradients_are_finite_far_out(case):
  def value(chain, v):
    z, log_det = chain.inverse(v, case.conditions)
    return z.sum() + log_det.sum()

  for scale in (0.0, 60.0):
    for leaf in jax.tree.leaves(nnx.grad(value, argnums=(0, 1))(case.chain, case.values(scale))):
      assert bool(jnp.all(jnp.isfinite(leaf)))


def test_keys_drop_activations_of_their_own_example(case):
  """Without keys, and where a layer drops nothing, nothing is drawn."""
  v, keys = case.values(), jax.random.split(jax.random.key(0), BATCH)
  together = case.chain.inverse(v, case.conditions._replace(keys=keys))[0]
  one = jax.tree.map(lambda x: x[2:3], case.conditions._replace(keys=keys))
  np.testing.assert_allclose(together[2:3], case.chain.inverse(v[2:3], one)[0], rtol=1e-4, atol=1e-5)
  changed = jnp.abs(together - case.chain.inverse(v, case.conditions)[0]).max()
  assert (changed > 1e-4) == case.member.drops


def test_context_and_what_is_given_condition_every_example_that_has_them(case):
  others = []
  if case.member.num_context:
    others.append(case.conditions._replace(context=case.context(-1.0)))
  if case.member.given:
    others += [case.conditions._replace(given=given) for given in (case.given(1), None)]
  log_det = case.chain.inverse(case.values(), case.conditions)[1]
  for other in others:
    assert bool(jnp.all(jnp.abs(log_det - case.chain.inverse(case.values(), other)[1]) > 1e-4))


def test_initialization_leaves_a_bijection(case):
  if all(layer.initialize is None for layer in case.chain.layers):
    return
  v, valid = 5.0 + 3.0 * case.values(), case.valid()
  case.chain.initialize(v, case.conditions._replace(valid=valid))
  z, _ = case.chain.inverse(v, case.conditions)
  np.testing.assert_allclose(case.chain.forward(z, case.conditions)[0], v, atol=1e-3)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_autoregressive_jacobian_is_triangular(kind):
  chain = perturbed(Chain([autoregressive(kind, nnx.Rngs(0))]))
  flat = lambda x: chain.inverse(x.reshape(1, *TEXT, CHANNELS))[0].reshape(-1)  # noqa: E731
  jacobian = np.asarray(jax.jacrev(flat)(2.0 * jax.random.normal(jax.random.key(2), (TEXT[0] * CHANNELS,))))
  np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
  assert np.all(jacobian[np.tril_indices(len(jacobian), -1)] != 0.0)


def test_changed_channels_of_two_positions_meet_through_kept_ones_alone():
  """z at a position moves with its own earlier channels and with what is kept anywhere, with nothing else."""
  chain = perturbed(Chain([block_coupling(nnx.Rngs(0), kept=1, changed=2)]))
  v = 2.0 * jax.random.normal(jax.random.key(2), (4, CHANNELS))
  flat = lambda v: chain.inverse(v.reshape(1, 2, 2, CHANNELS))[0].reshape(4, CHANNELS)  # noqa: E731
  moves = np.asarray(jax.jacrev(flat)(v)) != 0  # [position, channel, by position, by channel]
  assert moves[:, 1:, :, 0].all()
  for place, other in np.ndindex(4, 4):
    among = [[True, False], [True, True]] if place == other else np.zeros((2, 2))
    np.testing.assert_array_equal(moves[place, 1:, other, 1:], among)


def test_masked_weights_have_no_gradient():
  chain = perturbed(Chain([autoregressive("lstm", nnx.Rngs(0))]))
  v = jax.random.normal(jax.random.key(2), (BATCH, *TEXT, CHANNELS))
  gradient = nnx.grad(lambda chain: chain.inverse(v)[0].sum())(chain)
  kernel = np.asarray(gradient["layers"][0]["transform"]["network"]["hidden_kernel"][...])
  seen = np.arange(CHANNELS)[:, None] > np.arange(CHANNELS - 1)[None]
  np.testing.assert_array_equal(np.any(kernel != 0, axis=(2, 3)), seen)


def test_one_channel():
  chain = perturbed(Chain([autoregressive("lstm", nnx.Rngs(0), num_channels=1)]))
  v = 2.0 * jax.random.normal(jax.random.key(2), (BATCH, *TEXT, 1))
  np.testing.assert_allclose(chain.forward(chain.inverse(v)[0])[0], v, atol=1e-4)
  with pytest.raises(InputError, match="two latent channels"):
    half_coupling(1, 2, lambda **_: None)


def test_actnorm_starts_at_mean_zero_and_deviation_one_over_valid_positions():
  valid = jnp.arange(TEXT[0])[None] < jnp.array([4, 2, 3, 1, 1])[:, None]
  v = 6.0 * jax.random.normal(jax.random.key(2), (BATCH, *TEXT, CHANNELS)) + 5.0
  conditions = Conditions(valid=valid)
  chain = Chain([coupling("lstm", nnx.Rngs(0)), ActNorm(CHANNELS)])
  chain.initialize(jnp.where(valid[..., None], v, 1e3), conditions)
  inner = np.asarray(Chain([chain.layers[1]]).inverse(v, conditions)[0])[np.asarray(valid)]
  np.testing.assert_allclose(inner.mean(0), 0.0, atol=1e-5)
  np.testing.assert_allclose(inner.std(0), 1.0, atol=1e-4)


def test_squeeze_puts_blocks_side_by_side():
  values = np.arange(2.0 * 4 * 6 * 2, dtype=np.float32).reshape(2, 4, 6, 2)
  moving = squeeze((4, 6)).moving
  squeezed = np.asarray(moving.values(jnp.asarray(values)))
  for row, column in np.ndindex(2, 3):
    block = values[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    np.testing.assert_array_equal(squeezed[:, row, column], block.reshape(2, 8))
  valid = jnp.ones((1, 4, 6), bool).at[0, 1, 1].set(False)
  np.testing.assert_array_equal(moving.valid(valid)[0], [[False, True, True], [True, True, True]])


def test_a_diagonal_squeeze_has_top_left_bottom_right_top_right_bottom_left():
  moving = squeeze((2, 4), diagonal=True).moving
  values = jnp.arange(8.0).reshape(1, 2, 4, 1)
  np.testing.assert_array_equal(moving.values(values)[0, 0], [[0, 5, 1, 4], [2, 7, 3, 6]])


def test_unsqueeze_undoes_squeeze():
  values = jax.random.normal(jax.random.key(3), (2, 4, 8, 3))
  there, back = squeeze((4, 8)).moving, unsqueeze().moving
  np.testing.assert_array_equal(back.values(there.values(values)), values)
  np.testing.assert_array_equal(there.back(back.back(values)), values)
