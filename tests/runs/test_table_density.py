"""The density version of a table's likelihood, against a density that is integrated, and apart from its bits."""

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.bounds import estimate
from catgen.data.splits import record_split
from catgen.data.tabular.bins import Bins, categories
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.evaluation.likelihood import Likelihood
from catgen.runs import table_density
from catgen.runs.table_density import density, said

BINS = Bins((0.0, 0.25, 2.25, 4.25), (1.5,))
COLUMNS = (
  Column("job", "categorical", ("x", "y")),
  Column("paid", "numeric", bins=BINS, form=Form(None), missing="NA"),
)
SHARES = np.array([0.1, 0.2, 0.3, 0.25, 0.15])  # of the three bins, the point and what is missing


def measured(x, nats, exact):
  count = np.full(len(x), x.shape[1])
  found = estimate(nats, count, exact=exact)
  return Likelihood(found, {}, np.arange(len(x)), nats, count, "exact" if exact else "bound", 1, 2, None, None, ())


def found_for(x, columns=COLUMNS, p=None, draws=None):
  p = 0.5 * SHARES[x[:, 1]] if p is None else p
  split = record_split(len(x), lambda numbers: batch_of(x[numbers]), ())
  nats = np.tile(np.log(p)[None], (2, 1)) if draws is None else draws
  return density(table_codec(Table(columns, frozenset())), measured(x, nats, draws is None), split)


def test_it_is_a_density_on_bins_and_a_probability_on_all_else():
  """Integrated over a fine grid of numbers and both values of the other column, with the masses it is 1."""
  grid = (np.arange(17 * 64) + 0.5) / 256
  x = np.stack([np.zeros(len(grid), int), categories(grid, BINS)], axis=1).astype(np.int32)
  x = x[x[:, 1] < 3]
  each = np.array([2.0 ** -found_for(row[None])["value"] for row in x[::16]])
  masses = [2.0 ** -found_for(np.array([[0, c]], np.int32))["value"] for c in (3, 4)]
  np.testing.assert_allclose(masses, 0.5 * SHARES[3:])
  np.testing.assert_allclose(2 * (each.mean() * 4.25 + sum(masses)), 1.0, rtol=1e-6)


def test_other_bins_of_one_law_have_the_same_density_and_other_bits():
  """A uniform number: bits depend on how it is cut, the density does not; grams or kilograms are log2 1000 apart."""
  rng = np.random.default_rng(0)
  values = rng.uniform(0, 8, 50)
  numbers = {}
  for scale, edges in ((1, (0.0, 8.0)), (1, (0.0, 1.0, 4.0, 8.0)), (1000, (0.0, 8000.0))):
    column = Column("paid", "numeric", bins=Bins(edges), form=Form(None))
    places = categories(values * scale, column.bins)
    p = np.diff(edges)[places] / (8 * scale)
    x = np.stack([np.zeros(50, int), places], axis=1).astype(np.int32)
    numbers[scale, len(edges)] = found_for(x, (COLUMNS[0], column), p)
  plain, cut, grams = numbers.values()
  assert plain["value"] == pytest.approx(3.0) == pytest.approx(cut["value"])
  assert cut["bits_per_row"] > 1 > plain["bits_per_row"] == 0
  assert grams["value"] - plain["value"] == pytest.approx(np.log2(1000))
  assert cut["data_error"] == pytest.approx(0.0, abs=1e-9)
  assert (cut["columns"], cut["unit"]) == (["paid"], "bits per row, of a density")
  assert "density version, another number: 3.0000 ± 0.0000 bits per row" in said(cut)


def test_errors_are_those_of_the_mean_over_rows_and_over_draws(monkeypatch):
  rng = np.random.default_rng(1)
  x = np.stack([rng.integers(0, 2, 9), rng.integers(0, 5, 9)], axis=1).astype(np.int32)
  draws = rng.normal(-3.0, 1.0, (4, 9))
  widths = np.log2(np.array([0.25, 2.0, 2.0, 1.0, 1.0])[x[:, 1]])
  bits = widths - draws / np.log(2)
  found = found_for(x, draws=draws)
  assert found["value"] == pytest.approx(bits.mean())
  assert found["data_error"] == pytest.approx(bits.mean(axis=0).std(ddof=1) / 3)
  assert found["monte_carlo_error"] == pytest.approx(bits.mean(axis=1).std(ddof=1) / 2)
  monkeypatch.setattr(table_density, "BLOCK", 4)
  assert found_for(x, draws=draws) == found  # two rows at a time
  assert np.isnan(found_for(x, draws=draws[:1])["monte_carlo_error"])
  exact = found_for(x[:1])
  assert (exact["data_error"], exact["monte_carlo_error"]) == (None, 0.0)


@pytest.mark.parametrize("decimals", [0, 1])
def test_numbers_with_decimals_that_are_points_are_no_part_of_the_width(decimals):
  """Ten numbers of one probability, some of them points: the others have one density, however they are cut.

  The width of a bin was that between its edges, points included: 3.4739 bits with one bin for whole numbers, and not
  3.3219.
  """
  unit = 10**decimals
  expected = np.log2(10 / unit)
  for cuts, points in (((0, 10), (3,)), ((0, 4, 10), (5, 6)), ((0, 3, 4, 10), (0, 5))):
    bins = Bins(*(tuple(number / unit for number in numbers) for numbers in (cuts, points)))
    column = Column("paid", "numeric", bins=bins, form=Form(decimals))
    numbers = np.setdiff1d(np.arange(10) / unit, bins.points)
    places = categories(numbers, bins)
    x = np.stack([np.zeros(len(places), int), places], axis=1).astype(np.int32)
    found = found_for(x, (COLUMNS[0], column), np.bincount(places)[places] / 10)
    assert found["value"] == pytest.approx(expected)


def test_tables_without_bins_have_none():
  points = Column("paid", "numeric", bins=Bins((), (1.0, 2.0)), form=Form(0))
  assert found_for(np.zeros((4, 2), np.int32), (COLUMNS[0], points), np.full(4, 0.5)) is None
