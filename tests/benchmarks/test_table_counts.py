"""Counts of tables: laws that add up to one, the tree that made the data, and what a rival's package cannot do."""

import itertools
import sys

import numpy as np
import pytest

from benchmarks import real_tables, table_counts
from benchmarks.table_counts import STRENGTHS, chain, independent, tree
from catgen.interfaces import InputError

SIZES = (3, 2, 4, 2)
EVENTS = np.array(list(itertools.product(*map(range, SIZES))))


def forked(seed, number):
  """Column 2 decides column 0 and, nearly, column 3; column 1 goes by itself."""
  rng = np.random.default_rng(seed)
  middle, alone = rng.integers(0, 4, number), rng.integers(0, 2, number)
  last = (middle > 1) ^ (rng.random(number) < 0.05)
  return np.stack([middle % 2, alone, middle, last], axis=1)


@pytest.mark.parametrize("learn", [independent, chain, tree])
def test_counts_are_a_law_of_rows_also_where_a_category_was_never_seen(learn):
  train = forked(0, 40)
  train = train[train[:, 2] > 0]
  counts = learn(SIZES, train, forked(1, 30))
  p = np.exp2(-counts.bits(EVENTS))
  assert p.sum() == pytest.approx(1.0)
  assert p.min() > 0
  drawn = np.ravel_multi_index(counts.sample(20_000, 0).T, SIZES)
  np.testing.assert_allclose(np.bincount(drawn, minlength=len(EVENTS)) / 20_000, p, atol=0.015)


def test_a_tree_has_the_edges_by_which_the_rows_were_drawn_and_reaches_their_entropy():
  train, validation, test = (forked(seed, 4000) for seed in range(3))
  found = {learn: learn(SIZES, train, validation) for learn in (independent, chain, tree)}
  edges = {frozenset(edge) for edge in enumerate(found[tree].parents) if edge[1] >= 0}
  assert {edge for edge in edges if 1 not in edge} == {frozenset((0, 2)), frozenset((2, 3))}
  bits = {learn: counts.bits(test).mean() for learn, counts in found.items()}
  flipped = -(0.05 * np.log2(0.05) + 0.95 * np.log2(0.95))
  assert bits[tree] == pytest.approx(2 + 1 + flipped, abs=0.05)
  assert bits[tree] < bits[chain] < bits[independent]


def test_the_strength_of_a_column_is_the_one_that_validation_rows_like_best():
  train, validation = forked(0, 60), forked(1, 200)
  found = chain(SIZES, train, validation)
  tried = [table_counts._table(SIZES, 3, 2, train, strength) for strength in STRENGTHS]
  bits = [-np.log2(each[validation[:, 2], validation[:, 3]]).sum() for each in tried]
  np.testing.assert_array_equal(found.tables[3], tried[int(np.argmin(bits))])


def test_a_table_of_a_package_that_is_not_there_is_one_line(monkeypatch):
  monkeypatch.setitem(real_tables.TABLES, "made", real_tables.Real("no_such_package", "a.csv", (), "a", ""))
  with pytest.raises(InputError, match="the table made is in the package no_such_package: pip install"):
    real_tables.read("made", 0)


def test_a_table_is_dealt_to_splits_by_chance(monkeypatch, tmp_path):
  (tmp_path / "madeup").mkdir()
  (tmp_path / "madeup" / "__init__.py").write_text("raise ImportError('is only read, never imported')")
  (tmp_path / "madeup" / "a.csv").write_text("a,b\n" + "".join(f"{i}, x\n" for i in range(20)))
  monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
  monkeypatch.setitem(real_tables.TABLES, "made", real_tables.Real("madeup", "a.csv", ("b",), "a", ""))
  found = real_tables.read("made", 0)
  assert found.counts == (12, 2, 6)
  assert list(found.columns) == ["a"]
  assert sorted(map(int, found.columns["a"])) == list(range(20))
  assert found.columns == real_tables.read("made", 0).columns != real_tables.read("made", 1).columns
