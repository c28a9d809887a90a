"""Streets: pure functions of their number, the same at every resolution, with what streets have, in disjoint splits."""

import hashlib

import numpy as np
import pytest

from catgen.data.sets.street_scenes.geometry import Camera, Solids, paint
from catgen.data.sets.street_scenes.plan import CONSTRUCTION, FLAT, HUMAN, NATURE, OBJECT, SKY, VEHICLE, VOID, make
from catgen.data.sets.street_scenes.source import street_scenes, streets
from catgen.interfaces import EventSpec, InputError

SHARES = {  # of pixels: from, to
  VOID: (0.03, 0.05),
  FLAT: (0.28, 0.36),
  CONSTRUCTION: (0.25, 0.33),
  OBJECT: (0.02, 0.03),
  NATURE: (0.11, 0.16),
  SKY: (0.05, 0.12),
  HUMAN: (0.008, 0.02),
  VEHICLE: (0.05, 0.09),
}


@pytest.fixture(scope="module")
def maps():
  return streets(0, np.arange(1024), 32, 64)


def test_a_street_depends_on_seed_and_number_alone(maps):
  numbers = np.array([900, 3, 2**40 + 7, 3])
  apart = np.concatenate([streets(0, numbers[i : i + 1], 32, 64) for i in range(4)])
  np.testing.assert_array_equal(streets(0, numbers, 32, 64), apart)
  np.testing.assert_array_equal(apart[:2], maps[[900, 3]])
  assert len(np.unique(maps.reshape(len(maps), -1), axis=0)) == len(maps)
  assert not np.array_equal(streets(1, numbers, 32, 64), apart)


def test_streets_are_the_same_on_every_machine(maps):
  assert hashlib.sha256(maps[:64].tobytes()).hexdigest()[:16] == "068431d5679e84df"


@pytest.mark.parametrize("factor", [3, 5])
def test_a_finer_map_shows_the_same_street(maps, factor):
  # with an odd factor every center of a coarse pixel is the center of a fine one
  fine = streets(0, np.arange(64), 32 * factor, 64 * factor)
  np.testing.assert_array_equal(fine[:, factor // 2 :: factor, factor // 2 :: factor], maps[:64])


def test_a_wider_map_shows_more_of_the_sides(maps):
  np.testing.assert_array_equal(streets(0, np.arange(64), 32, 96)[:, :, 16:80], maps[:64])


def test_pixels_are_shared_out_as_in_real_streets(maps):
  shares = np.bincount(maps.ravel(), minlength=8) / maps.size
  for category, (low, high) in SHARES.items():
    assert low < shares[category] < high, (category, shares[category])


def test_a_street_and_its_mirror_image_are_equally_likely(maps):
  onehot = np.eye(8, dtype=np.float64)[maps].mean(axis=1)  # shares of every column of every map
  left, right = onehot[:, :32], onehot[:, :31:-1]
  difference = (left - right).mean(axis=1)
  error = difference.std(axis=0, ddof=1) / np.sqrt(len(maps))
  assert (np.abs(difference.mean(axis=0)) < 4 * error).all()


def test_sky_is_above_houses_above_people_and_cars_above_the_road(maps):
  rows = np.arange(32)[None, :, None]
  sky, house, person, car, road = (
    (rows * (maps == k)).sum() / (maps == k).sum() for k in (SKY, CONSTRUCTION, HUMAN, VEHICLE, FLAT)
  )
  assert sky < house < min(person, car) < max(person, car) < road
  assert not (maps[:, 20:] == SKY).any()
  assert (maps[:, :12] == FLAT).mean() < 1e-3
  for category in range(8):
    present = (maps == category).any(axis=(1, 2)).mean()
    assert present > 0.4, (category, present)


def test_boxes_and_ellipses_are_seen_where_rays_say():
  # a slow camera: rays through the centers of pixels, looked at in small steps of depth
  camera = Camera(*(np.array([value]) for value in (0.46, 0.05, 1.3, 1.4)))
  left, right = np.array([[-3.0, 1.1, -0.5]]), np.array([[-1.2, 4.0, 0.9]])
  depth = (np.array([[4.0, 6.0, 9.0]]), np.array([[8.0, 7.0, 9.5]]))
  elevation = (np.array([[0.0, 0.5, 1.0]]), np.array([[1.0, 3.0, 3.5]]))
  boxes = make(left, right, depth, elevation, np.array([[1, 2, 3]]))
  ball = make(np.array([[-3.0]]), np.array([[3.0]]), (20.0, 20.0), (1.0, 7.0), 4, rounded=True)
  solids = Solids(*(np.concatenate(fields, axis=1) for fields in zip(boxes, ball, strict=True)))
  maps = np.zeros((1, 32, 64), np.uint8)
  paint(maps, solids, camera)
  assert set(np.unique(maps)) == {0, 1, 2, 3, 4}

  rows, columns = (np.arange(32) + 0.5) / 32, (np.arange(64) + 0.5 - 32) / 32
  x = ((columns - 0.05) / 1.3)[None, :]
  elevation = ((0.46 - rows) / 1.3)[:, None]
  expected = np.zeros((32, 64), np.uint8)
  for z in np.arange(25.0, 3.0, -0.002):  # from far to near, so that the nearest stays
    for i in range(3):
      fields = [field[0, i] for field in solids]
      if fields[2] <= z <= fields[3]:
        inside = (fields[0] < x * z) & (x * z < fields[1])
        expected[inside & (fields[4] < 1.4 + elevation * z) & (1.4 + elevation * z < fields[5])] = fields[6]
    if abs(z - 20.0) < 1e-3:
      expected[((x * z) / 3) ** 2 + ((1.4 + elevation * z - 4) / 3) ** 2 < 1] = 4
  assert (maps[0] != expected).mean() < 2e-3  # corners that small steps miss


def test_the_source_holds_them_in_disjoint_splits(maps):
  source = street_scenes(splits=(40, 8, 8))
  assert source.event == EventSpec((32, 64), 8)
  assert source.codec.legend.names[SKY] == "sky"
  x = {name: split.examples(np.arange(split.num_examples)).x for name, split in source.splits.items()}
  np.testing.assert_array_equal(x["train"], maps[:40])
  rows = np.concatenate(list(x.values())).reshape(56, -1)
  assert len(np.unique(rows, axis=0)) == 56
  assert x["test"].dtype == np.int32
  assert list(street_scenes(splits=(0, 0, 3)).splits) == ["test"]


def test_the_fingerprint_tells_data_sets_apart():
  fingerprints = [
    street_scenes(shape=shape, splits=splits, seed=seed).fingerprint
    for shape, splits, seed in [
      ((32, 64), (60, 5, 5), 0),
      ((32, 64), (60, 5, 5), 1),
      ((32, 64), (61, 5, 5), 0),
      ((16, 64), (60, 5, 5), 0),
      ((32, 64), (60, 5, 5), 0),
    ]
  ]
  assert len(set(fingerprints)) == 4
  assert fingerprints[0] == fingerprints[-1]
  assert street_scenes(splits=(60, 5, 5), flip=True).fingerprint == fingerprints[0]  # the data, not their use


@pytest.mark.parametrize(
  ("keywords", "message"),
  [
    ({"shape": (8, 64)}, r"shape \(8, 64\) must be .*at least 16"),
    ({"shape": (32,)}, r"shape \(32,\) must be \(height, width\)"),
    ({"splits": (0.9, 0.05, 0.05)}, "must be three whole counts"),
    ({"splits": (10, 5)}, "must be three whole counts"),
    ({"splits": (0, 0, 0)}, "must be three whole counts"),
    ({"seed": -1, "splits": (3, 0, 0)}, "seed is -1; it must be at least 0"),
    ({"splits": (3, 0, 0), "shift": (1, 64)}, r"shift \(1, 64\) must be .* less than the size \(32, 64\)"),
    ({"splits": (3, 0, 0), "shift": (1,)}, r"shift \(1,\) must be \(vertical, horizontal\)"),
  ],
)
def test_impossible_requests_are_refused(keywords, message):
  with pytest.raises(InputError, match=message) as caught:
    street_scenes(**keywords)
  assert "\n" not in str(caught.value)
