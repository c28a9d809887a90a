"""Ids of any size: many categories are refused with the remedies, few are relabelled."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data import from_spec, label_ids
from catgen.data.arrays import array_source
from catgen.data.label_ids import MOST_CATEGORIES
from catgen.data.sets.array_file import array_file
from catgen.media import media_of
from catgen.media.medium import HOLE
from tests.cases.integers import ALL, MAPS, saved, whole
from tests.refusals import refused


@pytest.mark.parametrize(
  ("ids", "dtype", "count"),
  [
    ([0, 1, 2**40], "i8", 3),
    ([0, 1, 2, 4294967295], "u4", 4),
    ([0, 1, 5000], "u2", 3),
    ([0, 2**62, 2**63 - 1], "i8", 3),
  ],
)
def test_c7_large_ids_are_refused_with_the_count_and_the_remedies(tmp_path, ids, dtype, count):
  path = saved(tmp_path / "a.npy", np.tile(np.array(ids, dtype), (5, 1)))
  largest = ids[-1]
  refused(rf"{largest + 1:,} categories, and {count} ids occur; say relabel=true .*ignore={largest} ", array_file, path)
  source = array_file(path, relabel=True, splits=ALL)
  assert source.event.num_classes == count
  np.testing.assert_array_equal(whole(source).x[0], np.arange(count))
  if count == 4:
    assert array_file(path, ignore=(largest,), splits=ALL).event.num_classes == 3


def test_c7_how_many_categories_are_meant_has_a_bound(tmp_path):
  def number(largest, used, **keywords):
    array = np.linspace(0, largest, used).astype(np.int64)
    return array_file(saved(tmp_path / "a.npy", array), splits=ALL, length=1, **keywords).event.num_classes

  assert number(4095, 2) == 4096
  assert number(64 * 100 - 1, 100) == 6400
  refused("6,401 categories, and 100 ids occur.*num_classes=6401 if", number, 6400, 100)
  assert number(6400, 100, num_classes=6401) == 6401
  assert number(MOST_CATEGORIES - 1, 2**15) == MOST_CATEGORIES
  refused("1,048,577 categories", number, MOST_CATEGORIES, 2**15)
  refused("num_classes is 2147483648; it must be", number, 5, 5, num_classes=2**31)
  assert number(MOST_CATEGORIES, 2, split_rule=2) == MOST_CATEGORIES + 1  # as it was
  refused("2 ids .0, 9., but num_classes, names or colors say 3", number, 9, 2, num_classes=3, relabel=True)


def test_c7_labels_that_are_given_have_the_same_bound(tmp_path):
  np.savez(tmp_path / "a.npz", x=MAPS[:3], given=np.array([1, 2**40, -1]))
  refused("labels reach 1,099,511,627,776, .* and 2 occur", array_file, str(tmp_path / "a.npz"), splits=ALL)
  np.savez(tmp_path / "a.npz", x=MAPS[:3], given=np.array([1, 4095, -1]))
  assert array_file(str(tmp_path / "a.npz"), splits=ALL).event.given == (4096,)


def test_c7_more_ids_than_a_model_has_categories_are_counted_no_further(monkeypatch):
  monkeypatch.setattr(label_ids, "MOST_CATEGORIES", 50)
  for step in (1, 2**30):
    array = np.arange(60)[:, None] * step
    refused("more than 50 ids occur", array_source, {"": array}, "here", None, ALL)
    refused("more than 50 different ids occur", array_source, {"": array}, "here", None, ALL, relabel=True)


@pytest.mark.parametrize("ids", [[-1, 1], [24001, 24002, 26000], [7, 2**40], [255, 3, 11], [-(2**40), 0, 5], [9]])
def test_c7_relabelled_ids_are_read_and_written_as_they_are(tmp_path, ids):
  array = np.random.default_rng(0).choice(ids, (9, 4, 5))
  source = array_file(saved(tmp_path / "a.npy", array), relabel=True, splits=ALL)
  used = np.unique(array)
  np.testing.assert_array_equal(whole(source).x, np.searchsorted(used, array))
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  media = media_of(source.event, codec, "pixel")
  again = media.read(str(tmp_path / "a.npy"))
  np.testing.assert_array_equal(again.x, whole(source).x)
  media.written(str(tmp_path / "b.npy"), again)
  np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), array)
  assert source.codec.legend.names[: len(used)] == tuple(map(str, used.tolist()))
  odd = saved(tmp_path / "odd.npy", array * 0 + 12345)
  refused(r"odd\.npy: id 12345 at index \(0, 0\) is none of the", media.read, odd)
  nothing = min(-1, used[0] - 1)  # -1, unless an id may be that
  holes = np.where(np.arange(20).reshape(4, 5) < 3, nothing, array[0])
  np.testing.assert_array_equal(media.typed_holes([holes]).x[0], np.where(holes == nothing, HOLE, whole(source).x[0]))
  assert codec.decode(np.full((4, 5), -1)).tolist() == np.full((4, 5), nothing).tolist()


def test_c7_a_fingerprint_tells_ids_of_any_size_and_what_is_ignored_apart():
  def fingerprint(ids, ignore=()):
    array = np.array(ids, np.int64)[:, None]
    return array_source({"": array}, "here", None, ALL, ignore=ignore, relabel=True).fingerprint

  several = [[0, 1, 2], [0, 1, 2 + 2**32], [0, 1, 2**40], [0, 1, 2 - 2**32], [0, 1, -1], [0, 1, 2**32 - 1], [0, 1, 3]]
  several += [[0, 2, 1], [0, 1, 2, 2]]
  found = [fingerprint(ids) for ids in several]
  found += [fingerprint([0, 1, 2], (2,)), fingerprint([0, -1, 2], (2,)), fingerprint([0, -1, 2], (-1,))]
  assert len(set(found)) == len(found)
  assert fingerprint([0, 1, 2], (2,)) == fingerprint([0, 1, 7], (7, 8))  # which number means "nothing" is no datum


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=12), st.data())
def test_c7_every_set_of_ids_survives_relabelling_and_ignoring(ids, data):
  array = np.array(ids, np.int64)[:, None]
  ignore = tuple(data.draw(st.sets(st.sampled_from(ids), max_size=len(set(ids)) - 1))) if len(set(ids)) > 1 else ()
  source = array_source({"": array}, "here", None, ALL, ignore=ignore, relabel=True)
  batch = whole(source)
  np.testing.assert_array_equal(batch.valid, ~np.isin(array, ignore))
  decoded = np.array([source.codec.decode(x, v) for x, v in zip(batch.x, batch.valid, strict=True)])
  np.testing.assert_array_equal(decoded[batch.valid], array[batch.valid])
  assert set(decoded[~batch.valid].tolist()) <= set(ignore[:1])
