"""What every flow layer promises, and what is special to some."""

import functools

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
from tests.flows.layers import CHANNELS, LAYERS, SLOW, TEXT, autoregressive, build_filled, coupling

BATCH = 5


def normal(*shape, seed=2):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Compiled:
  """A chain of layers away from any symmetric point, as functions that are compiled once for each kind of conditions.

  Every function takes the chain's parameters first, and batches of as many examples.
  """

  def __init__(self, make):
    def build():
      layers = make(nnx.Rngs(0))
      return Chain(layers if isinstance(layers, list) else [layers])

    self.graph, self.state = build_filled(build)
    self.layers = nnx.merge(self.graph, self.state).layers
    self.inverse = jax.jit(lambda state, *given: self.chain(state).inverse(*given))
    self.drawn = jax.jit(self._drawn)
    self.derived = jax.jit(self._derived)
    self.initialized = jax.jit(self._initialized)

  def chain(self, state):
    return nnx.merge(self.graph, state)

  def _drawn(self, state, v, conditions):
    """Returns what `inverse` does, with keys that are made here of their numbers."""
    return self.chain(state).inverse(v, conditions._replace(keys=jax.random.wrap_key_data(conditions.keys)))

  def _derived(self, state, v, conditions):
    """Returns z, log_det, the Jacobians of the examples, gradients, and what `forward` makes of z.

    The gradients are those by all parameters and values of each number of z, and last of all of them with the
    log-determinants.
    """
    (z, log_det), pull = jax.vjp(lambda state, v: self.chain(state).inverse(v, conditions), state, v)
    size = z[0].size
    rows = jnp.concatenate([jnp.eye(size), jnp.ones((1, size))]).reshape(size + 1, 1, *z.shape[1:])
    last = jnp.broadcast_to(jnp.eye(size + 1)[:, -1:], (size + 1, len(v)))
    gradients = jax.vmap(pull)((jnp.broadcast_to(rows, (size + 1, *z.shape)), last))
    jacobian = gradients[1][:-1].swapaxes(0, 1).reshape(len(v), size, size)
    return z, log_det, jacobian, gradients, self.chain(state).forward(z, conditions)

  def _initialized(self, state, v, conditions):
    chain = self.chain(state)
    chain.initialize(v, conditions)
    return nnx.split(chain)[1]


class Case(Compiled):
  """A member, with values and a context for it."""

  def __init__(self, name):
    self.member = LAYERS[name]
    super().__init__(self.member.make)
    self.conditions = Conditions(
      context=self.context(1.0) if self.member.num_context else None,
      given=self.given(0) if self.member.given else None,
      valid=np.ones((BATCH, *self.member.shape), bool),
    )

  @functools.cached_property
  def known(self):
    """What is derived of the values, where all of them are valid."""
    return jax.tree.map(np.asarray, self.derived(self.state, self.values(), self.conditions))

  @functools.cached_property
  def moves(self):
    """What the chain makes of the places of features and of validity, and of validity as features."""
    valid = self.valid()
    wide = np.broadcast_to(valid[..., None], self.features().shape).astype(np.float32)
    return jax.tree.map(np.asarray, jax.jit(self._moves)(self.features(), valid, wide))

  def _moves(self, features, valid, wide):
    chain = self.chain(self.state)
    moved = chain.moved(Conditions(context=features, valid=valid))
    return moved.context, moved.valid, chain.move(features), chain.move_back(moved.context), chain.move(wide)

  def features(self):
    return normal(BATCH, *self.member.shape, 4, seed=4)

  def values(self, scale=2.0):
    return np.float32(scale) * normal(BATCH, *self.member.shape, self.member.channels)

  def context(self, scale):
    return np.float32(scale) * normal(BATCH, *self.member.shape, self.member.num_context, seed=5)

  def given(self, first):
    """Attributes that differ from example to example, the first example's from `first` on."""
    return (np.arange(BATCH, dtype=np.int32)[:, None] + first) % np.array(self.member.given, np.int32)[None]

  def valid(self):
    """Some positions of the first examples, all of the next, none of the last but one, one of the last."""
    count = int(np.prod(self.member.shape))
    numbers = np.arange(count)[None] < np.array([count, count // 2, count - 1, 0, 1])[:, None]
    return numbers.reshape(BATCH, *self.member.shape)


one_case = functools.cache(Case)


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in LAYERS])
def case(request):
  return one_case(request.param)


def test_round_trip_and_log_det(case):
  z, log_det, jacobian, _, (back, back_log_det) = case.known
  np.testing.assert_allclose(back, case.values(), atol=2e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-3)
  np.testing.assert_allclose(case.derived(case.state, back, case.conditions)[0], z, atol=2e-3)
  expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-4)


def test_what_an_invalid_position_holds_reaches_no_valid_one(case):
  v, valid = case.values(), case.valid()
  conditions = case.conditions._replace(valid=valid)
  others = np.where(valid[..., None], v, np.float32(7.0))
  (z, log_det), (same_z, same) = (case.derived(case.state, x, conditions)[:2] for x in (v, others))
  np.testing.assert_allclose(log_det, same, rtol=1e-6, atol=1e-6)
  where = case.moves[1]
  assert where.shape == z.shape[:-1]
  np.testing.assert_allclose(np.where(where[..., None], np.subtract(z, same_z), 0.0), 0.0, atol=1e-6)
  assert float(np.asarray(log_det)[3]) == 0.0


def test_values_context_and_validity_move_together_and_back(case):
  """A position is valid where all that it is made of is; what moves to z's positions moves back."""
  context, moved_valid, moved, back, each = case.moves
  np.testing.assert_array_equal(moved, context)
  np.testing.assert_array_equal(back, case.features())
  each = each.astype(bool).all(axis=-1)
  assert np.all(each | ~moved_valid)
  if len(case.layers) == 1:  # after squeezing and back, all of a block is invalid where one position was
    np.testing.assert_array_equal(moved_valid, each)


def test_gradients_are_finite_far_out(case):
  for scale in (0.0, 60.0):
    for leaf in jax.tree.leaves(case.derived(case.state, case.values(scale), case.conditions)[3]):
      assert np.all(np.isfinite(leaf))


def test_keys_drop_activations_of_their_own_example(case):
  """Without keys, and where a layer drops nothing, nothing is drawn; without validity, everything is valid."""
  keys = np.arange(2 * BATCH, dtype=np.uint32).reshape(BATCH, 2)
  examples = case.values(), case.conditions._replace(keys=keys, valid=None)
  (together, _), (z, _) = (
    case.drawn(case.state, *jax.tree.map(lambda x, places=places: x[places], examples))
    for places in (np.arange(BATCH), np.full(BATCH, 2))  # all, and the third example at every place
  )
  np.testing.assert_allclose(z, np.broadcast_to(np.asarray(together)[2:3], z.shape), rtol=1e-4, atol=1e-5)
  changed = np.abs(np.subtract(together, case.known[0])).max()
  assert (changed > 1e-4) == case.member.drops


def test_context_and_what_is_given_condition_every_example_that_has_them(case):
  others = []
  if case.member.num_context:
    others.append(case.conditions._replace(context=case.context(-1.0)))
  if case.member.given:
    others += [case.conditions._replace(given=given) for given in (case.given(1), None)]
  for other in others:
    taken_away = case.member.given and other.given is None  # all else is as `known`, whose program is used again
    log_det = (case.inverse if taken_away else case.derived)(case.state, case.values(), other)[1]
    assert np.all(np.abs(np.subtract(case.known[1], log_det)) > 1e-4)


def test_initialization_leaves_a_bijection(case):
  if all(layer.initialize is None for layer in case.layers):
    return
  v = np.float32(5.0) + np.float32(3.0) * case.values()
  state = case.initialized(case.state, v, case.conditions._replace(valid=case.valid()))
  before, after = (jax.tree.leaves(each) for each in (case.state, state))
  assert any(np.any(np.not_equal(a, b)) for a, b in zip(before, after, strict=True))
  np.testing.assert_allclose(case.derived(state, v, case.conditions)[-1][0], v, atol=1e-3)


@pytest.mark.parametrize("kind", ["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def test_autoregressive_jacobian_is_triangular(kind):
  for jacobian in one_case(f"autoregressive_{kind}").known[2]:
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
    assert np.all(jacobian[np.tril_indices(len(jacobian), -1)] != 0.0)


def test_changed_channels_of_two_positions_meet_through_kept_ones_alone():
  """z at a position moves with its own earlier channels and with what is kept anywhere, with nothing else."""
  for jacobian in one_case("coupling_channelwise").known[2]:
    moves = jacobian.reshape(4, CHANNELS, 4, CHANNELS) != 0  # [position, channel, by position, by channel]
    assert moves[:, 1:, :, 0].all()
    for place, other in np.ndindex(4, 4):
      among = [[True, False], [True, True]] if place == other else np.zeros((2, 2))
      np.testing.assert_array_equal(moves[place, 1:, other, 1:], among)


def test_masked_weights_have_no_gradient():
  gradients = one_case("autoregressive_lstm").known[3][0]["layers"][0]["transform"]["network"]
  seen = np.arange(CHANNELS)[:, None] > np.arange(CHANNELS - 1)[None]
  np.testing.assert_array_equal(np.any(np.asarray(gradients["hidden_kernel"][...]) != 0, axis=(0, 3, 4)), seen)


def test_one_channel():
  case = Compiled(lambda rngs: autoregressive("transformer", rngs, num_channels=1))
  v = np.float32(2.0) * normal(BATCH, *TEXT, 1)

  @jax.jit
  def there_and_back(state, v):
    chain = case.chain(state)
    z, log_det = chain.inverse(v)
    return z, log_det, *chain.forward(z)

  z, log_det, back, back_log_det = there_and_back(case.state, v)
  np.testing.assert_allclose(back, v, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=1e-3)
  assert np.abs(z - v).max() > 0.1
  with pytest.raises(InputError, match="two latent channels"):
    half_coupling(1, 2, lambda **_: None)


def test_actnorm_starts_at_mean_zero_and_deviation_one_over_valid_positions():
  valid = np.arange(TEXT[0])[None] < np.array([4, 2, 3, 1, 1])[:, None]
  v = np.float32(6.0) * normal(BATCH, *TEXT, CHANNELS) + np.float32(5.0)
  case = Compiled(lambda rngs: [coupling("transformer", rngs), ActNorm(CHANNELS)])
  conditions = Conditions(valid=valid)
  state = case.initialized(case.state, np.where(valid[..., None], v, np.float32(1e3)), conditions)
  first = jax.jit(lambda state, *given: Chain([case.chain(state).layers[1]]).inverse(*given)[0])
  inner = np.asarray(first(state, v, conditions))[valid]
  np.testing.assert_allclose(inner.mean(0), 0.0, atol=1e-5)
  np.testing.assert_allclose(inner.std(0), 1.0, atol=1e-4)


def test_squeeze_puts_blocks_side_by_side():
  values = np.arange(2.0 * 4 * 6 * 2, dtype=np.float32).reshape(2, 4, 6, 2)
  moving = squeeze((4, 6)).moving
  squeezed = np.asarray(jax.jit(moving.values)(values))
  for row, column in np.ndindex(2, 3):
    block = values[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    np.testing.assert_array_equal(squeezed[:, row, column], block.reshape(2, 8))
  valid = np.ones((1, 4, 6), bool)
  valid[0, 1, 1] = False
  np.testing.assert_array_equal(np.asarray(jax.jit(moving.valid)(valid))[0], [[False, True, True], [True, True, True]])


def test_a_diagonal_squeeze_has_top_left_bottom_right_top_right_bottom_left():
  moving = squeeze((2, 4), diagonal=True).moving
  values = np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1)
  np.testing.assert_array_equal(np.asarray(jax.jit(moving.values)(values))[0, 0], [[0, 5, 1, 4], [2, 7, 3, 6]])


def test_unsqueeze_undoes_squeeze():
  values = normal(2, 4, 8, 3, seed=3)
  there, back = squeeze((4, 8)).moving, unsqueeze().moving
  np.testing.assert_array_equal(jax.jit(lambda x: back.values(there.values(x)))(values), values)
  np.testing.assert_array_equal(jax.jit(lambda x: there.back(back.back(x)))(values), values)
