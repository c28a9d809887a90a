"""A causal network that reads noisy blocks: what depends on what, and that reading block by block changes nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.models.adapter import functional
from catgen.networks import TRUNKS
from catgen.networks.block_causal import BlockCausal
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.roles import Causal
from tests.parameters import drawn_by_numpy, filled

LENGTH, SIZE, K = 9, 3, 5
RNG = np.random.default_rng(0)
X = RNG.integers(0, K, (4, LENGTH)).astype(np.int32)
BLOCK = np.arange(LENGTH) // SIZE


def trunk(**options):
  return TRUNKS["transformer"](**{"width": 16, "num_layers": 2, "num_heads": 2, **options})


@functools.cache
def made(block_length=SIZE, given=(), **options):
  """Returns the network as functions and its parameters, which are noise."""
  with drawn_by_numpy():
    module = functional(
      lambda rngs: BlockCausal(trunk(**options), (LENGTH,), K, given, block_length=block_length, rngs=rngs)
    )
  return module, jax.device_put(filled(jax.eval_shape(module.init, jax.random.key(0))))


@functools.cache
def compiled(block_length=SIZE, given=(), **options):
  """Returns (x, masked, valid, keys, given) -> logits of all positions, beside those of the causal network."""
  module, params = made(block_length, given, **options)

  @jax.jit
  def say(x, masked, valid=None, keys=None, labels=None):
    told = Conditions(valid=valid, keys=keys, given=labels)
    clean = module.apply(params, x, told, method="read_clean")
    noisy = module.apply(params, clean, x, masked, told, lambda logits: logits, pieces=1, method="of_blocks")
    return noisy, module.apply(params, x, told)

  return say


def test_it_has_the_parameters_of_a_causal_network():
  with drawn_by_numpy():
    causal = functional(lambda rngs: Causal(trunk(), (LENGTH,), K, K, rngs=rngs))
  shapes = jax.eval_shape(causal.init, jax.random.key(0))
  assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(np.shape, made()[1])


@pytest.mark.parametrize(
  "options",
  [
    {"conv_width": 3},
    pytest.param({"scan_layers": True}, marks=pytest.mark.slow),
    pytest.param({"positions": False}, marks=pytest.mark.slow),
  ],
)
def test_the_first_position_of_a_block_gets_what_the_causal_network_says(options):
  masked = np.ones(X.shape, bool)
  noisy, causal = compiled(**options)(X, masked)
  np.testing.assert_allclose(noisy[:, ::SIZE], causal[:, ::SIZE], rtol=1e-5, atol=1e-5)
  assert np.abs(noisy[:, 1::SIZE] - causal[:, 1::SIZE]).max() > 1e-2


def test_blocks_of_one_position_are_the_causal_network():
  valid = RNG.random(X.shape) < 0.7
  noisy, causal = compiled(1, conv_width=3)(X, np.ones(X.shape, bool), valid)
  np.testing.assert_allclose(noisy, causal, rtol=1e-5, atol=1e-5)


def test_one_layer_reads_a_visible_beginning_of_a_block_as_the_causal_network_does():
  """With more layers the visible slots of a block have seen each other, those before them what comes after."""
  for number in range(SIZE):
    masked = np.broadcast_to(np.arange(LENGTH) % SIZE >= number, X.shape)
    for layers, same in ((1, True), (2, number == 0)):
      noisy, causal = (found[:, number::SIZE] for found in compiled(num_layers=layers)(X, masked))
      assert (np.abs(noisy - causal).max() < 1e-5) == same


def test_a_position_depends_on_what_is_visible_of_its_block_and_on_all_blocks_before_and_on_nothing_else():
  """By brute force: the category at each position is changed, with each set of visible places of the blocks."""
  rows, changed, positions = [], [], []
  for pattern in range(2**SIZE):
    masked = np.tile([not pattern >> place & 1 for place in range(SIZE)], LENGTH // SIZE)
    for position in range(LENGTH):
      rows.append(masked)
      positions.append(position)
      changed.append(np.where(np.arange(LENGTH) == position, (X[0] + 1) % K, X[0]))
  masked, positions = np.array(rows), np.array(positions)
  whole = np.broadcast_to(X[0], masked.shape)
  both = [np.asarray(compiled(conv_width=3)(np.int32(x), masked)[0]) for x in (whole, np.array(changed))]
  moved = np.abs(both[0] - both[1]).max(axis=-1) > 1e-6
  earlier = BLOCK[positions][:, None] < BLOCK[None]
  visible = (BLOCK[positions][:, None] == BLOCK[None]) & ~np.take_along_axis(masked, positions[:, None], axis=1)
  np.testing.assert_array_equal(moved & masked, (earlier | visible) & masked)  # of the masked positions


def test_what_does_not_count_changes_nothing():
  valid, masked = RNG.random(X.shape) < 0.6, RNG.random(X.shape) < 0.5
  assert (~valid).any()
  noisy = [compiled(conv_width=3)(x, masked, valid)[0] for x in (X, np.where(valid, X, (X + 2) % K))]
  np.testing.assert_array_equal(*noisy)
  everywhere = compiled()(X, masked, np.ones(X.shape, bool))[0]
  np.testing.assert_allclose(everywhere, compiled()(X, masked)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  "options",
  [
    {"given": (2,), "conv_width": 3},
    pytest.param({"scan_layers": True, "conv_width": 3}, marks=pytest.mark.slow),
    pytest.param({"dtype": "bfloat16", "conv_width": 3}, marks=pytest.mark.slow),
  ],
)
def test_block_by_block_it_says_what_it_says_of_all_at_once(options):
  module, params = made(**options)
  labels = np.array([[0], [1], [2], [1]], np.int32) if "given" in options else None
  masked = RNG.random(X.shape) < 0.5
  whole = compiled(**options)(X, masked, None, None, labels)[0]

  @jax.jit
  def blocks(x, masked, valid, labels):
    call, found = functools.partial(module.apply, params), []
    clean = call(len(x), valid, method="unread")
    counts = jnp.ones(x.shape, bool) if valid is None else valid
    before = jnp.concatenate([jnp.full_like(x[:, :1], K), jnp.where(counts, x, K)], axis=1)
    noisy = before.at[:, 1:].set(jnp.where(masked, K, before[:, 1:]))
    for number in range(LENGTH // SIZE):
      first, named = number * SIZE, jnp.int32(number)
      tokens = jnp.concatenate([before[:, first : first + 1], noisy[:, first + 1 : first + SIZE + 1]], axis=1)
      found.append(call(clean, tokens, named, given=labels, method="of_block"))
      clean = call(clean, before[:, first : first + SIZE], named, given=labels, method="read_block")
      assert all(len(leaf) == len(x) for leaf in jax.tree.leaves(clean))  # examples can be chosen among
    return jnp.concatenate(found, axis=1)

  near = {"rtol": 5e-2, "atol": 5e-2} if "dtype" in options else {"rtol": 1e-4, "atol": 1e-5}
  np.testing.assert_allclose(blocks(X, masked, None, labels), whole, **near)
  valid = RNG.random(X.shape) < 0.6
  whole = compiled(**options)(X, masked, valid, None, labels)[0]
  np.testing.assert_allclose(blocks(X, masked, valid, labels), whole, **near)


def test_activations_are_dropped_in_training_only():
  masked, keys = np.ones(X.shape, bool), jax.random.split(jax.random.key(0), len(X))
  plain, dropped = (compiled(dropout=0.5)(X, masked, None, each)[0] for each in (None, keys))
  assert np.abs(plain - dropped).max() > 1e-2


@pytest.mark.slow
def test_a_rematerialized_gradient_is_the_same():
  masked, slopes = np.ones(X.shape, bool), []
  for remat in ("none", "full"):
    module, params = made(remat=remat)

    @jax.jit
    @jax.grad
    def slope(params, module=module):
      clean = module.apply(params, jnp.asarray(X), NO_CONDITIONS, method="read_clean")
      told = (clean, jnp.asarray(X), jnp.asarray(masked), NO_CONDITIONS, lambda logits: (logits**2).sum(axis=-1))
      return module.apply(params, *told, pieces=1, method="of_blocks").sum()

    slopes.append(slope(params))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *slopes)


@pytest.mark.parametrize(
  ("kind", "options", "message"),
  [
    ("lstm", {}, "lstm reads no noisy blocks beside a clean sequence; choose one of transformer$"),
    ("per_position", {}, "per_position .* choose one of"),
  ],
)
def test_a_network_that_cannot_is_refused_in_a_line(kind, options, message):
  with pytest.raises(InputError, match=message):
    functional(lambda rngs: BlockCausal(TRUNKS[kind](**options), (LENGTH,), K, block_length=SIZE, rngs=rngs))
