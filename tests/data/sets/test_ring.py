"""The ring of eight Gaussians: its exact probabilities against another computation, and its points against them."""

import numpy as np
import scipy.stats

from catgen.data.sets import ring as ring_set
from catgen.data.sets.ring import ring
from catgen.interfaces import EventSpec


def by_quadrature():
  """Returns the probabilities of a mixture of normals, clipped and rounded, by adding up a fine grid per coordinate."""
  fine = np.linspace(-3, 3, 60_001)[:-1] + 5e-5
  category = np.rint(np.clip(fine, -2.25, 2.25) * 20).astype(int) + 45
  joint = np.zeros((91, 91))
  for k in range(8):
    both = [
      np.bincount(category, scipy.stats.norm.pdf(fine, 2 * turned(k * np.pi / 4), 0.1) * 1e-4, 91)
      for turned in (np.cos, np.sin)
    ]
    joint += np.outer(*both) / 8
  return joint


def test_probabilities_are_those_of_clipped_and_rounded_normals():
  table = ring_set.probabilities()
  assert table.dtype == np.float64
  np.testing.assert_allclose(table.sum(), 1, rtol=1e-14)
  np.testing.assert_allclose(table, by_quadrature(), atol=1e-7)
  np.testing.assert_allclose(table, table.T, atol=1e-15)
  np.testing.assert_allclose(table, table[::-1], atol=1e-15)


def test_entropies_are_the_known_ones():
  table = ring_set.probabilities()
  alone = table.sum(axis=0)
  np.testing.assert_allclose(ring_set.entropy(), scipy.stats.entropy(table.ravel()), rtol=1e-12)
  np.testing.assert_allclose(ring_set.entropy(), 6.31996, atol=5e-6)
  np.testing.assert_allclose(2 * scipy.stats.entropy(alone), 7.3522, atol=5e-5)


def test_points_have_these_frequencies():
  source = ring(splits=(40_000, 1, 1))
  assert source.event == EventSpec((2,), 91)
  x = source.splits["train"].examples(np.arange(40_000)).x
  expected = 40_000 * ring_set.probabilities().ravel()
  counts = np.bincount(x[:, 0] * 91 + x[:, 1], minlength=91**2)
  often = expected >= 5
  observed, wanted = (np.append(values[often], values[~often].sum()) for values in (counts, expected))
  assert often.sum() > 500
  assert scipy.stats.chisquare(observed, wanted).pvalue > 1e-3


def test_points_depend_on_seed_split_and_number_alone():
  source = ring(splits=(50, 50, 50))
  train = source.splits["train"].examples(np.arange(50)).x
  np.testing.assert_array_equal(source.splits["train"].examples(np.array([49, 3])).x, train[[49, 3]])
  others = [source.splits["test"].examples(np.arange(50)).x, ring(seed=1).splits["train"].examples(np.arange(50)).x]
  assert not any(np.array_equal(train, other) for other in others)
