"""What the proof makes of a config's model: the same family and parts, small."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.config import fill, load_config, make_model, small_section
from catgen.evaluation import proof
from catgen.evaluation.claims import Claim
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.models import MODELS
from catgen.runs.check import check, describe, made_up_source
from tests.tiny_run import plain_config, tiny_config

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
  "learned_masking": {"kind": "learned_masking", "network": {"kind": "transformer", "width": 512}},
  "autoregressive": {"kind": "autoregressive", "network": {"kind": "transformer"}},
  "block_diffusion": {"kind": "block_diffusion", "network": {"kind": "transformer"}, "block_length": 16},
  "deep_transformer": {"kind": "autoregressive", "network": "deep_transformer", "auxiliary_steps": 5},
  "transformer_xl": {"kind": "autoregressive", "network": "transformer_xl"},
  "argmax_flow": {"kind": "argmax_flow", "base": 2, **TEXT},
  "argmax_flow_coupling": {"kind": "argmax_flow", "base": 2, **TEXT, "density": {"kind": "coupling", **LSTM}},
  "dequantized_flow": {"kind": "dequantized_flow", "noise": "variational", **TEXT},
  "discrete_flow": {"kind": "discrete_flow", "num_layers": 8, **LSTM, "base_network": {"kind": "transformer"}},
  "denoising_flow": {"kind": "denoising_flow", "num_layers": 8, **LSTM},
}
UNORDERED = {"kind": "transformer", "positions": False}
LEARNED = {"kind": "learned", "encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}}
SECTIONS |= {
  f"latent_emission_{name}": {"kind": "latent_emission", "encoding": encoding, "density": density}
  for name, encoding, density in (
    ("mixture", {"kind": "mixture"}, {"kind": "autoregressive", **LSTM}),
    ("linear", {"kind": "linear"}, {"kind": "exchangeable", "conditioner": UNORDERED}),
    ("learned", LEARNED, {"kind": "coupling", **LSTM}),
    ("recurrent", {"kind": "recurrent"}, {"kind": "recurrent", "time": "iaf", "channels": "scf"}),
  )
}
MAP_SECTIONS = {
  "unet": {"kind": "diffusion", "network": {"kind": "unet"}},
  "linear_attention_unet": {"kind": "diffusion", "network": {"kind": "linear_attention_unet"}},
  "argmax_flow": {"kind": "argmax_flow", **MAPS},
  "dequantized_flow": {"kind": "dequantized_flow", "noise": "variational", **MAPS},
  "denoising_flow": {"kind": "denoising_flow", "num_levels": 4, "num_sorted": 4, **DENSENET},
  "latent_emission": {
    "kind": "latent_emission",
    "density": MAPS["density"],
    "encoding": {
      "kind": "learned",
      "decoder": {"kind": "densenet"},
      **{key: MAPS[key] for key in ("encoder", "posterior_flow", "num_context")},
    },
  },
}


def check_small(section, event, largest):
  section = fill(MODELS, section, "model")
  small = small_section(MODELS, section, "model")
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


@pytest.mark.slow
def test_a_model_that_trains_on_streams_is_proved_on_records():
  config = load_config("text8_head/transformer_xl").values
  assert config["training"]["streams"]
  checked = check(config, train_steps=2, num_draws=50)
  assert next(claim for claim in checked.claims if "sum to one" in claim.name).passed


WEIGHTS = {"model.process": "prior", "model.process.weights": (1.0, 2.0, 5.0)}
CONTINUOUS = {"model.num_steps": 0}
MASKED = {"model.process": "absorbing", "model.schedule": "linear", **CONTINUOUS}
KINDS = {
  "prior": {**WEIGHTS, "sampling.correction": 0.5},
  "unigram": {"model.process": "unigram", "sampling.temperature": 0.7},
  "hybrid": {"model.process": "hybrid", "model.schedule": "linear", "sampling.correction": 0.4},
  "kernel": {"model.process": "kernel", **CONTINUOUS, "sampling.num_steps": 50, "sampling.top_k": 20},
  "fixed_count": {**MASKED, "model.time_sampler": "fixed_count", "sampling.num_steps": 50, "sampling.top_p": 0.9},
  "rates_by_class": {"model": "learned_masking", "sampling.num_steps": 50},
  "rates_by_position": {"model": "learned_masking", "model.rates": "position", "sampling.num_steps": 50},
}
BOUNDED = ("prior", "hybrid")  # discrete time, by options that a bound is known of


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_noise_is_proved_with_its_options_and_benched(name):
  checked = check(load_config("quickstart", KINDS[name]).values, train_steps=30, num_draws=200)
  assert [claim for claim in checked.claims if claim.passed is False] == []
  names = [claim.name for claim in checked.claims]
  assert len([claim for claim in names if claim.endswith("samples follow its exact law")]) == 1
  assert len([claim for claim in names if "log its law" in claim]) == 2 * (name in BOUNDED)
  assert bool(checked.notes) == (name not in BOUNDED)
  assert {"oracle: samples follow the exact law", "oracle: more moves come nearer to p(x)"} <= set(names)
  assert ("oracle: one position a call draws p(x)" in names) == (name == "fixed_count")
  away = {row.calls: row.total_variation for row in checked.bench if row.sampler == f"num_steps {row.calls}"}
  assert list(away.values()) == sorted(away.values(), reverse=True)


@pytest.mark.slow
def test_a_config_with_labels_is_proved_with_them():
  config = load_config("labelled/squares", {"model.network": "transformer"}).values
  checked = check(config, shape=(2,), train_steps=30, num_draws=200)
  assert [claim for claim in checked.claims if claim.passed is False] == []
  names = [claim.name for claim in checked.claims]
  for label in ("label a", "label b", "no label"):
    assert f"{label}: samples occur as often as p(x) says" in names
    assert (f"{label}: guidance 1 draws as without guidance" in names) == (label != "no label")
  assert "samples have labels as often as p(y | x) says" in names


def test_positions_of_the_made_up_data_depend_on_each_other():
  source = made_up_source((1, 3), 4, seed=0)
  x = source.splits["train"].examples(np.arange(4096)).x
  assert x.shape == (4096, 1, 3)
  assert (x[..., 1:] == x[..., :-1]).mean() == pytest.approx(0.8 + 0.2 / 4, abs=0.02)


def test_made_up_labels_say_something_of_the_first_position():
  source = made_up_source((2,), 3, seed=0, labelled=True)
  examples = source.splits["train"].examples(np.arange(4096))
  assert source.event.given == source.splits["train"].given == (2,)
  assert [attribute.values for attribute in source.attributes] == [("a", "b")]
  for label in (0, 1):
    chosen = examples.given[:, 0] == label
    assert chosen.mean() == pytest.approx(0.5, abs=0.05)
    assert (examples.x[chosen, 0] == label).mean() == pytest.approx(0.5 + 0.5 / 3, abs=0.05)


def test_the_claims_of_a_small_model_are_told(text, monkeypatch):
  def prove(space, *, key, num_draws):
    assert (space.model.event, num_draws) == (EventSpec((2, 2), 3), 200)
    assert sum(leaf.size for leaf in jax.tree.leaves(space.params)) > 0
    return proof.Proved([[Claim("one", True, "1"), Claim("two", None, "2"), Claim("three", False, "3")]], [])

  monkeypatch.setattr(proof, "prove_space", prove)
  found = check(plain_config(text), shape=(2, 2), train_steps=1, num_draws=200)
  shown = describe(found)
  assert shown.startswith("autoregressive on 3^4 = 81 events, after 1 training steps\n")
  assert shown.endswith("1 of 3 claims hold, 1 cannot be told from these draws")
  assert [line.split()[1] for line in shown.splitlines()[3:6]] == ["yes", "unclear", "NO"]
  assert found.exit_code == 1
  assert found._replace(claims=found.claims[:1]).exit_code == 0


def test_a_shape_that_is_none_is_named(text):
  with pytest.raises(InputError, match="--shape=2,0 must be positive whole numbers"):
    check(tiny_config(text), shape=(2, 0))
