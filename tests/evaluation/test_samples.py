"""Drawing in batches changes no draw; statistics of samples by hand."""

import jax
import numpy as np
import pytest

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


def test_description_of_the_data_itself_shows_no_difference():
  x = np.random.default_rng(0).integers(0, 3, (50, 8))
  ones = np.ones(x.shape, bool)
  same = samples.describe(x, ones, x, ones, 3)
  assert (same.class_divergence, same.pair_divergence, same.invalid_fraction) == (0.0, 0.0, 0.0)
  assert same.entropy == same.data_entropy


def test_description_by_hand():
  x, data = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 0]])
  valid = np.array([[True, True, True, False]])
  found = samples.describe(x, valid, data, np.ones_like(valid), 2)
  p = np.array([2, 1]) / 3

  def entropy(q):
    q = np.asarray(q)[np.asarray(q) > 0]
    return -(q * np.log2(q)).sum()

  assert found.invalid_fraction == 0.25
  np.testing.assert_allclose([found.entropy, found.data_entropy], [entropy(p), 0.0], atol=1e-12)
  np.testing.assert_allclose(found.class_divergence, entropy([5 / 6, 1 / 6]) - entropy(p) / 2)
  np.testing.assert_allclose(found.pair_divergence, entropy([3 / 4, 1 / 4]) - 0.5)  # pairs 00, 01 beside 00
  assert samples.divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0


def test_words_cut_by_the_border_do_not_count():
  assert samples.whole_words("he cat sat on th") == ["cat", "sat", "on"]
  assert samples.whole_words(" cat sat ") == ["cat", "sat"]
  assert samples.whole_words("cat") == []
  assert samples.word_rate(["x cat zzz y", " on "], {"cat", "on"}) == (2, 3)
