"""The examples in docstrings say what is so, and the pure layers have examples."""

import doctest
import importlib
import pathlib

import pytest

import catgen

ROOT = pathlib.Path(catgen.__file__).parent
MODULES = sorted(
  ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
  for path in ROOT.rglob("*.py")
  if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_so(name):
  result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
  assert result.attempted > 0
  assert result.failed == 0


@pytest.mark.parametrize("name", ["bounds", "keys", "trees", "files", "kinds", "distributions.categorical"])
def test_what_all_read_has_examples(name):
  assert f"catgen.{name}" in MODULES
