"""Drawing in batches changes no draw; statistics of samples by hand."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import samples
from catgen.interfaces import InputError, SampleOptions
from tests.evaluation.mixtures import make_parameters, mixture

PARAMS = make_parameters(np.random.default_rng(2))
MODEL = mixture(4, 3)
KEY = jax.random.key(0)


def draw(**keywords):
  return samples.generate(MODEL, PARAMS, {}, key=KEY, **keywords)


def test_batch_size_changes_no_sample():
  whole = draw(num_samples=10, batch_size=10, options=SampleOptions(num_frames=3))
  parts = draw(num_samples=10, batch_size=4, options=SampleOptions(num_frames=3))
  np.testing.assert_array_equal(whole.x, parts.x)
  assert whole.x.shape == whole.valid.shape == (10, 4)
  assert parts.chain.shape == (3, 10, 4)
  assert draw(num_samples=2, batch_size=64).chain is None


def test_progress_counts_samples():
  counts = []
  draw(num_samples=10, batch_size=4, progress=counts.append)
  assert counts == [4, 4, 2]


def test_no_samples_is_a_mistake():
  with pytest.raises(InputError, match="at least 1"):
    draw(num_samples=0, batch_size=4)


def test_frequencies_and_divergence_by_hand():
  x, data = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 0]])
  valid = np.array([[True, True, True, False]])
  found, other = samples.frequencies(batch_of(x, valid), 2), samples.frequencies(batch_of(data), 2)
  np.testing.assert_allclose(found.classes, [2 / 3, 1 / 3])
  np.testing.assert_allclose(
    found.pairs.among(np.arange(2)), [[1 / 2, 1 / 2], [0, 0]]
  )  # 00, 01; what follows the third does not count

  def by_hand(p):
    return -sum(share * np.log2(share) for share in p)

  np.testing.assert_allclose(samples.entropy(found.classes), by_hand([2 / 3, 1 / 3]))
  expected = by_hand([5 / 6, 1 / 6]) - by_hand([2 / 3, 1 / 3]) / 2
  np.testing.assert_allclose(samples.divergence(found.classes, other.classes), expected)
  np.testing.assert_allclose(samples.divergence(found.pairs, other.pairs), by_hand([3 / 4, 1 / 4]) - 0.5)
  assert samples.divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0
  assert samples.divergence(found.pairs, found.pairs) == 0.0


def test_neighbors_in_maps_are_counted_to_the_right_and_below():
  x = np.array([[[0, 1, 1], [0, 0, 1]]])
  valid = np.array([[[True, True, True], [True, True, False]]])
  found = samples.frequencies(batch_of(x, valid), 2)
  np.testing.assert_allclose(found.classes, [3 / 5, 2 / 5])
  np.testing.assert_allclose(
    found.pairs.among(np.arange(2)), [[1 / 3, 1 / 3], [0, 1 / 3]]
  )  # 00 in the second row, 01 and 11 in the first
  np.testing.assert_allclose(
    found.pairs_below.among(np.arange(2)), [[1 / 2, 0], [1 / 2, 0]]
  )  # 0 above 0, 1 above 0; the third is invalid
  turned = samples.frequencies(batch_of(x.swapaxes(1, 2), valid.swapaxes(1, 2)), 2)
  for one, other in ((turned.pairs, found.pairs_below), (turned.pairs_below, found.pairs)):
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.shares, other.shares)
  lines = [(x[:, 0], valid[:, 0]), (x[:, :1], valid[:, :1]), (x[:, 0, :, None], valid[:, 0, :, None])]
  for line, known in lines:  # of one axis, of one row, and of one column
    alone = samples.frequencies(batch_of(line, known), 2)
    assert alone.pairs_below is None
    np.testing.assert_allclose(alone.pairs.among(np.arange(2)), [[0, 1 / 2], [0, 1 / 2]])


def test_words_cut_by_the_border_do_not_count():
  assert samples.whole_words("he cat sat on th") == ["cat", "sat", "on"]
  assert samples.whole_words(" cat sat ") == ["cat", "sat"]
  assert samples.whole_words("cat") == []
  assert samples.word_rate(["x cat zzz y", " on "], {"cat", "on"}) == (2, 3)
