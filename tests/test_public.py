"""What `import catgen` offers: names, types, documentation, and one line for what does not fit."""

import ast
import pathlib
import typing

import numpy as np
import pytest
from ml_collections import ConfigDict

import catgen
from catgen.interfaces import InputError
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES

EVENT = catgen.EventSpec((4,), 3)
SMALL = {"kind": "transformer", "width": 32, "num_layers": 1, "num_heads": 2}


def test_names_are_offered_and_nothing_else():
  assert {name for name in dir(catgen) if not name.startswith("__")} == set(catgen.__all__)


def test_types_are_declared_for_all_names_from_where_they_are():
  tree = ast.parse(pathlib.Path(catgen.__file__).read_text())
  (declared,) = [node for node in tree.body if isinstance(node, ast.If)]
  found = {alias.name: node.module for node in declared.body for alias in node.names}
  assert found == catgen._HOMES


@pytest.mark.parametrize("name", catgen.__all__)
def test_all_is_documented(name):
  found = getattr(catgen, name)
  assert found.__doc__
  if isinstance(found, type) and issubclass(found, tuple):
    for field in found._fields:
      assert "Alias for field" not in getattr(found, field).__doc__, f"{name}.{field}"
  elif not isinstance(found, type):
    assert "Args:\n" in found.__doc__
    assert typing.get_type_hints(found)["return"] is not typing.Any


def test_a_function_is_the_same_each_time():
  assert catgen.load is catgen.load
  assert catgen.diffusion is catgen.diffusion


def test_parts_of_models_go_by_name_as_sections_and_as_recipes():
  made = [
    catgen.diffusion(EVENT, network=SMALL, process="absorbing", num_steps=3),
    catgen.diffusion(EVENT, network=TRUNKS["transformer"](width=32), process=PROCESSES["absorbing"]()),
    catgen.autoregressive(EVENT, network="transformer"),
  ]
  assert all(model.event == EVENT for model in made)
  assert made[0].orders is not None


@pytest.mark.parametrize(
  ("call", "line"),
  [
    (lambda: catgen.diffusion((64,), 27), r"diffusion is given \(64,\), 27; .* catgen.EventSpec\(\(64,\), 27\)"),
    (lambda: catgen.diffusion(catgen.EventSpec(64, 27), network="transformer"), "is an event"),
    (lambda: catgen.diffusion(EVENT), "diffusion needs network=; give one of 'transformer'"),
    (lambda: catgen.diffusion(EVENT, network="transformr"), "network.kind is 'transformr'; did you mean 'transformer'"),
    (lambda: catgen.diffusion(EVENT, network=3), "network is 3; give one of"),
    (lambda: catgen.diffusion(EVENT, netwrk="transformer"), "no option 'netwrk'; did you mean 'network'"),
    (lambda: catgen.diffusion(EVENT, network={"kind": "transformer", "wdth": 3}), "^network has no key 'wdth'"),
    (lambda: TRUNKS["transformr"], "no kind 'transformr'; did you mean 'transformer'"),
    (lambda: catgen.train(3, "runs/a"), "3 is no configuration; give a name"),
    (lambda: catgen.train(np.eye(2), "runs/a"), r"array\(\[\[1\., 0\.\], \[0\., 1\.\]\]\) is no configuration"),
    (lambda: catgen.check("quickstrt"), "did you mean 'quickstart'"),
  ],
)
def test_what_does_not_fit_is_told_in_a_line(call, line):
  with pytest.raises(InputError, match=line) as found:
    call()
  assert "\n" not in str(found.value)


def test_a_configuration_is_a_name_or_what_was_loaded_or_its_values(monkeypatch, tmp_path):
  loaded, given = catgen.load_config("quickstart"), []
  monkeypatch.setattr("catgen.runs.check._small_config", lambda values, *_, **__: given.append(values) or 1 / 0)
  monkeypatch.setattr("catgen.runs.baselines.make_source", lambda section: given.append(section) or 1 / 0)
  monkeypatch.setattr("catgen.runs.fit.training.train", lambda values, *_, **__: given.append(values) or 1 / 0)
  for function in (catgen.check, catgen.baselines, lambda config: catgen.train(config, tmp_path)):
    given.clear()
    for config in ("quickstart", loaded, loaded.values, ConfigDict(loaded.values)):
      with pytest.raises(ZeroDivisionError):
        function(config)
    assert given[0] == given[1] == given[2] == given[3]
  model = catgen.make_model(catgen.load_config("quickstart", {"model.num_steps": 3}), EVENT)
  assert model.event == EVENT
