"""Computed maps: a pure function of seed and number, numbers of splits that never meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data import pipeline
from catgen.data.legends import CATEGORIES
from catgen.data.procedural import STRIDE, map_source, uniforms
from catgen.data.sets import squares
from catgen.data.sets.street_scenes import source as streets
from catgen.interfaces import InputError
from catgen.sources import Legend

HUMAN = CATEGORIES.names.index("human")
LEGEND = Legend(tuple("abc"), ("#000000", "#111111", "#222222"))


def uniform_source(splits=(5, 2, 3), **keywords):
  asked = []

  def render(numbers):
    asked.extend(numbers.tolist())
    return np.tile((numbers % 3).astype(np.uint8)[:, None, None], (1, 2, 4))

  source = map_source(render, shape=(2, 4), splits=splits, legend=LEGEND, description="made up", **keywords)
  return source, asked


def test_splits_have_numbers_of_their_own():
  source, asked = uniform_source()
  asked.clear()
  for name, split in source.splits.items():
    batch = split.examples(np.arange(split.num_examples))
    np.testing.assert_array_equal(batch.index, np.arange(split.num_examples))
    assert batch.x.dtype == np.int32
    assert len(batch.x) == {"train": 5, "validation": 2, "test": 3}[name]
  assert asked == [*range(5), *range(STRIDE, STRIDE + 2), *range(2 * STRIDE, 2 * STRIDE + 3)]


def test_the_fingerprint_reads_a_part_of_a_large_set_and_knows_its_size():
  (_, few), (_, asked) = uniform_source((100, 0, 0)), uniform_source((10**9, 0, 0))
  assert len(few) == 100
  assert len(asked) == 2**19 // 8
  sources = [uniform_source((size, 0, 0))[0] for size in (10**6, 10**6, 10**6 + 1)]
  assert sources[0].fingerprint == sources[1].fingerprint != sources[2].fingerprint


@pytest.mark.parametrize("splits", [(1, 2), (0, 0, 0), (-1, 2, 2), (0.5, 0.25, 0.25), (1.5, 1, 1)])
def test_splits_of_computed_maps_are_whole_counts(splits):
  with pytest.raises(InputError, match="must be three whole counts of maps, for train, validation and test"):
    uniform_source(splits)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), number=st.integers(0, 2**42), count=st.integers(1, 8))
def test_numbers_are_uniform_on_a_grid_and_those_of_an_example_alone(seed, number, count):
  alone = uniforms(pipeline.STREETS, seed, np.array([number]), count + 3)
  beside = uniforms(pipeline.STREETS, seed, np.array([number + 1, number]), count)
  np.testing.assert_array_equal(beside[1], alone[0, :count])  # and more of them change none before
  assert not np.array_equal(beside[0], beside[1])
  assert ((alone >= 0) & (alone < 1)).all()
  np.testing.assert_array_equal(alone * 2.0**53 % 1, 0)


def test_purposes_and_seeds_draw_other_numbers():
  numbers = np.arange(2)
  drawn = [uniforms(purpose, seed, numbers, 1) for purpose in range(4) for seed in range(3)]
  assert len(np.unique(np.concatenate(drawn))) == 24
  with pytest.raises(InputError, match="seed is -1; it must be at least 0"):
    uniforms(0, -1, numbers, 1)


def test_maps_are_given_what_they_show():
  few = {"splits": (40, 0, 0), "seed": 1}
  for source, label, value in (
    (squares.squares(labels=True, **few), "number", lambda x: str(len(set(x.ravel().tolist()) - {0}))),
    (streets.street_scenes(labels="human", **few), "human", lambda x: ("no", "yes")[int((x == HUMAN).any())]),
  ):
    batch = source.splits["train"].examples(np.arange(40))
    (attribute,) = source.attributes
    assert attribute.name == label
    assert source.event.given == source.splits["train"].given == (len(attribute.values),)
    assert [attribute.values[number] for number in batch.given[:, 0]] == [value(x) for x in batch.x]
    assert len(set(batch.given[:, 0])) > 1


def test_labels_change_no_map_and_are_part_of_the_fingerprint():
  plain, labelled = (squares.squares(splits=(9, 0, 0), labels=labels) for labels in (False, True))
  np.testing.assert_array_equal(*(each.splits["train"].examples(np.arange(9)).x for each in (plain, labelled)))
  assert plain.fingerprint != labelled.fingerprint
  assert plain.attributes == ()
  with pytest.raises(InputError, match="leave shift or labels out"):
    squares.squares(splits=(9, 0, 0), labels=True, shift=(1, 0))
  with pytest.raises(InputError, match=r"labels is 'humans', which is no category of street scenes; did you mean"):
    streets.street_scenes(splits=(9, 0, 0), labels="humans")
