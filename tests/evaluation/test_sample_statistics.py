"""Statistics of samples: frequencies, divergences between them, entropies, what means no category."""

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import samples, shares
from catgen.interfaces import Samples

RNG = np.random.default_rng(0)


def divergence_by_hand(p, q):
  middle = (p + q) / 2
  with np.errstate(divide="ignore", invalid="ignore"):
    return sum(np.where(each > 0, each * np.log2(each / middle), 0.0).sum() for each in (p, q)) / 2


@pytest.mark.parametrize("number", [2, 27, 729])
def test_divergence_is_the_mean_of_both_to_their_middle(number):
  p, q = RNG.dirichlet(np.full(number, 0.3), 2)
  found = samples.divergence(p, q)
  np.testing.assert_allclose(found, divergence_by_hand(p, q), rtol=1e-6)
  assert 0.0 < found < 1.0
  assert samples.divergence(q, p) == pytest.approx(found, rel=1e-9)
  order = RNG.permutation(number)
  assert samples.divergence(p[order], q[order]) == pytest.approx(found, rel=1e-9)


def test_a_divergence_grows_from_zero_to_one_as_masses_part():
  p = np.array([1.0, 0.0])
  found = [samples.divergence(p, np.array([1 - share, share])) for share in np.linspace(0, 1, 6)]
  assert found[0] == 0.0
  assert found[-1] == pytest.approx(1.0)
  assert np.all(np.diff(found) > 0)


@pytest.mark.parametrize("number", [1, 2, 8, 27])
def test_the_entropy_of_equal_shares_is_the_logarithm_of_their_number(number):
  assert samples.entropy(np.full(number, 1 / number)) == pytest.approx(np.log2(number), abs=1e-12)
  certain = np.zeros(number)
  certain[-1] = 1.0
  assert samples.entropy(certain) == 0.0


@pytest.mark.parametrize("shape", [(30, 9), (12, 4, 5)])
def test_frequencies_are_counts_by_brute_force_and_pairs_have_them_as_margins(shape):
  x, valid = RNG.integers(0, 4, shape).astype(np.int32), RNG.random(shape) < 0.8
  found = samples.frequencies(batch_of(x, valid), 4)
  np.testing.assert_allclose(found.classes, [(x[valid] == k).mean() for k in range(4)])
  counts = np.zeros((4, 4))
  for place in np.ndindex(*shape[:-1], shape[-1] - 1):
    after = (*place[:-1], place[-1] + 1)
    if valid[place] and valid[after]:
      counts[x[place], x[after]] += 1
  np.testing.assert_allclose(found.pairs.among(np.arange(4)), counts / counts.sum())
  few = np.array([0, 2])
  np.testing.assert_allclose(found.pairs.among(few), counts[np.ix_(few, few)] / counts.sum())
  for pairs in found[1:]:
    if pairs is not None:
      assert pairs.shares.sum() == pytest.approx(1.0)


def test_frequencies_of_samples_and_of_batches_are_alike_and_know_no_order():
  x, valid = RNG.integers(0, 3, (20, 6)), RNG.random((20, 6)) < 0.7
  drawn = samples.frequencies(Samples(x, valid), 3)
  turned = samples.frequencies(batch_of(x[::-1].copy(), valid[::-1].copy()), 3)
  np.testing.assert_allclose(drawn.classes, turned.classes)
  for one, other in zip(drawn.pairs, turned.pairs, strict=True):
    np.testing.assert_array_equal(one, other)


def test_nothing_valid_has_no_shares():
  found = samples.frequencies(batch_of(np.zeros((2, 3), np.int32), np.zeros((2, 3), bool)), 2)
  assert not found.classes.any()
  assert not found.pairs.shares.size
  assert samples.divergence(found.pairs, found.pairs) == 0.0


def test_the_invalid_share_counts_positions_and_examples():
  valid = np.array([[True, True, False, True], [True] * 4, [False, False, True, True], [True] * 4])
  found = samples.invalid_share(valid)
  counts = np.array([1, 0, 2, 0])
  assert found.positions == pytest.approx(counts.sum() / 16)
  assert found.error == shares.error(counts, np.full(4, 4))
  assert (found.examples, found.num_samples) == (0.5, 4)
  as_maps = samples.invalid_share(valid.reshape(4, 2, 2))
  assert as_maps == found
  assert np.isnan(samples.invalid_share(valid[:1]).error)
  assert samples.invalid_share(np.ones((3, 2), bool))[::2] == (0.0, 0.0)
