"""The embedded data set: enough of it, the same every time, and held-out text that is not training text."""

import itertools
import os
import sys
import sysconfig

import numpy as np
import pytest

from catgen.data.sets.stdlib_docs import split_documents, stdlib_docs, unrepeated
from catgen.interfaces import EventSpec, InputError


@pytest.fixture(scope="module")
def source():
  return stdlib_docs(64)


def text_of(source, name):
  split = source.splits[name]
  x = split.examples(np.arange(split.num_examples)).x
  return source.codec.decode(x.ravel())


def test_it_is_large_enough_and_near_ninety_five_five(source):
  sizes = {name: split.num_crops + 63 for name, split in source.splits.items()}
  total = sum(sizes.values())
  assert total > 1_000_000
  assert 0.8 < sizes["train"] / total < 0.95
  assert all(0.02 < sizes[name] / total < 0.12 for name in ("validation", "test"))


def test_it_is_text_in_text8_form(source):
  assert source.event == EventSpec((64,), 27)
  for name in source.splits:
    text = text_of(source, name)
    assert "  " not in text
    assert set(text) == set(" abcdefghijklmnopqrstuvwxyz")
    assert 0.1 < text.count(" ") / len(text) < 0.2


def test_building_twice_gives_the_same_integers(monkeypatch):
  """Of the reference and a package of the library, which are built in a moment."""
  package = os.path.join(sysconfig.get_path("stdlib"), "asyncio")
  monkeypatch.setattr("sysconfig.get_path", lambda name: package)
  assert stdlib_docs(64).fingerprint == stdlib_docs(128).fingerprint


def test_held_out_text_is_not_training_text(source):
  train = text_of(source, "train")
  known = {train[i : i + 60] for i in range(len(train) - 60)}
  for name in ("validation", "test"):
    text = text_of(source, name)
    assert np.mean([text[i : i + 60] in known for i in range(0, len(text) - 60, 7)]) < 0.05


def test_documents_lie_in_one_split_each_whatever_else_there_is():
  titles = [f"document {i}" for i in range(1000)]
  parts = split_documents(titles)
  assert sorted(itertools.chain(*parts.values())) == sorted(titles)
  fewer = split_documents(titles[::3])
  assert all(set(fewer[name]) <= set(parts[name]) for name in parts)


def test_repeated_sentences_are_kept_once_and_short_ones_always():
  long = "a sentence that is long enough to be recognized again"
  kept = unrepeated(
    [("one", [f"{long}.\n\nShort."]), ("two", [f"Other.\n\n {long.upper()}", "Short."]), ("three", [long])]
  )
  assert kept == {"one": f"{long} short", "two": "other short"}


def test_docstrings_do_without_topics_and_only_docstrings_of_sources_that_parse(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
  monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
  letters = np.random.default_rng(0).choice(list("abcdefgh "), (100, 3000))
  for i, row in enumerate(letters):
    source = f'''"""{"".join(row)}"""\nif True:\n  class A:\n    "Inner {i}."\n  x = "zzz"\n'''
    (tmp_path / f"module_{i}.py").write_text(source)
  (tmp_path / "broken.py").write_text('"""zzz"""\nclass')
  (tmp_path / "test").mkdir()
  (tmp_path / "test" / "skipped.py").write_text('"""zzz"""')
  source = stdlib_docs(64)
  text = " ".join(text_of(source, name) for name in source.splits)
  assert 270_000 < len(text) < 320_000
  assert "inner five" in text
  assert "z" not in text.replace("zero", "")


def test_a_python_without_documentation_is_refused(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
  monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
  with pytest.raises(InputError, match=r"only 0 characters .*text_file"):
    stdlib_docs()
