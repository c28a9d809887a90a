"""What launch.check makes of a config's model: the same family and parts, small."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from catgen.config import fill, make_model
from catgen.data import SOURCES
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.models import MODELS
from launch import check
from launch.check import small_model

LSTM, DENSENET = {"conditioner": {"kind": "lstm"}}, {"conditioner": {"kind": "densenet"}}
TEXT = {"encoder": {"kind": "lstm"}, "density": {"kind": "autoregressive", **LSTM}}
MAPS = {
  "encoder": {"kind": "densenet"},
  "density": {"kind": "multi_scale", **DENSENET},
  "posterior_flow": {"kind": "map_coupling", **DENSENET},
  "num_context": 4,
}
SECTIONS = {
  "diffusion": {"kind": "diffusion", "network": {"kind": "transformer", "width": 512, "num_layers": 8}},
  "autoregressive": {"kind": "autoregressive", "network": {"kind": "transformer"}},
  "argmax_flow": {"kind": "argmax_flow", "base": 2, **TEXT},
  "argmax_flow_coupling": {"kind": "argmax_flow", "base": 2, **TEXT, "density": {"kind": "coupling", **LSTM}},
  "dequantized_flow": {"kind": "dequantized_flow", "noise": "variational", **TEXT},
}
MAP_SECTIONS = {
  "unet": {"kind": "diffusion", "network": {"kind": "unet"}},
  "linear_attention_unet": {"kind": "diffusion", "network": {"kind": "linear_attention_unet"}},
  "argmax_flow": {"kind": "argmax_flow", **MAPS},
  "dequantized_flow": {"kind": "dequantized_flow", "noise": "variational", **MAPS},
}


def check_small(section, event, largest):
  section = fill(MODELS, section, "model")
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
  check_small(SECTIONS[name], EventSpec((2,), 3), 150_000)


@pytest.mark.parametrize("name", MAP_SECTIONS)
def test_models_of_maps_fit_a_map_of_two_by_two(name):
  check_small(MAP_SECTIONS[name], EventSpec((2, 2), 3), 1_000_000)


@pytest.mark.parametrize(
  ("shape", "data", "expected"),
  [
    (None, "text8", (2,)),
    (None, "street_scenes", (2, 2)),
    (None, "label_maps", (2, 2)),
    (["1", "3"], "text8", (1, 3)),
  ],
)
def test_the_small_events_are_maps_where_the_data_are(shape, data, expected, monkeypatch):
  monkeypatch.setattr(check, "FLAGS", SimpleNamespace(shape=shape))
  assert check.event_shape(fill(SOURCES, data, "data")) == expected


def test_a_shape_that_is_none_is_named(monkeypatch):
  monkeypatch.setattr(check, "FLAGS", SimpleNamespace(shape=["2", "x"]))
  with pytest.raises(InputError, match="--shape=2,x must be positive whole numbers"):
    check.event_shape({})
