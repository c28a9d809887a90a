"""Configurations by name and by path, where their values come from, and one line for files that do not load."""

import sys

import pytest

from catgen.config import describe, like, load_config, names, resolve
from catgen.config.files import COMMAND_LINE, DEFAULT, FILE
from catgen.interfaces import InputError

MINE = """
from ml_collections import ConfigDict
from catgen.config import like

def get_config(length="32"):
  return ConfigDict({"data": {"kind": "text8", "length": int(length)}, **MODEL})

MODEL = {"model": {"kind": "diffusion", "process": "absorbing", "network": {"kind": "transformer", "width": 64}}}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "mine.py").write_text(MINE)
  return "mine.py"


def test_names_are_found_from_everywhere_and_shadowed_by_nothing(mine, tmp_path):
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs" / "quickstart.py").write_text(MINE)
  (tmp_path / "quickstart").mkdir()
  assert load_config("quickstart").values["data"]["kind"] == "stdlib_docs"
  assert load_config("configs/quickstart.py").values["data"]["kind"] == "text8"
  assert load_config("configs/text_lines.py").values == load_config("text_lines").values
  assert "paper/text8_multinomial" in names()


def test_a_path_may_begin_with_a_tilde_and_hold_spaces(mine, tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "my configs é").mkdir()
  (tmp_path / "my configs é" / "mine.py").write_text(MINE)
  for name in ("~/mine.py", "~/my configs é/mine.py", str(tmp_path / "my configs é" / "mine.py")):
    assert load_config(f"{name}:48").values["data"]["length"] == 48
  with pytest.raises(InputError, match=r"^--config=~/nothing\.py: there is no such file"):
    load_config("~/nothing.py")


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_anyhow(mine, tmp_path):
  expected = load_config(mine).values
  for content in (MINE.encode("utf-8-sig"), MINE.replace("\n", "\r\n").encode()):
    (tmp_path / "other.py").write_bytes(content)
    assert load_config("other.py").values == expected


def test_a_file_is_read_again_after_it_was_changed(mine, tmp_path, monkeypatch):
  monkeypatch.setattr(sys, "dont_write_bytecode", False)
  for length in range(32, 40):  # within a second, and of one size: no cache of Python's could tell
    (tmp_path / "mine.py").write_text(MINE.replace('"32"', f'"{length}"'))
    assert load_config(mine).values["data"]["length"] == length
  assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]  # and nothing is left beside it


def test_what_stands_after_a_colon_is_the_argument(mine):
  assert load_config("mine.py").values["data"]["length"] == 32
  assert load_config("mine.py:64").values["data"]["length"] == 64


def test_origins_name_where_each_value_was_set(mine):
  changes = {"model.schedule": "linear", "training.num_steps": "10000", "model.network.num_layers": "1"}
  found = load_config(mine, changes)
  expected = {
    "data.kind": FILE,
    "data.path": DEFAULT,
    "model.process.kind": FILE,
    "model.schedule.kind": COMMAND_LINE,
    "model.network.kind": FILE,
    "model.network.width": FILE,
    "model.network.num_layers": COMMAND_LINE,
    "model.network.dropout": DEFAULT,
    "training.num_steps": COMMAND_LINE,  # though it is the default
    "training.batch_size": DEFAULT,
    "optimizer.kind": DEFAULT,
    "seed": DEFAULT,
  }
  assert {key: found.origins[key] for key in expected} == expected


def test_another_kind_leaves_what_the_file_spelled_out_to_the_file():
  found = load_config("quickstart", {"optimizer": "adamw"})
  assert found.origins["optimizer.kind"] == COMMAND_LINE
  assert found.origins["optimizer.learning_rate"] == FILE
  replaced = load_config("quickstart", {"optimizer": {"kind": "adam", "decay": "constant"}})
  origins = {key: replaced.origins[f"optimizer.{key}"] for key in ("kind", "decay.kind", "learning_rate")}
  assert origins == {"kind": COMMAND_LINE, "decay.kind": COMMAND_LINE, "learning_rate": DEFAULT}


def test_a_variation_differs_in_its_changes_alone():
  found, whole = resolve(like("quickstart", {"training.num_steps": 7}).to_dict()), load_config("quickstart").values
  assert found == {**whole, "training": {**whole["training"], "num_steps": 7}}


def test_printing_shows_every_key_with_its_value_origin_and_meaning(mine):
  found = load_config(mine, {"training.num_steps": "7", "data.splits": "1,2,3"})
  shown = describe(found, width=100)
  assert all(len(line) <= 100 for line in shown.splitlines())
  words = [line.split() for line in shown.splitlines()]
  settings = [line[:3] for line in words if line[1:2] == ["="]]
  assert len(settings) == len(found.origins)
  assert ["num_steps", "=", "7", "command", "line", "updates", "in", "the", "whole", "run"] in words
  assert ["splits", "=", "1,2,3", "command", "line"] in [line[:5] for line in words]
  assert ["path", "=", "None", "default"] in [line[:4] for line in words]


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("quickstrat", None, r"quickstrat is no configuration of catgen; did you mean 'quickstart'\?"),
    ("configs/quickstrat.py", None, r"no such file; did you mean 'quickstart'\?"),
    ("nothing.py", None, r"--config=nothing\.py: there is no such file"),
    ("bad.py", "x = (", r"line 1: "),
    ("bad.py", "\nimport nothing_of_this_name", r"line 2: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ("bad.py", "x = 1", r"it has no function get_config"),
    ("bad.py", "def get_config():\n  return None", r"get_config returns None, and no ConfigDict"),
    ("bad.py", "def get_config():\n  raise KeyError('a\\nb')", r"line 2: KeyError: "),
    ("bad.py:x", "def get_config():\n  return {}", r"TypeError: get_config\(\) takes 0 positional arguments"),
    (
      "bad.py",
      "def get_config():\n  return {'data': 'text9'}",
      r"data\.kind is 'text9'; did you mean 'text8'\?",
    ),
    ("label_maps:argmax", None, r"label_maps:argmax does not exist; choose one of .*argmax_bits"),
  ],
)
def test_mistakes_get_one_line(name, content, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  if content is not None:
    (tmp_path / name.partition(":")[0]).write_text(content)
  with pytest.raises(InputError, match=message) as caught:
    load_config(name)
  assert "\n" not in str(caught.value)
