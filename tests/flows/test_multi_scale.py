"""Multi-scale flows: every latent has a place, Jacobians by brute force, and inverses at the size of real maps."""

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
from tests.flows.layers import perturbed

CHANNELS = 3
SHAPES = [
  {"num_levels": 1},
  {"num_levels": 3},
  {"num_levels": 2, "squeeze_first": True},
  {"num_levels": 2, "factor_out": False},
  {"num_levels": 2, "num_mixtures": 2},
]


def density(event_shape=(4, 8), num_layers=2, num_channels=CHANNELS, **options):
  conditioner = TRUNKS["densenet"](width=6, num_layers=1, growth=4)
  make = DENSITIES["multi_scale"].make
  return make(
    num_channels=num_channels,
    event_shape=event_shape,
    conditioner=conditioner,
    rngs=nnx.Rngs(0),
    num_layers=num_layers,
    **options,
  )


def pyramid(event_shape=(4, 8), num_channels=CHANNELS, **options):
  conditioner = TRUNKS["densenet"](width=6, num_layers=1, growth=4)
  return DENSITIES["pyramid"].make(
    num_channels=num_channels,
    event_shape=event_shape,
    conditioner=conditioner,
    rngs=nnx.Rngs(0),
    **{"num_levels": 2, "num_features": 8, "hidden_width": 8, "channel_features": 4, **options},
  )


def maps(batch, event_shape=(4, 8), num_channels=CHANNELS, scale=1.5):
  return scale * jax.random.normal(jax.random.key(3), (batch, *event_shape, num_channels))


@pytest.mark.parametrize(
  ("make", "options"),
  [*((density, options) for options in SHAPES), (pyramid, {"num_levels": 1}), (pyramid, {"num_levels": 2})],
)
def test_nothing_is_lost_and_the_jacobian_is_that_of_all_latents(make, options):
  flow = perturbed(make(**options))
  v = maps(2)
  latents, log_det = flow.inverse(v)
  expected = [(*shape, leaving) for shape, leaving in zip(flow.shapes, flow.leaving, strict=True)]
  assert [latent.shape[1:] for latent in latents] == expected
  assert sum(latent[0].size for latent in latents) == v[0].size
  flat = lambda x: jnp.concatenate([z.reshape(-1) for z in flow.inverse(x.reshape(1, *v.shape[1:]))[0]])  # noqa: E731
  jacobian = jax.jit(jax.vmap(jax.jacrev(flat)))(v.reshape(len(v), -1))
  expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-3)
  back, back_log_det = flow.forward(latents)
  np.testing.assert_allclose(back, v, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, atol=2e-3)


def assert_comes_back(flow):
  """Maps of 32 x 64 with 8 channels go through an initialized flow and back within 1e-4."""
  v = maps(2, (32, 64), 8)
  nnx.jit(lambda flow, v: flow.initialize(v))(flow, v)
  latents, log_det = jax.jit(lambda v: flow.inverse(v))(v)
  back, back_log_det = jax.jit(lambda z: flow.forward(z))(latents)
  np.testing.assert_allclose(back, v, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4)


def model_of(config):
  return load_config(config).values["model"]


def small(part, make, **options):
  """Returns the flow of a config's section over maps of 32 x 64 with 8 channels, its DenseNets narrow."""
  keywords = {key: value for key, value in part.items() if key not in ("kind", "conditioner")}
  conditioner = TRUNKS["densenet"](width=6, num_layers=1, growth=4)
  keywords = {**keywords, **options, "conditioner": conditioner}
  return perturbed(make.make(num_channels=8, event_shape=(32, 64), rngs=nnx.Rngs(0), **keywords), scale=0.05)


@pytest.mark.parametrize(
  ("config", "changes"),
  [
    pytest.param("paper/cityscapes_argmax_softplus", {}, marks=pytest.mark.slow),
    ("paper/cityscapes_argmax_softplus", {"num_layers": 2}),
    ("paper/cityscapes_argmax_softplus", {"num_levels": 2, "num_layers": 2, "factor_out": False}),
    ("paper/cityscapes_argmax_softplus", {"num_levels": 3, "num_layers": 4, "squeeze_first": True, "num_mixtures": 4}),
  ],
)
def test_a_map_of_32_by_64_comes_back_in_float32(config, changes):
  assert_comes_back(small(model_of(config)["density"], DENSITIES["multi_scale"], **changes))


def test_a_pyramid_of_32_by_64_comes_back_in_float32():
  assert_comes_back(perturbed(pyramid((32, 64), 8, num_levels=5), scale=0.05))


def test_a_pyramid_draws_the_last_two_pixels_of_a_block_between_four_known_ones():
  """What a pixel depends on: coarse pixels, the diagonal, itself; never another block's last two pixels."""
  flow = perturbed(pyramid((4, 8), 1, num_levels=1))
  move = squeeze((4, 8), diagonal=True).moving.values
  place = np.asarray(move(jnp.arange(32.0).reshape(1, 4, 8, 1))).astype(int).reshape(8, 4)  # [block, pixel as drawn]
  jacobian = np.asarray(jax.jacrev(lambda v: flow.inverse(v[None])[0][0][0])(maps(1, num_channels=1)[0]))
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
    ("paper/cityscapes_argmax_softplus", {}),
    ("street_scenes/argmax_softplus", {"num_mixtures": 0}),
    ("street_scenes/argmax_softplus", {"num_mixtures": 4}),
  ],
)
def test_and_through_a_posterior_flow_with_its_context(config, changes):
  flow = small(model_of(config)["posterior_flow"], POSTERIOR_FLOWS["map_coupling"], num_context=3, **changes)
  u, context = maps(2, (32, 64), 8), maps(2, (32, 64), 3)
  e, log_det = jax.jit(lambda u: flow.inverse(u, Conditions(context)))(u)
  back, back_log_det = jax.jit(lambda e: flow.forward(e, Conditions(context)))(e)
  np.testing.assert_allclose(back, u, atol=1e-4)
  np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4)
  assert bool(jnp.any(jnp.abs(flow.inverse(u, Conditions(-context))[0] - e) > 1e-3))


def test_whole_examples_of_padding_count_nothing():
  flow = perturbed(density(num_levels=2))
  valid = jnp.ones((2, 4, 8), bool).at[1].set(False)
  log_p = flow.log_prob(maps(2), Conditions(valid=valid))
  np.testing.assert_allclose(log_p[0], flow.log_prob(maps(2)[:1])[0], rtol=1e-5)
  assert float(log_p[1]) == 0.0


def test_initialization_normalizes_what_leaves_at_every_level():
  flow = density(num_levels=3)
  v = 5.0 + 3.0 * maps(64)
  nnx.jit(lambda flow, v: flow.initialize(v))(flow, v)
  for latent in flow.inverse(v)[0]:
    each = np.asarray(latent).reshape(-1, latent.shape[-1])
    np.testing.assert_allclose(np.sqrt(np.mean(each**2)), 1.0, atol=0.1)


def test_samples_have_the_density():
  """The log-density of samples is that of their own base draws less the volume, in both directions."""
  flow = perturbed(density(num_levels=2))
  keys = jax.random.split(jax.random.key(0), 3)
  v = flow.sample(keys)
  latents, log_det = flow.inverse(v)
  base = sum(one.log_prob(latent, None) for one, latent in zip(flow.bases, latents, strict=True))
  np.testing.assert_allclose(flow.log_prob(v), base + log_det, rtol=1e-5)
  again, _ = flow.forward(latents)
  np.testing.assert_allclose(again, v, atol=1e-4)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_posterior_flow_stays_at_its_places(squeeze):
  """What another pixel's context says reaches a pixel through the convolutions only, so its own counts most."""
  conditioner = TRUNKS["densenet"](width=6, num_layers=0, growth=4)
  chain = perturbed(
    POSTERIOR_FLOWS["map_coupling"].make(
      num_channels=2,
      event_shape=(8, 8),
      conditioner=conditioner,
      rngs=nnx.Rngs(0),
      num_context=1,
      num_layers=2,
      squeeze=squeeze,
    )
  )
  e, context = maps(1, (8, 8), 2), maps(1, (8, 8), 1)
  far = context.at[0, 7, 7].add(3.0)
  z, other = (chain.inverse(e, Conditions(each))[0] for each in (context, far))
  change = jnp.abs(z - other)[0].max(-1)
  assert change[7, 7] > 1e-3
  assert float(change[0, 0]) == 0.0
  np.testing.assert_allclose(chain.forward(z, Conditions(context))[0], e, atol=1e-4)


def test_no_parameter_is_empty():
  """Checkpoints refuse arrays without elements, which a base for no channels would have."""
  for options in SHAPES:
    assert all(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(partial(density, **options)))))


def test_maps_that_do_not_halve_are_named():
  with pytest.raises(InputError, match="even height and width"):
    density((4, 6), num_levels=3)
  with pytest.raises(InputError, match="at least one level"):
    density(num_levels=0)
