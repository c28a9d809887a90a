"""Kinds of a user's own, in modules that a configuration names."""

import sys

import pytest

from catgen.config import apply_overrides, resolve
from catgen.config.plugins import PluginError, check_found_again, failing_by_name
from catgen.config.settings import EXPERIMENT
from catgen.interfaces import InputError
from catgen.networks import TRUNKS
from catgen.runs import schema

MODULE = """
from catgen.kinds import Kind
from catgen.networks import TRUNKS

def average(ends, *, rngs, features: int = 16):
  "Averages."

TRUNKS["average"] = Kind(average)
"""
DATA = {"kind": "text_file", "path": "t.txt"}
TEXTS = dict.fromkeys(("position", "fingerprint", "description", "code_version"), "")


def section(*plugins):
  return {"data": DATA, "model": {"kind": "diffusion", "network": "average"}, "plugins": plugins}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Returns a working directory with a module; nothing of it stays."""
  (tmp_path / "my_average.py").write_text(MODULE)
  monkeypatch.chdir(tmp_path)
  modules = set(sys.modules)
  yield tmp_path
  TRUNKS.pop("average", None)
  for name in set(sys.modules) - modules:
    if name.startswith("my_"):
      del sys.modules[name]


def test_what_a_module_adds_can_be_chosen_and_has_its_keys(folder):
  config = resolve(section("my_average"))
  assert config["model"]["network"] == {"kind": "average", "features": 16}
  assert config["plugins"] == ["my_average"]
  check_found_again(EXPERIMENT, config)


def test_a_command_line_may_name_the_module_and_choose_what_it_adds(folder):
  changes = {"model.network": "average", "model.network.features": "8", "plugins": "my_average"}
  config = resolve(apply_overrides({"data": DATA, "model": {"kind": "diffusion"}}, changes))
  assert config["model"]["network"] == {"kind": "average", "features": 8}


def test_a_module_that_is_missing_or_fails_is_one_line(folder):
  with pytest.raises(PluginError, match=r"config.plugins names my_other, and there is no module my_other: install it"):
    resolve(section("my_other"))
  (folder / "my_needy.py").write_text("import my_needed")
  with pytest.raises(PluginError, match="names my_needy, and there is no module my_needed"):
    resolve(section("my_needy"))
  (folder / "my_broken.py").write_text("\n1 / 0\n")
  with pytest.raises(PluginError, match=r"cannot be imported: ZeroDivisionError: .*my_broken.py, line 2\)"):
    resolve(section("my_broken"))


@pytest.mark.parametrize("name", ["my_average.py", "./my_average.py", "/tmp/my_average"])
def test_a_path_is_no_name_of_a_module(name):
  with pytest.raises(InputError, match=f"names '{name}'; give the name of a module, 'my_average', and no path"):
    resolve(section(name))


@pytest.mark.parametrize("names", ["my_average", [3], [""], None, 3, {"my_average": 1}])
def test_what_is_no_list_of_names_is_refused(names):
  with pytest.raises(InputError, match="must be a list of names of modules"):
    resolve({**section(), "plugins": names})


def test_a_failure_in_a_module_is_a_line_with_its_place(folder):
  (folder / "my_failing.py").write_text("def fail():\n  raise ValueError('oven is off\\nand cold')\n")
  resolve({**section(), "model": {"kind": "diffusion", "network": "transformer"}, "plugins": ["my_failing"]})
  with (
    pytest.raises(PluginError, match=r"^my_failing, .* fails: ValueError: oven is off \(.*my_failing.py, line 2\)$"),
    failing_by_name(),
  ):
    sys.modules["my_failing"].fail()
  with pytest.raises(ZeroDivisionError), failing_by_name():
    _ = 1 // 0


def test_types_that_a_module_leaves_as_texts_are_read_and_others_are_a_line(folder):
  (folder / "my_average.py").write_text(f"from __future__ import annotations\n{MODULE}")
  assert resolve(section("my_average"))["model"]["network"] == {"kind": "average", "features": 16}
  for annotation in ("", ": dict", ": dict[str, int]", ": 'Unknown'"):
    (folder / "my_odd.py").write_text(MODULE.replace(": int", annotation).replace("average", "odd"))
    with pytest.raises(
      InputError, match=r"config.model.network.features is of no type .*annotate features in the sign"
    ):
      resolve({**section("my_odd"), "model": {"kind": "diffusion", "network": {"kind": "odd", "features": 3}}})
    del sys.modules["my_odd"], TRUNKS["odd"]


@pytest.mark.parametrize(
  ("entry", "message"),
  [
    ("TRUNKS['mine'] = average", "the entry 'mine' of a registry is <function average.*must be Kind"),
    ("TRUNKS['mine'] = Kind(3)", "the entry 'mine' of a registry is .*must be Kind"),
    ("TRUNKS['lstm'] = Kind(average)", "has a kind 'lstm' of catgen.networks.*; give yours another name"),
  ],
)
def test_an_entry_that_is_no_kind_or_takes_the_place_of_another_is_refused(entry, message, folder):
  (folder / "my_entry.py").write_text(f"{MODULE}\n{entry}\n")
  with pytest.raises(PluginError, match=message):
    resolve(section("my_entry"))


def test_without_its_module_a_kind_is_unknown(folder):
  with pytest.raises(InputError, match=r"config.model.network.kind is 'average'"):
    resolve(section())


def test_a_kind_that_no_other_command_would_find_is_refused_before_training(folder):
  config = resolve(section("my_average"))
  with pytest.raises(
    InputError, match=r"config.model.network.kind is 'average', of my_average, where no other command"
  ):
    check_found_again(EXPERIMENT, {**config, "plugins": []})


def test_a_run_whose_module_is_missing_is_not_called_damaged(folder, monkeypatch):
  monkeypatch.setattr(schema, "_parsed", lambda *_: {**TEXTS, "config": section("my_other"), "event": {}, "codec": {}})
  with pytest.raises(PluginError) as caught:
    schema.read_content("runs/a")
  assert "restore it" not in str(caught.value)
