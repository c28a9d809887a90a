"""A model that is built and trained in Python, as a page shows it, learns."""

import re

import pytest

from tests.docs.commands import ROOT

PAGE = (ROOT / "docs" / "howto" / "integers.md").read_text()


@pytest.mark.slow
def test_a_model_that_is_built_in_python_is_trained_as_shown(capsys):
  (snippet,) = re.findall(r"## Train a model .*?```python\n(.*?)```", PAGE, re.DOTALL)
  found = {}
  exec(snippet, found)
  shown = capsys.readouterr().out
  assert shown.startswith("Model(events [8] of 12 categories; bound, sample, ")
  assert found["drawn"].x.shape == (4, 8)
  bits = float(re.search(r"([0-9.]+) bits per value", shown)[1])
  assert 0.29 < bits < 1.5  # log2(12) = 3.58 before, and log2(5) / 8 = 0.29 at best


@pytest.mark.parametrize("number", range(PAGE.count("```python")))
def test_snippets_are_python(number):
  compile(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[number], "integers.md", "exec")
