"""Categories that are ignored: they count nowhere, and are read and written as they are."""

import json

import jax
import numpy as np
import pytest

from catgen.data import from_spec
from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from catgen.evaluation import neighbor_counts, ngrams, spelling
from catgen.evaluation.samples import frequencies
from catgen.interfaces import EventSpec
from catgen.media import media_of
from catgen.media.medium import HOLE, Pattern, marked
from catgen.runs.infill import _agreement
from tests.cases.integers import ALL, FRACTIONS, in_folder, saved, whole
from tests.refusals import refused


def framed(number=40, side=6):
  """Returns maps of ids 0 to 2 with a frame of 255."""
  maps = np.full((number, side, side), 255, np.uint8)
  maps[:, 1:-1, 1:-1] = np.random.default_rng(0).integers(0, 3, (number, side - 2, side - 2))
  return maps


def test_c3_ignored_pixels_are_not_valid_and_gaps_are_reported(tmp_path):
  maps = framed()
  plain = array_file(saved(tmp_path / "a.npy", maps), splits=FRACTIONS)
  assert plain.event.num_classes == 256
  assert "4 of 256 ids occur" in plain.description
  folder = in_folder(tmp_path / "maps", maps)
  ways = [
    array_file(str(tmp_path / "a.npy"), ignore=(255,), splits=FRACTIONS),
    label_maps(str(tmp_path / "a.npy"), ignore=(255, 254), splits=FRACTIONS),
    label_maps(folder, ignore=(255,), splits=FRACTIONS),
    label_maps(folder, 3, ignore=(255,), splits=FRACTIONS, names=("a", "b", "c")),
    label_maps(folder, mapping="0:0 1:1 2:2 255:ignore", splits=FRACTIONS),
    label_maps(folder, mapping="0:0 1:1 2:2", ignore=(255,), splits=FRACTIONS),
    label_maps(folder, mapping="0:0 1:1 2:2 other:ignore", splits=FRACTIONS),
  ]
  for source in ways:
    batch = whole(source)
    assert source.event == EventSpec((6, 6), 3, (), True)
    assert source.fingerprint == ways[0].fingerprint != plain.fingerprint
    np.testing.assert_array_equal(batch.valid, np.pad(np.ones((40, 4, 4), bool), ((0, 0), (1, 1), (1, 1))))
    assert batch.x.max() == 2
    assert (batch.x[~batch.valid] == 0).all()
    assert "occur" not in source.description


def test_c3_what_is_ignored_counts_in_no_statistic_baseline_or_correction(tmp_path):
  source = array_file(saved(tmp_path / "a.npy", framed()), ignore=(255,), splits=(30, 10, 0))
  inside = array_file(saved(tmp_path / "b.npy", framed()[:, 1:-1, 1:-1]), splits=(30, 10, 0))
  batch, other = (s.splits["validation"].examples(np.arange(10)) for s in (source, inside))
  jax.tree.map(np.testing.assert_array_equal, frequencies(batch, 3), frequencies(other, 3))
  models = [neighbor_counts.fit(s.splits["train"], num_classes=3, max_maps=99) for s in (source, inside)]
  for order in (1, 3, 5):
    nats = [neighbor_counts.log_prob(m, b, order) for m, b in zip(models, (batch, other), strict=True)]
    np.testing.assert_allclose(nats[0][:, 1:-1, 1:-1], nats[1])
    assert not nats[0][~batch.valid].any()
  places = neighbor_counts.place_log_prob(models[0], batch)
  assert np.isfinite(places).all()
  assert not places[~batch.valid].any()
  typed = spelling.corrupt(np.random.default_rng(1), batch, 0.5, 3)
  np.testing.assert_array_equal(typed.x[~batch.valid], batch.x[~batch.valid])
  score = spelling.judge(batch, typed.x, np.where(batch.valid, batch.x, 2))
  assert score.wrong_before.total == score.repaired.total + score.broken.total == batch.valid.sum()
  assert (score.repaired.value, score.broken.value) == (1.0, 0.0)


def test_c3_a_stream_may_have_holes_too(tmp_path):
  stream = np.tile([4, 1, -100, 0, 2], 60)
  source = array_file(saved(tmp_path / "a.npy", stream), ignore=(-100,), length=10, splits=ALL)
  batch = whole(source)
  np.testing.assert_array_equal(marked(batch).ravel(), np.where(stream < 0, -1, stream))
  counted = ngrams.fit(ngrams.training_rows(source.splits["train"]), order=2, num_classes=5)
  assert counted.counts[1].counts.sum() == 3 * 60 - 1  # no pair spans a hole
  crops = source.splits["train"].crops(np.array([2, 3]))
  assert crops.valid[:, :2].tolist() == [[False, True], [True, True]]


def test_c3_ignored_ids_are_read_and_written_as_they_are_and_pictured_as_nothing(tmp_path):
  source = array_file(saved(tmp_path / "a.npy", framed(4)), ignore=(255,), splits=ALL)
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  media, path = media_of(source.event, codec, "pixel"), str(tmp_path / "b.npy")
  batch = media.read(str(tmp_path / "a.npy"))
  np.testing.assert_array_equal(marked(batch), marked(whole(source)))
  media.written(path, batch)
  np.testing.assert_array_equal(np.load(path), framed(4))
  odd = saved(tmp_path / "odd.npy", framed(4) | 7)
  refused(r"odd\.npy: category 7 at index \(1, 1\) is outside 0\.\.2", media.read, odd)
  media.pictured.samples(str(tmp_path / "a.png"), batch, title="maps")
  assert "255" not in media.shown(batch)[0]
  assert "100.0%" not in media.shown(batch)[0]
  holes = framed(1)[0].astype(int)
  holes[2, 2] = -1
  found = media.typed_holes([holes])
  assert (found.x == HOLE).sum() == 1
  assert found.valid.sum() == 16


def test_c3_completions_are_compared_where_the_truth_has_a_category():
  truth = np.array([[0, -1, 2, 1]])
  pattern = Pattern(np.zeros((1, 4), int), np.array([[True, False, False, False]]), truth)
  assert _agreement(np.array([[[0, 0, 2, 0]], [[0, 1, 2, 1]]]), pattern) == 0.75
  nothing = pattern._replace(truth=np.full((1, 4), -1))
  for unknown in (nothing, pattern._replace(truth=None)):
    assert _agreement(np.zeros((2, 1, 4), int), unknown) is None


def test_c3_nearest_neighbors_and_augmentation_keep_what_is_ignored(tmp_path):
  maps = framed(3, 8)
  source = label_maps(in_folder(tmp_path, maps), ignore=(255,), shape=(4, 4), splits=ALL, flip=True, shift=(0, 1))
  batch = whole(source)
  np.testing.assert_array_equal(marked(batch), np.where(maps == 255, -1, maps.astype(int))[:, 1::2, 1::2])
  crops = source.splits["train"].crops(np.arange(6))
  np.testing.assert_array_equal(marked(crops)[4], marked(batch)[0][:, ::-1])


def test_c3_ignore_that_contradicts_itself_is_refused(tmp_path):
  path = saved(tmp_path / "a.npy", framed(2))
  refused("every position is ignored; correct ignore", array_file, path, ignore=(0, 1, 2, 255), splits=ALL)
  folder = in_folder(tmp_path / "maps", framed(2))
  refused("00.png: category 2 at index", label_maps, folder, num_classes=2, ignore=(255,))
  refused("the id 2 is ignored, and mapping .* gives it", label_maps, path, mapping="0:0 1:1 2:1", ignore=(2,))
  refused("says what other is, and other is 1", label_maps, path, mapping="0:0 other:ignore", other=1)
  refused("ignores all that it lists", label_maps, path, mapping="0:ignore")


@pytest.mark.parametrize("density", ["multi_scale", "pyramid", "coupling"])
def test_c3_a_flow_that_joins_pixels_is_refused_and_no_other(density):
  from catgen.config import make_model

  coupling = {"kind": "densenet", "width": 4, "num_layers": 1, "growth": 2}
  sizes = {"multi_scale": {"num_levels": 2, "num_layers": 1}, "pyramid": {"num_levels": 1}, "coupling": {}}[density]
  section = {"kind": "dequantized_flow", "density": {"kind": density, **sizes, "conditioner": coupling}}
  event = EventSpec((4, 4), 3)
  make_model(section, event)
  if density == "coupling":
    make_model(section, event._replace(ignores=True))
  else:
    refused("blocks of 2 x 2 pixels as one", make_model, section, event._replace(ignores=True))
