"""What launch.check makes of a config's model: the same family and parts, small."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from catgen.build import make_model
from catgen.interfaces import Batch, EventSpec, InputError
from configs import base
from launch import check
from launch.check import small_model


def with_parts(section, **parts):
  for key, part in parts.items():
    section[key] = part
  return section


def of_maps(section):
  posterior = {"posterior_flow": base.map_coupling(), "num_context": 4, "encoder": base.densenet_encoder()}
  return with_parts(section, density=base.multi_scale_density(), base=0, **posterior)


SECTIONS = {
  "diffusion": base.diffusion(),
  "autoregressive": base.autoregressive(),
  "argmax_flow": base.argmax_flow(),
  "argmax_flow_coupling": with_parts(base.argmax_flow(), density=base.coupling_density()),
  "dequantized_flow": base.dequantized_flow(),
}
MAP_SECTIONS = {
  "unet": with_parts(base.diffusion(), network=base.unet()),
  "linear_attention_unet": with_parts(base.diffusion(), network=base.linear_attention_unet()),
  "argmax_flow": of_maps(base.argmax_flow()),
  "dequantized_flow": of_maps(base.dequantized_flow()),
}


def check_small(section, event, largest):
  small = small_model(section, event.shape[0])
  assert small["kind"] == section["kind"]
  assert small.keys() == section.keys()
  model = make_model(small, event)
  x = jnp.zeros((4, *event.shape), jnp.int32)
  batch = Batch(x, jnp.ones(x.shape, bool), jnp.arange(4))
  params = jax.eval_shape(lambda key: model.init(batch, key)[0], jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) < largest


@pytest.mark.parametrize("name", SECTIONS)
def test_every_family_gets_small_and_keeps_its_parts(name):
  check_small(SECTIONS[name].to_dict(), EventSpec((2,), 3), 150_000)


@pytest.mark.parametrize("name", MAP_SECTIONS)
def test_models_of_maps_fit_a_map_of_two_by_two(name):
  check_small(MAP_SECTIONS[name].to_dict(), EventSpec((2, 2), 3), 1_000_000)


@pytest.mark.parametrize(
  ("shape", "data", "expected"),
  [
    (None, base.text8(), (2,)),
    (None, base.street_scenes(), (2, 2)),
    (None, base.label_maps(), (2, 2)),
    (["1", "3"], base.text8(), (1, 3)),
  ],
)
def test_the_small_events_are_maps_where_the_data_are(shape, data, expected, monkeypatch):
  monkeypatch.setattr(check, "FLAGS", SimpleNamespace(shape=shape))
  assert check.event_shape(data.to_dict()) == expected


def test_a_shape_that_is_none_is_named(monkeypatch):
  monkeypatch.setattr(check, "FLAGS", SimpleNamespace(shape=["2", "x"]))
  with pytest.raises(InputError, match="--shape=2,x must be positive whole numbers"):
    check.event_shape({})
