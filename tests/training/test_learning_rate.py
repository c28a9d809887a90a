"""Learning rates: warm-up, and every decay against its formula."""

import jax
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.training.learning_rate import DECAYS, make_learning_rate


def rates(decay, num_steps=20, warmup_steps=0):
  rate = jax.jit(make_learning_rate(num_steps, learning_rate=0.5, warmup_steps=warmup_steps, decay=decay))
  return np.array([float(rate(step)) for step in range(num_steps)])


def test_warmup_rises_from_one_part_to_the_peak_and_the_first_update_moves():
  found = rates(DECAYS["constant"](), warmup_steps=4)[:6]
  np.testing.assert_allclose(found, 0.5 * np.array([0.25, 0.5, 0.75, 1, 1, 1]), rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 5])
def test_decays_follow_their_formulas(warmup):
  step = np.arange(20.0)
  warm = np.minimum(1, (step + 1) / warmup) if warmup else np.ones(20)
  p = np.clip((step - warmup) / (20 - warmup), 0, 1)
  expected = {
    "constant": ({}, np.ones(20)),
    "linear": ({"final_fraction": 0.1}, 1 - 0.9 * p),
    "cosine": ({"final_fraction": 0.1}, 0.1 + 0.9 * (1 + np.cos(np.pi * p)) / 2),
    "inverse_sqrt": ({}, np.sqrt(max(1, warmup) / np.maximum(step + 1, max(1, warmup)))),
    "exponential": ({"every": 6, "factor": 0.8}, 0.8 ** np.floor(step / 6)),
  }
  assert expected.keys() == DECAYS.keys()
  for kind, (keywords, factor) in expected.items():
    found = rates(DECAYS[kind](**keywords), warmup_steps=warmup)
    np.testing.assert_allclose(found, 0.5 * warm * factor, rtol=1e-6)


@pytest.mark.parametrize(
  ("decay", "named"),
  [
    (DECAYS["exponential"](every=0), "every is 0"),
    (DECAYS["exponential"](every=1, factor=1.5), "factor is 1.5"),
    (DECAYS["cosine"](final_fraction=2.0), "final_fraction is 2.0"),
    (DECAYS["linear"](final_fraction=-0.1), "final_fraction is -0.1"),
  ],
)
def test_mistakes_are_named(decay, named):
  with pytest.raises(InputError, match=named):
    rates(decay)
