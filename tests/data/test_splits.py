"""Splits: contiguous bounds, streams and records read alike in any order, fingerprints of the integers alone."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data.splits import (
  NAMES,
  SPLIT_RULES,
  blocks,
  fingerprint,
  hash_fraction,
  record_numbers,
  split_bounds,
  split_of,
  stream_split,
  stream_splits,
)
from catgen.interfaces import InputError
from catgen.sources import Attribute

FRACTIONS = [(0.9, 0.05, 0.05), (1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1), (0.1, 0.2, 0.7), (0.5, 0.0, 0.5), (1, 0, 0)]


@pytest.mark.parametrize("splits", FRACTIONS)
@pytest.mark.parametrize("total", [1, 2, 3, 19, 20, 1000, 10**9 + 7])
def test_fractions_of_one_use_everything_once_and_in_order(splits, total):
  bounds = split_bounds(total, splits, "lines")
  assert list(bounds) == [name for name, part in zip(NAMES, splits, strict=True) if part]
  edges = [edge for bound in bounds.values() for edge in bound]
  assert (edges[0], edges[-1]) == (0, total)
  assert edges[1:-1:2] == edges[2:-1:2]  # each starts where the one before it stops
  for name, (start, stop) in bounds.items():
    assert abs(stop - start - total * splits[NAMES.index(name)]) <= 1 + 1e-6 * total


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(0, 50)] * 3).filter(lambda counts: sum(counts) > 1), st.integers(0, 20))
def test_counts_are_exact_and_what_they_leave_over_is_not_used(counts, over):
  bounds = split_bounds(sum(counts) + over, counts, "lines")
  assert {name: stop - start for name, (start, stop) in bounds.items()} == {
    name: count for name, count in zip(NAMES, counts, strict=True) if count
  }
  assert max(stop for _, stop in bounds.values()) == sum(counts)


def test_fractions_below_one_leave_the_end_over():
  assert split_bounds(100, (0.5, 0.1, 0.1), "lines") == {"train": (0, 50), "validation": (50, 60), "test": (60, 70)}


@pytest.mark.parametrize(
  ("splits", "message"),
  [
    ((0, 0, 0), "must be three numbers >= 0"),
    ((1, 1), "must be three numbers >= 0"),
    ((2, -1, 1), "must be three numbers >= 0"),
    ((2.5, 1, 1), "fractions that sum to at most 1, or whole counts"),
    ((6, 3, 2), "ask for 11 lines but there are 10; lower them"),
  ],
)
def test_splits_that_cannot_be_are_named(splits, message):
  with pytest.raises(InputError, match=message) as caught:
    split_bounds(10, splits, "lines")
  assert "\n" not in str(caught.value)
  assert str(tuple(splits)) in str(caught.value)


@pytest.mark.parametrize("length", [1, 2, 7, 29, 30])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.int64])
def test_a_stream_is_cut_into_whole_sequences_from_every_start(length, dtype):
  stream = np.arange(30).astype(dtype)
  split = stream_split(stream, length)
  assert (split.num_examples, split.num_crops, split.stride) == (30 // length, 30 - length + 1, length)
  x = split.examples(np.arange(split.num_examples)).x
  np.testing.assert_array_equal(x.ravel(), np.arange(30 // length * length))
  starts = np.array([30 - length, 0])
  np.testing.assert_array_equal(split.crops(starts).x, starts[:, None] + np.arange(length))
  assert x.dtype == np.int32


def test_a_table_maps_the_values_of_a_stream_and_the_stream_stays():
  stream, table = np.array([3, 0, 1, 3, 2, 2]), np.array([10, 11, 12, 13])
  split = stream_split(stream, 3, table)
  np.testing.assert_array_equal(split.examples(np.arange(2)).x, table[stream].reshape(2, 3))
  split.examples(np.arange(2)).x[:] = 0
  np.testing.assert_array_equal(stream, [3, 0, 1, 3, 2, 2])


def test_each_split_of_a_stream_holds_a_sequence_or_is_named():
  splits, parts = stream_splits(np.arange(20), 2, (0.8, 0.1, 0.1), "bytes")
  assert {name: split.num_examples for name, split in splits.items()} == {"train": 8, "validation": 1, "test": 1}
  np.testing.assert_array_equal(np.concatenate(list(parts.values())), np.arange(20))
  with pytest.raises(InputError, match=r"the validation split has 2 bytes, less than one sequence of length 3; lower"):
    stream_splits(np.arange(20), 3, (0.8, 0.1, 0.1), "bytes")


def test_a_share_too_small_for_one_record_is_an_empty_split_and_named():
  with pytest.raises(InputError, match="the test split has 0 bytes, less than one sequence"):
    stream_splits(np.arange(20), 1, (0.9, 0.09, 0.01), "bytes")


@given(st.binary(max_size=20))
@settings(max_examples=30, deadline=None)
def test_the_fraction_of_a_content_is_its_hash(content):
  digest = hashlib.blake2b(content, digest_size=6).hexdigest()
  assert hash_fraction(content) == int(digest, 16) / 16**12
  assert 0 <= hash_fraction(content) < 1


@pytest.mark.parametrize("splits", [*FRACTIONS, (0.2, 0.1, 0.1)])
def test_fractions_fall_where_sums_of_shares_say(splits):
  fractions = np.append(np.random.default_rng(0).random(200), [0.0, 0.5, 1 - 2**-48])
  for fraction, owner in zip(fractions, split_of(fractions, splits), strict=True):
    below = [sum(splits[: i + 1]) <= fraction for i in range(3)]
    expected = below.index(False) if False in below else 3
    assert owner == (expected if abs(sum(splits) - 1) > 1e-9 else min(expected, 2))


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_records_go_by_their_content_whatever_their_order(rule):
  rng = np.random.default_rng(1)
  contents = [rng.bytes(rng.integers(0, 3)) for _ in range(300)]  # many are equal, some empty
  order = rng.permutation(300)

  def members(records):
    found = record_numbers(len(records), (0.6, 0.2, 0.2), "lines", records.__getitem__, rule=rule)
    return {name: sorted(records[i] for i in numbers) for name, numbers in found.items()}

  one, other = members(contents), members([contents[i] for i in order])
  assert one == other
  assert sorted(content for part in one.values() for content in part) == sorted(contents)
  shared = sum(len(set(part)) for part in one.values()) > len(set(contents))
  assert shared == (rule == 4)  # only by rule 4 equal ones lie in several splits


def test_more_records_move_none_that_were_there():
  contents = [f"{i}".encode() for i in range(200)]
  few = record_numbers(100, (0.6, 0.2, 0.2), "lines", contents.__getitem__)
  more = record_numbers(200, (0.6, 0.2, 0.2), "lines", contents.__getitem__)
  for name in NAMES:
    np.testing.assert_array_equal(more[name][more[name] < 100], few[name])


@pytest.mark.parametrize("size", [1, 3, 7, 24, 100])
@pytest.mark.parametrize("shape", [(0,), (1,), (24,), (5, 3), (4, 2, 3), (6, 0)])
def test_blocks_joined_are_the_array_and_none_is_much_larger_than_asked(size, shape):
  array = np.arange(np.prod(shape)).reshape(shape)
  found = list(blocks(array, size))
  np.testing.assert_array_equal(np.concatenate([np.zeros((0, *shape[1:]), int), *found]), array)
  assert all(len(block) > 0 and (len(block) == 1 or block.size <= size) for block in found)


VALUES = np.random.default_rng(2).integers(0, 200, (7, 4))


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i4", ">i8", "u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("step", [1, 2, 7])
def test_a_fingerprint_is_of_the_integers_however_they_are_stored_or_cut(dtype, order, step):
  stored = np.asarray(VALUES.astype(dtype), order=order)
  pieces = [stored[i : i + step] for i in range(0, 7, step)]
  plain = hashlib.sha256(b"train\n" + VALUES.astype("u1").tobytes() + b"\n28\n").hexdigest()
  assert fingerprint({"train": pieces}, 200) == plain
  wide = hashlib.sha256(b"train\n" + VALUES.astype("<u2").tobytes() + b"\n28\n").hexdigest()
  assert fingerprint({"train": pieces}, 257) == wide


def test_a_fingerprint_tells_splits_and_labels_apart():
  attribute, labels = Attribute("color", ("red", "blue")), {"train": np.array([[0], [2]], np.int32)}
  found = [
    fingerprint({"train": [VALUES]}, 200),
    fingerprint({"test": [VALUES]}, 200),
    fingerprint({"train": [VALUES[:3]], "test": [VALUES[3:]]}, 200),
    fingerprint({"train": [VALUES[:4]], "test": [VALUES[4:]]}, 200),
    fingerprint({"train": [VALUES]}, 200, [attribute], labels),
    fingerprint({"train": [VALUES]}, 200, [attribute._replace(name="hue")], labels),
    fingerprint({"train": [VALUES]}, 200, [attribute], {"train": np.array([[1], [2]], np.int32)}),
  ]
  assert len(set(found)) == len(found)
  digest = hashlib.sha256(b"train\n" + VALUES.astype("u1").tobytes() + b"\n28\n")
  digest.update(json.dumps([["color", ["red", "blue"]]]).encode() + b"given train\n")
  digest.update(np.array([0, 2], "<u4").tobytes())
  assert found[4] == digest.hexdigest()
