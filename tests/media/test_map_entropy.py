"""How sure completions are, and which categories a legend names."""

import math

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.media.map_pictures import legend_entries, map_entropy
from catgen.media.medium import evenly, statistics
from catgen.reporting.colors import BLANK, legend_or_numbers

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("number", "num_classes"), [(1, 3), (2, 2), (7, 5), (64, 3)])
def test_the_entropy_of_a_pixel_is_that_of_its_frequencies(number, num_classes):
  maps = RNG.integers(0, num_classes, (number, 2, 3))
  found = map_entropy(maps, num_classes)
  for i, j in np.ndindex(2, 3):
    shares = [(maps[:, i, j] == k).sum() / number for k in range(num_classes)]
    assert found[i, j] == pytest.approx(-sum(p * math.log2(p) for p in shares if p), abs=1e-12)
  assert (found <= math.log2(min(number, num_classes)) + 1e-12).all()
  np.testing.assert_array_equal(map_entropy(maps[::-1], num_classes), found)
  np.testing.assert_allclose(map_entropy((maps + 1) % num_classes, num_classes), found, atol=1e-12)


def test_completions_that_agree_leave_no_doubt():
  assert (map_entropy(np.tile(RNG.integers(0, 4, (1, 3, 3)), (9, 1, 1)), 4) == 0).all()


@pytest.mark.parametrize("number", [3, 40, 41, 300])
def test_a_legend_names_what_occurs_in_order_and_never_very_much(number):
  legend = legend_or_numbers(None, number)
  entries = legend_entries([np.arange(number)[None, None], np.zeros((1, 1, number), int)], legend, "masked")
  named = [int(entry.name) for entry in entries]
  assert named == sorted(set(named))
  assert (named[0], named[-1]) == (0, number - 1)
  assert named == list(range(number)) if number <= 40 else len(named) == 20
  assert all(entry.colors == (legend.colors[i],) for entry, i in zip(entries, named, strict=True))


@pytest.mark.parametrize("blank", [-1, 3, 99])
def test_what_has_no_category_is_named_last_and_only_where_it_occurs(blank):
  legend = legend_or_numbers(None, 3)
  found = legend_entries([np.array([[[1, blank]]])], legend, "masked")
  assert [(entry.name, entry.colors) for entry in found] == [("1", (legend.colors[1],)), ("masked", BLANK)]
  assert [entry.name for entry in legend_entries([np.array([[[2, 1]]])], legend, "masked")] == ["1", "2"]
  assert legend_entries([], legend, "masked") == []


@pytest.mark.parametrize("number", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("wanted", [1, 2, 5, 12])
def test_evenly_spaced_numbers_reach_from_the_first_to_the_last(number, wanted):
  found = evenly(number, wanted)
  assert len(found) == min(number, wanted)
  assert found[0] == 0
  assert wanted == 1 or found[-1] == number - 1
  assert len(found) < 3 or np.diff(found).max() - np.diff(found).min() <= 1


def test_statistics_do_not_depend_on_the_order_of_examples_but_on_that_of_positions():
  x = RNG.integers(0, 4, (30, 7)).astype(np.int32)
  sets = {"one": batch_of(x), "shuffled": batch_of(x[::-1].copy()), "reference": batch_of(np.sort(x, axis=1))}
  rows, _ = statistics(sets, 4, "value")
  table = {row[0]: row[1:] for row in rows}
  assert all(cells[0] == cells[1] for cells in table.values())
  assert table["categories: divergence from training, bits"] == ["0.0000"] * 3
  assert float(table["neighbor pairs: divergence from training, bits"][0]) > 0.1
  shares = np.bincount(x.ravel(), minlength=4) / x.size
  assert table["entropy of a value, bits"] == [f"{-(shares * np.log2(shares)).sum():.3f}"] * 3
