"""Every command of the documentation and of the README has flags, configurations and keys that exist."""

import re
import runpy
import sys
import warnings

import pytest

from catgen.config import load_config
from catgen.networks import TRUNKS
from launch import cli
from launch.main import COMMANDS
from tests.docs.commands import PAGES, ROOT, commands

FOUND = [each for path in PAGES for each in commands(path)]
# What a reader has to put in its place: no configuration of ours, no number.
PLACEHOLDERS = {"my_configs/mine.py", "x", "..."}
# Which test runs a command for real; what docs/COMMANDS.md says needs nothing must be among them.
RUN = {
  "train": "tests/launch/test_processes.py",
  "fork": "tests/cases/test_runs_going_on.py",
  "ls": "tests/cases/test_runs_going_on.py",
  "evaluate": "tests/runs/test_evaluate.py",
  "sample": "tests/runs/test_sample.py",
  "infill": "tests/runs/test_infill.py",
  "denoise": "tests/runs/test_correct.py",
  "spellcheck": "tests/launch/test_commands.py",
  "score": "tests/runs/test_score.py",
  "classify": "tests/runs/test_classify.py",
  "compare": "tests/runs/test_compare.py",
  "compare_tables": "tests/runs/test_compare_tables.py",
  "check": "tests/runs/test_check.py",
  "baselines": "tests/runs/test_baselines.py",
  "bench_sampler": "tests/runs/test_bench_sampler.py",
  "bench_steps": "tests/runs/test_bench_steps.py",
  "compress": "tests/runs/test_compress.py",
  "decompress": "tests/runs/test_compress.py",
  "columns": "tests/runs/test_columns.py",
  "export": "tests/runs/test_export.py",
  "serve": "tests/serving/test_page.py",
  "demo": "tests/runs/test_demo.py",
  "diff": "tests/runs/test_diff.py",
}


@pytest.fixture(autouse=True)
def module_of_the_page(tmp_path, monkeypatch):
  """What docs/howto/plugins.md has a reader write into my_networks.py can be imported; nothing of it stays."""
  page = (ROOT / "docs/howto/plugins.md").read_text()
  (tmp_path / "my_networks.py").write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
  monkeypatch.syspath_prepend(tmp_path)
  yield
  sys.modules.pop("my_networks", None)
  TRUNKS.pop("average", None)


@pytest.fixture
def parsed(monkeypatch):
  """Returns a function from the words of a command to its flags and the keys of the configuration that it changes."""
  caught = []
  monkeypatch.setattr(cli, "perform", lambda commands, values, overrides, *_: caught.append((values, overrides)) or 0)

  def parse(module, words):
    caught.clear()
    place = ROOT / module.replace(".", "/")
    source = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    if "cli.main(" not in source.read_text():
      assert not words, "it has no flags"
      return {}, {}
    monkeypatch.setattr("sys.argv", [module, *words])
    with pytest.raises(SystemExit) as ended, warnings.catch_warnings(action="ignore"):
      runpy.run_module(module, run_name="__main__")
    assert not ended.value.code
    return caught[0] if caught else ({}, {})

  return parse


def complaint(parsed, capsys, command):
  """Returns what is wrong with a command; nothing where nothing is."""
  module, *words = command.words
  try:
    values, overrides = parsed(module, [word for word in words if "=" not in word or word.startswith("--")])
    config = values.get("config")
    if config and config not in PLACEHOLDERS and "$" not in config:
      load_config(config, {key: value for key, value in overrides.items() if value not in ("...", "")})
  except (AssertionError, ValueError, ImportError, OSError) as error:
    said = capsys.readouterr().err.strip() or str(error)
    if len(words) == 1 and "Missing value" in said:  # a flag is spoken of, `launch.score --input`
      return ""
    return f"{command.page}:{command.line}: {' '.join(command.words)}: {said}"
  return ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_have_flags_and_keys_that_exist(path, parsed, capsys):
  complaints = [complaint(parsed, capsys, command) for command in commands(path)]
  assert not "\n".join(filter(None, complaints))


def test_all_commands_are_found_and_documented():
  assert {command.words[0].removeprefix("launch.") for command in FOUND} >= set(COMMANDS) - {"demo"}
  assert len(FOUND) > 300


@pytest.mark.parametrize(
  "line",
  [
    "python -m launch.train --config=quickstrat",
    "catgen train --config=quickstart --stesp=3",
    "... --config.data.pth=x",
  ],
)
def test_a_wrong_command_is_noticed(line, parsed, capsys, tmp_path, monkeypatch):
  monkeypatch.setattr("tests.docs.commands.ROOT", tmp_path)
  for page in (f"Type `{line}` now.", f"```\n{line}  # or not\n```"):
    (tmp_path / "page.md").write_text(page)
    (command,) = commands(tmp_path / "page.md")
    assert complaint(parsed, capsys, command).startswith("page.md:")


def test_what_needs_nothing_is_run_by_a_test():
  rows = re.findall(r"^\| .+ \| (.+) \| (.*?) ?\|$", (ROOT / "docs" / "COMMANDS.md").read_text(), re.MULTILINE)
  free = {name for cell, needs in rows if not needs for name in re.findall(r"launch\.(\w+)", cell)}
  assert free <= RUN.keys() == set(COMMANDS)
  for name, path in RUN.items():
    assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{path} does not run {name}"
