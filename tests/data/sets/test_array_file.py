"""Array files: every layout that is accepted gives the integers that were written."""

import numpy as np
import pytest

from catgen.data.sets.array_file import array_file
from catgen.interfaces import EventSpec


def everything(split):
  return split.examples(np.arange(split.num_examples)).x


@pytest.mark.parametrize("dtype", [np.uint8, ">i4", np.int64, bool])
def test_named_arrays_are_the_splits(tmp_path, dtype):
  maps = np.random.default_rng(0).integers(0, 2, (12, 3, 5)).astype(dtype)
  np.savez(tmp_path / "a.npz", train=maps[:6], val=maps[6:8], test=maps[8:])
  source = array_file(str(tmp_path / "a.npz"))
  assert list(source.splits) == ["train", "validation", "test"]
  np.testing.assert_array_equal(np.concatenate([everything(split) for split in source.splits.values()]), maps)
  assert source.event == EventSpec((3, 5), 2)
  assert (source.position, source.bytes_per_position) == ("pixel", None)


def test_one_array_is_split_without_shared_records_by_rule_3(tmp_path):
  maps = np.random.default_rng(0).integers(0, 4, (2000, 2, 2))
  np.save(tmp_path / "a.npy", maps)
  source = array_file(str(tmp_path / "a.npy"), splits=(0.6, 0.2, 0.2), split_rule=3)
  rows = {name: {row.tobytes() for row in everything(split)} for name, split in source.splits.items()}
  assert sum(split.num_examples for split in source.splits.values()) == 2000
  assert not rows["train"] & rows["validation"]
  assert not rows["train"] & rows["test"]
  assert not rows["validation"] & rows["test"]


def test_counts_keep_the_order_and_any_name_will_do(tmp_path):
  maps = np.arange(40).reshape(10, 4) % 7
  np.savez(tmp_path / "a.npz", labels=maps)
  source = array_file(str(tmp_path / "a.npz"), splits=(6, 2, 2))
  np.testing.assert_array_equal(everything(source.splits["test"]), maps[8:])
  assert (source.position, source.event.num_classes) == ("value", 7)


def test_a_long_array_is_a_stream(tmp_path):
  tokens = np.random.default_rng(0).integers(0, 5000, 1000).astype(np.uint16)
  np.save(tmp_path / "a.npy", tokens)
  source = array_file(str(tmp_path / "a.npy"), 5000, length=30)
  np.testing.assert_array_equal(everything(source.splits["train"]).ravel(), tokens[:900])
  np.testing.assert_array_equal(source.splits["train"].crops(np.array([5])).x[0], tokens[5:35])
  np.savez(tmp_path / "a.npz", train=tokens[:500], test=tokens[500:])
  named = array_file(str(tmp_path / "a.npz"), length=30)
  np.testing.assert_array_equal(everything(named.splits["test"]).ravel(), tokens[500:980])


def test_npy_and_npz_and_dtypes_have_one_fingerprint(tmp_path):
  maps = np.random.default_rng(0).integers(0, 9, (200, 6))
  np.save(tmp_path / "a.npy", np.asfortranarray(maps))
  np.savez(tmp_path / "b.npz", x=maps.astype(np.uint8))
  kinds = [array_file(str(tmp_path / name), splits=(150, 25, 25)).fingerprint for name in ("a.npy", "b.npz")]
  assert kinds[0] == kinds[1]


def test_categories_that_do_not_occur_can_be_declared(tmp_path):
  np.savez(tmp_path / "a.npz", train=np.zeros((3, 2), int))
  assert array_file(str(tmp_path / "a.npz"), num_classes=8).event.num_classes == 8
