"""Multi-scale flows: every latent has a place, Jacobians by brute force, and inverses at the size of real maps."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.config import load_config
from catgen.flows.densities import DENSITIES, POSTERIOR_FLOWS
from catgen.flows.layers.rearrangement import squeeze
from catgen.interfaces import InputError
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from tests.flows.layers import build_filled

CHANNELS = 2
EVENT, BATCH = (4, 4), 3
ALL_VALID = Conditions(valid=np.ones((BATCH, *EVENT), bool))
SHAPES = {
  "one_level": {"num_levels": 1, "num_layers": 2},
  "three_levels": {"num_levels": 3},
  "squeeze_first": {"num_levels": 2, "squeeze_first": True},
  "no_leaving": {"num_levels": 2, "factor_out": False},
  "mixtures": {"num_levels": 1, "num_mixtures": 2},
}
CONDITIONER = TRUNKS["densenet"](width=6, num_layers=0, growth=4)


def density(event_shape=EVENT, num_layers=1, num_channels=CHANNELS, **options):
  make = DENSITIES["multi_scale"].make
  return make(
    num_channels=num_channels,
    event_shape=event_shape,
    conditioner=CONDITIONER,
    rngs=nnx.Rngs(0),
    num_layers=num_layers,
    **options,
  )


def pyramid(event_shape=EVENT, num_channels=CHANNELS, **options):
  return DENSITIES["pyramid"].make(
    num_channels=num_channels,
    event_shape=event_shape,
    conditioner=CONDITIONER,
    rngs=nnx.Rngs(0),
    **{"num_levels": 2, "num_features": 8, "hidden_width": 8, "channel_features": 4, **options},
  )


MEMBERS = {
  **{name: (density, options) for name, options in SHAPES.items()},
  "pyramid_of_two_levels": (pyramid, {"num_levels": 2, "num_channels": 1}),
  "pyramid_of_one_level": (pyramid, {"num_levels": 1}),
}
# Of one pyramid and of several levels there are others; mixtures go through maps of 32 x 64 below.
SLOW = {"pyramid_of_two_levels", "one_level", "no_leaving", "mixtures"}


class Compiled:
  """A flow away from any symmetric point, whose functions are compiled once for each kind of conditions."""

  def __init__(self, build, scale=1.0):
    self.graph, self.state = build_filled(build, scale)
    self.flow = nnx.merge(self.graph, self.state)
    self.log_prob = self.compiled(lambda flow, *given: flow.log_prob(*given))
    self.derived = self.compiled(_derived)

  def compiled(self, function, **options):
    """Returns a function of the flow and more as a function of the latter alone."""
    jitted = jax.jit(lambda state, *given: function(nnx.merge(self.graph, state), *given), **options)
    return lambda *given: jax.tree.map(np.asarray, jitted(self.state, *given))


def _derived(flow, v):
  """Returns what `inverse` does, the Jacobian of all latents of each example, and what `forward` makes of them."""
  (latents, log_det), jacobian = _linearized(flow, v)
  return latents, log_det, jacobian, flow.forward(latents)


def _linearized(flow, v):
  """Returns what `inverse` does, and the Jacobian of all latents of each example."""
  (latents, log_det), moved = jax.linearize(flow.inverse, v)

  def column(by):
    return moved(jnp.broadcast_to(by.reshape(1, *v.shape[1:]), v.shape))[0]

  columns = jax.lax.map(column, jnp.eye(v[0].size))
  jacobian = jnp.concatenate([one.reshape(v[0].size, len(v), -1) for one in columns], axis=2)
  return (latents, log_det), jacobian.transpose(1, 2, 0)


def maps(batch, event_shape=EVENT, num_channels=CHANNELS, scale=1.5):
  noise = np.random.default_rng(3).normal(size=(batch, *event_shape, num_channels))
  return (scale * noise).astype(np.float32)


@functools.cache
def member(name):
  make, options = MEMBERS[name]
  return Compiled(partial(make, **options))


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MEMBERS]
)
def test_nothing_is_lost_and_the_jacobian_is_that_of_all_latents(name):
  case, v = member(name), maps(BATCH, num_channels=MEMBERS[name][1].get("num_channels", CHANNELS))
  latents, log_det, jacobian, (back, back_log_det) = case.derived(v)
  expected = [(*shape, leaving) for shape, leaving in zip(case.flow.shapes, case.flow.leaving, strict=True)]
  assert [latent.shape[1:] for latent in latents] == expected
  assert sum(latent[0].size for latent in latents) == v[0].size
  expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-3)
  np.testing.assert_allclose(back, v, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-3)


def assert_comes_back(case):
  """Maps of 32 x 64 with 8 channels go through an initialized flow and back within 1e-4."""

  def there_and_back(flow, v):
    flow.initialize(v)
    latents, log_det = flow.inverse(v)
    return log_det, *flow.forward(latents)

  v = maps(2, (32, 64), 8)
  log_det, back, back_log_det = case.compiled(there_and_back)(v)
  np.testing.assert_allclose(back, v, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4)


def model_of(config):
  return load_config(config).values["model"]


def small(part, make, scale=0.5, **options):
  """Returns the flow of a config's section over maps of 32 x 64 with 8 channels, its DenseNets narrow."""
  keywords = {key: value for key, value in part.items() if key not in ("kind", "conditioner")}
  conditioner = TRUNKS["densenet"](width=6, num_layers=1, growth=4)
  keywords = {**keywords, **options, "conditioner": conditioner}
  return Compiled(lambda: make.make(num_channels=8, event_shape=(32, 64), rngs=nnx.Rngs(0), **keywords), scale)


@pytest.mark.parametrize(
  ("config", "changes"),
  [
    pytest.param("paper/cityscapes_argmax_softplus", {}, marks=pytest.mark.slow),
    pytest.param("paper/cityscapes_argmax_softplus", {"num_layers": 1}, marks=pytest.mark.slow),
    pytest.param(
      "paper/cityscapes_argmax_softplus",
      {"num_levels": 2, "num_layers": 1, "factor_out": False},
      marks=pytest.mark.slow,
    ),
    ("paper/cityscapes_argmax_softplus", {"num_levels": 1, "num_layers": 1, "squeeze_first": True, "num_mixtures": 4}),
    pytest.param(
      "paper/cityscapes_argmax_softplus",
      {"num_levels": 3, "num_layers": 4, "squeeze_first": True, "num_mixtures": 4},
      marks=pytest.mark.slow,
    ),
  ],
)
def test_a_map_of_32_by_64_comes_back_in_float32(config, changes):
  scale = 0.5 if changes else 0.3  # forty subflows, one after another, with larger weights lose a digit more
  assert_comes_back(small(model_of(config)["density"], DENSITIES["multi_scale"], scale, **changes))


@pytest.mark.slow  # its inverse is seen on small maps above
@pytest.mark.parametrize("num_levels", [1, 5])
def test_a_pyramid_of_32_by_64_comes_back_in_float32(num_levels):
  assert_comes_back(Compiled(partial(pyramid, (32, 64), 8, num_levels=num_levels), scale=0.5))


def test_a_pyramid_draws_the_last_two_pixels_of_a_block_between_four_known_ones():
  """What a pixel depends on: coarse pixels, the diagonal, itself; never another block's last two pixels."""
  case = Compiled(partial(pyramid, (4, 8), 1, num_levels=1))
  move = squeeze((4, 8), diagonal=True).moving.values
  numbers = np.arange(32, dtype=np.float32).reshape(1, 4, 8, 1)
  place = np.asarray(jax.jit(move)(numbers)).astype(int).reshape(8, 4)  # [block, pixel as drawn]
  jacobian = case.compiled(_linearized)(maps(1, (4, 8), 1))[1]
  moves = jacobian.reshape(8, 4, 32) != 0  # [block, pixel, by place]
  for block in range(len(place)):
    np.testing.assert_array_equal(np.flatnonzero(moves[block, 0]), [place[block, 0]])
    assert moves[block, 1, place[block, 1]]
    assert not moves[block, 1, np.delete(place[:, 1:].reshape(-1), 3 * block)].any()
    assert moves[block, 3, place[block, 2]]  # the two of a block, one after the other
    others = np.delete(place[:, 2:], block, axis=0)
    assert not moves[block, 2:, others.reshape(-1)].any()


@pytest.mark.parametrize(
  ("config", "changes"),
  [
    ("paper/cityscapes_argmax_softplus", {"num_layers": 2}),
    pytest.param("street_scenes/argmax_softplus", {"num_layers": 2, "num_mixtures": 4}, marks=pytest.mark.slow),
    pytest.param("paper/cityscapes_argmax_softplus", {}, marks=pytest.mark.slow),
    pytest.param("street_scenes/argmax_softplus", {"num_mixtures": 0}, marks=pytest.mark.slow),
    pytest.param("street_scenes/argmax_softplus", {"num_mixtures": 4}, marks=pytest.mark.slow),
  ],
)
def test_and_through_a_posterior_flow_with_its_context(config, changes):
  case = small(model_of(config)["posterior_flow"], POSTERIOR_FLOWS["map_coupling"], num_context=3, **changes)
  u, context = maps(2, (32, 64), 8), maps(2, (32, 64), 3)

  def there_and_back(flow, u, conditions):
    e, log_det = flow.inverse(u, conditions)
    return e, log_det, *flow.forward(e, conditions)

  through = case.compiled(there_and_back)
  e, log_det, back, back_log_det = through(u, Conditions(context))
  np.testing.assert_allclose(back, u, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4)
  assert np.any(np.abs(np.subtract(through(u, Conditions(-context))[0], e)) > 1e-3)


def test_whole_examples_of_padding_count_nothing():
  case, v = member("three_levels"), maps(BATCH)
  valid = np.ones((BATCH, *EVENT), bool)
  valid[1] = False
  log_p = case.log_prob(v, Conditions(valid=valid))
  others = case.log_prob(np.broadcast_to(v[:1], v.shape), ALL_VALID)
  np.testing.assert_allclose(log_p[0], others[0], rtol=1e-5)
  assert float(log_p[1]) == 0.0


def test_initialization_normalizes_what_leaves_at_every_level():
  build = partial(density, num_layers=2, num_channels=3, num_levels=2)
  graph, state = build_filled(build, scale=0.0)  # couplings that change nothing, between orthogonal matrices

  @jax.jit
  def latents(state, v):
    flow = nnx.merge(graph, state)
    flow.initialize(v)
    return flow.inverse(v)[0]

  for latent in latents(state, np.float32(5.0) + np.float32(3.0) * maps(64, num_channels=3)):
    each = np.asarray(latent).reshape(-1, latent.shape[-1])
    np.testing.assert_allclose(np.sqrt(np.mean(each**2)), 1.0, atol=0.1)


def test_samples_have_the_density():
  """The log-density of samples is that of their own base draws less the volume, in both directions."""
  case = member("three_levels")
  v = case.compiled(lambda flow, keys: flow.sample(keys))(jax.random.split(jax.random.key(0), BATCH))
  latents, log_det, _, (again, _) = case.derived(v)

  def base_log_prob(flow, latents):
    return sum(one.log_prob(latent, None) for one, latent in zip(flow.bases, latents, strict=True))

  expected = np.add(case.compiled(base_log_prob)(latents), log_det)
  np.testing.assert_allclose(case.log_prob(v, ALL_VALID), expected, rtol=1e-5)
  np.testing.assert_allclose(again, v, atol=1e-4)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_posterior_flow_stays_at_its_places(squeeze):
  """What another pixel's context says reaches a pixel through the convolutions only, so its own counts most."""
  make = partial(POSTERIOR_FLOWS["map_coupling"].make, num_channels=2, event_shape=(8, 8), conditioner=CONDITIONER)
  case = Compiled(lambda: make(rngs=nnx.Rngs(0), num_context=1, num_layers=2, squeeze=squeeze))
  e, context = maps(1, (8, 8), 2), maps(1, (8, 8), 1)
  far = context.copy()
  far[0, 7, 7] += 3.0

  def there_and_back(flow, e, conditions):
    z, _ = flow.inverse(e, conditions)
    return z, flow.forward(z, conditions)[0]

  through = case.compiled(there_and_back)
  (z, back), (other, _) = (through(e, Conditions(each)) for each in (context, far))
  change = np.abs(np.subtract(z, other))[0].max(-1)
  assert change[7, 7] > 1e-3
  assert float(change[0, 0]) == 0.0
  np.testing.assert_allclose(back, e, atol=1e-4)


def test_no_parameter_is_empty():
  """Checkpoints refuse arrays without elements, which a base for no channels would have."""
  for options in SHAPES.values():
    assert all(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(partial(density, **options)))))


def test_maps_that_do_not_halve_are_named():
  with pytest.raises(InputError, match=r"multiples of 4, not \(4, 6\).*num_levels to at most 2$"):
    nnx.eval_shape(partial(density, (4, 6), num_levels=3))
  with pytest.raises(InputError, match="even height and width"):
    nnx.eval_shape(partial(density, (7, 6), num_levels=3))
  with pytest.raises(InputError, match="at least one level"):
    nnx.eval_shape(partial(density, num_levels=0))
