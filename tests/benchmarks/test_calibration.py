"""Stated errors beside what happens: the simulations are of the laws that they name, and the tables have them."""

import numpy as np
import pytest

from benchmarks.calibration import PIECES, STREAMS, autoregressive, calibration, describe
from catgen.interfaces import InputError


@pytest.mark.parametrize(
  ("name", "lags"),
  [
    ("independent", [0.0, 0.0]),
    ("keeps 0.4", [0.4, 0.16]),
    ("0.45 keeps 0.88", [0.45 * 0.88, 0.45 * 0.88**2]),
    ("0.25 keeps 0.6, 0.2 keeps 0.97", [0.25 * 0.6 + 0.2 * 0.97, 0.25 * 0.36 + 0.2 * 0.97**2]),
  ],
)
def test_streams_have_mean_0_variance_1_and_the_correlation_of_their_name(name, lags):
  x = STREAMS[name](np.random.default_rng(0), 4000, 60)
  assert abs(x.mean()) < 0.05
  assert np.mean(x**2, axis=0) == pytest.approx(np.ones(60), abs=0.12)  # from the first piece on
  for lag, expected in enumerate(lags, start=1):
    assert np.mean(x[:, lag:] * x[:, :-lag]) == pytest.approx(expected, abs=0.03)


def test_what_is_kept_longer_begins_earlier():
  x = autoregressive(0.97)(np.random.default_rng(1), 3000, 1)
  assert np.var(x) == pytest.approx(1.0, abs=0.1)


def test_each_part_is_a_table_with_a_row_for_each_size():
  (pieces,) = calibration(parts=("pieces",), streams=3, say=lambda line: None)
  assert len(pieces.rows) == len(STREAMS) * len(PIECES)
  accused = calibration(parts=("shared",), trials=1, say=lambda line: None)
  assert "honest, accused" in describe([pieces, *accused])
  with pytest.raises(InputError, match="part 'rows' is none of pieces, tables, shared"):
    calibration(parts=("rows",))
