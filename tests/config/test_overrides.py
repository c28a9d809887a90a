"""Changes by the names of keys: of keys that nobody spelled out, of kinds, in any order, and back to the default."""

import itertools

import pytest

from catgen.config import apply_overrides, resolve
from catgen.interfaces import InputError

NETWORK = {"kind": "transformer", "width": 64}
PARTIAL = {
  "data": {"kind": "text_file", "path": "a.txt"},
  "model": {"kind": "diffusion", "num_steps": 10, "network": NETWORK},
  "optimizer": {"kind": "muon", "learning_rate": 0.1, "momentum": 0.5},
}


def changed(**changes):
  return apply_overrides(PARTIAL, {key.replace("__", "."): value for key, value in changes.items()})


def test_nothing_is_changed_in_place():
  before = resolve(PARTIAL)
  changed(model__network__width="32", optimizer="adam", training__num_steps=3)
  assert resolve(PARTIAL) == before


@pytest.mark.parametrize(
  ("name", "value", "section", "expected"),
  [
    ("training.num_steps", "200", "training", {"num_steps": 200}),
    ("training.num_steps", 200, "training", {"num_steps": 200}),
    ("seed", "3", "seed", 3),
    ("data.splits", "(900, 50, 50)", "data", {**PARTIAL["data"], "splits": [900, 50, 50]}),
    ("data.path", "3", "data", {"kind": "text_file", "path": "3"}),
    ("model.process", "absorbing", "model", {**PARTIAL["model"], "process": {"kind": "absorbing"}}),
    ("model.process.kind", "absorbing", "model", {**PARTIAL["model"], "process": {"kind": "absorbing"}}),
    ("model.network.width", 32, "model", {**PARTIAL["model"], "network": {**NETWORK, "width": 32}}),
    ("model.network", {"kind": "unet"}, "model", {**PARTIAL["model"], "network": {"kind": "unet"}}),
    ("optimizer.decay.final_fraction", "0.1", "optimizer", {**PARTIAL["optimizer"], "decay": {"final_fraction": 0.1}}),
  ],
)
def test_a_change_spells_out_what_it_sets(name, value, section, expected):
  found = apply_overrides(PARTIAL, {name: value})
  assert found[section] == expected
  resolve(found)


def test_another_kind_keeps_the_keys_that_it_has_too():
  assert changed(optimizer="adam")["optimizer"] == {"kind": "adam", "learning_rate": 0.1}
  assert changed(model="autoregressive")["model"] == {"kind": "autoregressive", "network": NETWORK}
  assert changed(model__network="unet")["model"]["network"] == {"kind": "unet"}
  assert changed(data="text8", data__length=64)["data"] == {"kind": "text8", "path": "a.txt", "length": 64}


def test_the_order_of_changes_does_not_matter():
  changes = {"model.schedule.power": "3", "model.schedule": "polynomial", "optimizer": "adamw", "optimizer.b1": "0.5"}
  found = [apply_overrides(PARTIAL, dict(order)) for order in itertools.permutations(changes.items())]
  assert all(each == found[0] for each in found)
  assert found[0]["model"]["schedule"] == {"kind": "polynomial", "power": 3.0}
  assert found[0]["optimizer"] == {"kind": "adamw", "learning_rate": 0.1, "b1": 0.5}


def test_what_is_set_to_its_default_is_spelled_out_no_longer():
  assert changed(model__num_steps="1000")["model"] == {"kind": "diffusion", "network": NETWORK}
  again = apply_overrides(changed(model__process="absorbing"), {"model.process": "uniform"})
  assert again == PARTIAL
  flow = {"kind": "argmax_flow", "posterior_flow": {"kind": "coupling"}}
  assert apply_overrides({"model": flow}, {"model.posterior_flow": None})["model"] == {"kind": "argmax_flow"}
  assert apply_overrides({"model": flow}, {"model.posterior_flow": "None"})["model"] == {"kind": "argmax_flow"}


@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    ("training.num_steps", "abc", r"config\.training\.num_steps is 'abc'; a whole number is needed"),
    ("training.num_steps", 1.5, r"config\.training\.num_steps is 1\.5; a whole number is needed"),
    ("training.batchsize", "8", r"config\.training has no key 'batchsize'; did you mean 'batch_size'\?"),
    ("traning.batch_size", "8", r"config has no key 'traning'; did you mean 'training'\?"),
    ("model.proces", "absorbing", r"no key 'proces' where kind is 'diffusion'; did you mean 'process'\?"),
    ("model.process", "absorb", r"config\.model\.process\.kind is 'absorb'; did you mean 'absorbing'\?"),
    ("model.process.power", "2", r"config\.model\.process has no key 'power' .* this kind has no keys"),
    ("model.schedule.power", "2", r"no key 'power' where kind is 'cosine'; it belongs to kind 'polynomial'"),
    ("optimizer.weight_deca", "2", r"no key 'weight_deca' where kind is 'muon'; did you mean 'weight_decay'\?"),
    ("seed.x", "2", r"config\.seed is a value and has no keys; config\.seed\.x does not exist"),
    ("training", "3", r"config\.training is '3'; it must be a section with keys: batch_size"),
    ("mesh.kind", "3", r"config\.mesh has no key 'kind'"),
  ],
)
def test_mistakes_get_one_line(name, value, message):
  with pytest.raises(InputError, match=message) as caught:
    apply_overrides(PARTIAL, {name: value})
  assert "\n" not in str(caught.value)


def test_keys_of_a_section_that_is_left_out_need_its_kind_first():
  flow = {"model": {"kind": "argmax_flow", "encoder": "none"}}
  with pytest.raises(InputError, match=r"config\.model\.posterior_flow is not set; give it a kind: coupling"):
    apply_overrides(flow, {"model.posterior_flow.num_layers": "2"})
  found = apply_overrides(flow, {"model.posterior_flow.num_layers": "3", "model.posterior_flow": "coupling"})
  assert found["model"]["posterior_flow"] == {"kind": "coupling", "num_layers": 3}
