"""Errors over consecutive pieces of one stream: their definition, how often intervals cover, and what they grow by."""

import math

import numpy as np
import pytest

from catgen.bounds import FEWEST_PIECES, estimate


def stream(kept: float, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
  """Returns streams x_t = kept x_(t-1) + noise of variance 1 and mean 0, [streams, positions]."""
  noise = np.random.default_rng(seed).normal(size=shape)
  x = noise / math.sqrt(1 - kept**2)
  for t in range(1, shape[1]):
    x[:, t] = kept * x[:, t - 1] + noise[:, t]
  return x


def error(bits: np.ndarray, consecutive: bool, positions: int = 1) -> float:
  """Returns the error of pieces that need so many bits each, of so many positions."""
  counts = np.full(len(bits), positions)
  return estimate(-math.log(2) * bits[None], counts, exact=True, consecutive=consecutive).data_error


def coverage(streams: np.ndarray, consecutive: bool) -> float:
  """Returns how often the mean of a stream is within 1.96 errors of 0, which is the truth."""
  return float(np.mean([abs(x.mean()) < 1.96 * error(x, consecutive) for x in streams]))


def reference(bits: np.ndarray, counts: np.ndarray) -> float:
  """Returns the error by all pairs of pieces, written out."""
  n, width = len(bits), 1 + round(len(bits) ** (2 / 3))
  residual = [b - bits.sum() / counts.sum() * c for b, c in zip(bits, counts, strict=True)]
  variance = share = 0.0
  for i in range(n):
    for j in range(n):
      weight = max(0.0, 1 - abs(i - j) / width)
      variance += weight * residual[i] * residual[j]
      share += weight / n**2
  return math.sqrt(variance / (1 - share)) / counts.sum()


@pytest.mark.parametrize("number", [FEWEST_PIECES, 11, 64, 150])
def test_the_error_of_pieces_is_that_of_all_pairs_by_bartletts_weights(number):
  rng = np.random.default_rng(number)
  bits, counts = 50 * rng.random(number), rng.integers(1, 30, number)
  found = estimate(-math.log(2) * bits[None], counts, exact=True, consecutive=True)
  assert found.data_error == pytest.approx(reference(bits, counts), rel=1e-9)


def test_nothing_else_of_an_estimate_depends_on_it():
  rng = np.random.default_rng(0)
  nats, counts = rng.normal(size=(3, 40)), rng.integers(1, 9, 40)
  plain, pieces = (estimate(nats, counts, consecutive=consecutive) for consecutive in (False, True))
  assert pieces._replace(data_error=plain.data_error) == plain
  assert pieces.data_error != plain.data_error


def test_separate_examples_have_the_error_that_they_had_to_the_last_bit():
  rng = np.random.default_rng(1)
  for number in (2, 3, 12, 301):
    nats, counts = rng.normal(size=(2, number)) * 9, rng.integers(1, 30, number)
    found = estimate(nats, counts)
    residual = -nats.mean(axis=0) / (1.0 * math.log(2)) - found.bits * counts
    before = math.sqrt(number / (number - 1) * (residual**2).sum()) / np.float64(counts.sum())
    assert found.data_error == before


def test_intervals_of_a_correlated_stream_cover_where_those_of_separate_examples_do_not():
  streams = stream(0.45, (1500, 1000))  # 1500 streams: a share of 0.95 is known to 0.006
  assert coverage(streams, False) < 0.80  # 0.77 in theory
  assert 0.91 < coverage(streams, True) < 0.97


def test_intervals_of_correlation_that_fades_slowly_cover_better_than_half():
  slow, noise = stream(0.88, (600, 1000), 2), np.random.default_rng(3).normal(size=(600, 1000))
  streams = math.sqrt(0.45 * (1 - 0.88**2)) * slow + math.sqrt(0.55) * noise  # as of 5-grams on the quick start's data
  assert coverage(streams, False) < 0.60
  assert coverage(streams, True) > 0.88


def test_pieces_that_are_independent_after_all_have_about_the_error_of_separate_examples():
  streams = np.random.default_rng(4).normal(size=(600, 400))
  plain, pieces = (np.mean([error(x, consecutive) ** 2 for x in streams]) for consecutive in (False, True))
  assert pieces == pytest.approx(plain, rel=0.06)
  assert coverage(streams, True) > 0.89


def test_the_error_hardly_depends_on_the_length_of_pieces():
  """One stream of positions, whose bits are correlated over 500 of them, in pieces of 64 and of 256."""
  ratios = {False: [], True: []}
  for positions in stream(0.998, (40, 256 * 500), 5):
    for consecutive, found in ratios.items():
      short, long = (error(positions.reshape(-1, length).sum(axis=1), consecutive, length) for length in (64, 256))
      found.append(long / short)
  assert np.median(ratios[False]) > 1.5
  assert 0.85 < np.median(ratios[True]) < 1.15


def test_the_order_of_pieces_counts():
  (x,) = stream(0.9, (1, 500), 6)
  shuffled = np.random.default_rng(7).permutation(x)
  assert error(x, True) > 2 * error(shuffled, True)
  assert error(x, False) == pytest.approx(error(shuffled, False), rel=1e-12)
  assert error(x[::-1], True) == pytest.approx(error(x, True), rel=1e-9)


def test_an_error_of_pieces_is_never_below_zero_and_unknown_of_few_or_of_an_impossible_one():
  turning = (-1.0) ** np.arange(200)  # neighbors cancel
  assert 0 <= error(turning, True) < error(turning, False)
  assert error(np.ones(40), True) == pytest.approx(0.0, abs=1e-12)
  assert math.isnan(error(np.arange(FEWEST_PIECES - 1.0), True))
  assert error(np.arange(float(FEWEST_PIECES)), True) > 0
  assert math.isnan(error(np.array([math.inf, *range(20)]), True))
