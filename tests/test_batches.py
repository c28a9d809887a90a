"""Batches: cut and joined with all that belongs to their examples, and which positions are scored."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of, concatenate, refuse_scored, scored_positions, take
from catgen.interfaces import InputError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 5, (6, 3)).astype(np.int32)
WHOLE = batch_of(X, RNG.random((6, 3)) < 0.7, index=np.arange(6) + 10, given=np.arange(12).reshape(6, 2))
WHOLE = WHOLE._replace(scored=RNG.random((6, 3)) < 0.5)


@pytest.mark.parametrize("batch", [WHOLE, WHOLE._replace(scored=None), WHOLE._replace(given=None), batch_of(X)])
def test_pieces_joined_are_the_whole(batch):
  pieces = [take(batch, slice(0, 1)), take(batch, np.array([1, 2, 3])), take(batch, slice(4, None))]
  joined = concatenate(pieces)
  assert jax.tree.structure(joined) == jax.tree.structure(batch)
  jax.tree.map(np.testing.assert_array_equal, joined, batch)


def test_all_positions_are_valid_and_examples_are_numbered_unless_said():
  batch = batch_of(X)
  assert batch.valid.all()
  assert batch.index.tolist() == [0, 1, 2, 3, 4, 5]
  assert (batch.scored, batch.given) == (None, None)


def test_positions_are_scored_that_are_valid_and_no_context():
  np.testing.assert_array_equal(scored_positions(WHOLE), WHOLE.valid & WHOLE.scored)
  assert scored_positions(WHOLE._replace(scored=None)) is WHOLE.valid


def test_context_is_refused_in_one_line_by_whom_cannot_read_it():
  refuse_scored(batch_of(X), "a flow")
  with pytest.raises(
    InputError, match=r"^a flow scores whole examples .*; evaluate it with context 0, or take [^\n]*$"
  ):
    refuse_scored(WHOLE, "a flow")
