"""What the README shows in Python runs: on tiny models by default, on those that it names in the slow suite."""

import re

import numpy as np
import pytest

import catgen
from tests.docs.commands import ROOT

EXAMPLE = "".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
LINES = "a list of strings\nthe end of a string\n" * 200


@pytest.fixture
def folder(tmp_path, monkeypatch):
  (tmp_path / "mine.txt").write_text(LINES)
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_the_example_is_short():
  assert len(EXAMPLE.splitlines()) <= 12


def test_the_example_runs_on_tiny_models(folder, text_run, here, monkeypatch, capsys):
  prompt = re.search(r'infill\("(.+?)"', EXAMPLE)[1]
  length = text_run.model.event.shape[0]
  monkeypatch.setattr("catgen.load", lambda name: here(text_run), raising=False)
  monkeypatch.setattr("catgen.fit", lambda data, workdir, minutes: here(text_run), raising=False)
  example = EXAMPLE.replace(prompt, "the ca" + "_" * (length - 6))
  example = re.sub(r"score\(\[.*\]\)", 'score(["the cat", "the man"])', example)
  exec(example, {})
  assert len(capsys.readouterr().out.splitlines()) >= 5


@pytest.mark.slow
def test_the_example_runs_as_it_stands(folder, monkeypatch, capsys):
  own = catgen.fit
  small = {"training.num_steps": 20, "model.network.width": 16, "model.network.num_layers": 1, "data.length": 16}
  monkeypatch.setattr("catgen.fit", lambda *data, minutes: own(*data, minutes=minutes, overrides=small), raising=False)
  found = {}
  exec(EXAMPLE, found)
  capsys.readouterr()
  bits = found["run"].score([found["good"], found["bad"]]).bits
  assert bits[0] < 1.2 < 2 < bits[1]
  assert np.isfinite(bits).all()
