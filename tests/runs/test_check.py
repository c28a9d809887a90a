"""What the proof makes of a config's model: the same family and parts, small."""

import jax
import jax.numpy as jnp
import pytest

from catgen.build import make_model
from catgen.evaluation import proof
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.runs.check import check, describe, made_up_source, small_model
from configs import base
from tests.tiny_run import tiny_config


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


def test_positions_of_the_made_up_data_depend_on_each_other():
  source = made_up_source((1, 3), 4, seed=0)
  x, valid = source.splits["train"].examples(jnp.arange(4096))
  assert x.shape == valid.shape == (4096, 1, 3)
  assert (x[..., 1:] == x[..., :-1]).mean() == pytest.approx(0.8 + 0.2 / 4, abs=0.02)


def test_the_claims_of_a_small_model_are_told(text, monkeypatch):
  def prove(model, params, state, *, key, num_draws):
    assert (model.event, num_draws) == (EventSpec((2, 2), 3), 200)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) > 0
    return [proof.Claim("one", True, "1"), proof.Claim("two", None, "2"), proof.Claim("three", False, "3")]

  monkeypatch.setattr(proof, "prove", prove)
  found = check(tiny_config(text), shape=(2, 2), train_steps=1, num_draws=200)
  shown = describe(found)
  assert shown.startswith("diffusion on 3^4 = 81 events, after 1 training steps\n")
  assert shown.endswith("1 of 3 claims hold, 1 cannot be told from these draws")
  assert [line.split()[1] for line in shown.splitlines()[3:6]] == ["yes", "unclear", "NO"]
  assert found.exit_code == 1
  assert found._replace(claims=found.claims[:1]).exit_code == 0


def test_a_shape_that_is_none_is_named(text):
  with pytest.raises(InputError, match="--shape=2,0 must be positive whole numbers"):
    check(tiny_config(text), shape=(2, 0))
