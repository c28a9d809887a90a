"""Streets by rays: centers of columns, strips of ground, what is nearer over what is farther, mirror images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data.sets.street_scenes.geometry import Camera, Ground, join, paint, paint_ground, slopes
from catgen.data.sets.street_scenes.plan import Draws, make


def test_draws_are_taken_one_after_another_and_scaled():
  u = np.random.default_rng(0).random((3, 9))
  draws = Draws(u)
  np.testing.assert_allclose(draws.between(-2.0, 4.0, 2), -2 + 6 * u[:, :2])
  np.testing.assert_allclose(draws.skewed(1.0, 3.0), 1 + 2 * u[:, 2:3] ** 2)
  np.testing.assert_array_equal(draws.chance(0.3, 4), u[:, 3:7] < 0.3)
  np.testing.assert_allclose(draws.between(np.zeros((3, 1)), np.ones((3, 1)), 2), u[:, 7:])


CAMERA = Camera(*(np.array([value]) for value in (0.5, 0.0, 1.5, 1.4)))


@pytest.mark.parametrize("size", [(16, 16), (16, 48), (48, 16)])
def test_rays_go_through_the_centers_of_columns(size):
  height, width = size
  found = slopes(CAMERA, height, width)[0]
  np.testing.assert_allclose(found, [(j + 0.5 - width / 2) / height / 1.5 for j in range(width)])
  np.testing.assert_allclose(found, -found[::-1])
  assert (slopes(CAMERA._replace(vanishing=np.array([0.5 / height])), height, width) != 0).all()  # no ray divides by 0


def test_ground_is_striped_by_distance_from_the_middle():
  ground = Ground(np.array([[-3.0, 0.5]]), np.array([[4, 5, 6]], np.uint8))
  maps = np.full((1, 32, 40), 9, np.uint8)
  paint_ground(maps, ground, CAMERA)
  for i in range(32):
    for j in range(40):
      below = (i + 0.5) / 32 - 0.5
      if below <= 0:
        assert maps[0, i, j] == 9  # the sky stays
      else:
        x = ((j + 0.5 - 20) / 32) / 1.5 * (1.5 * 1.4 / below)
        assert maps[0, i, j] == 4 + (x >= -3.0) + (x >= 0.5)


def box(left, right, depth, elevation, category, present=True):
  values = (np.array([[value]]) for value in (left, right))
  return make(*values, depth, elevation, np.array([[category]]), present=np.array([[present]]))


def painted(*solids):
  maps = np.zeros((1, 32, 64), np.uint8)
  paint(maps, join(*solids), CAMERA)
  return maps[0]


def test_what_is_nearer_hides_what_is_farther_in_whatever_order():
  far, near = box(-4.0, 4.0, (20.0, 30.0), (0.0, 9.0), 1), box(-1.0, 1.0, (5.0, 6.0), (0.0, 1.8), 2)
  alone, both = painted(near), painted(far, near)
  np.testing.assert_array_equal(both, painted(near, far))
  assert (both[alone == 2] == 2).all()
  assert set(np.unique(both)) == {0, 1, 2}
  np.testing.assert_array_equal(both[both != 2], painted(far)[both != 2])


def test_what_is_absent_or_out_of_sight_paints_nothing():
  seen = box(-1.0, 1.0, (5.0, 6.0), (0.0, 1.8), 2)
  gone, aside = box(-9.0, 9.0, (3.0, 4.0), (0.0, 9.0), 3, present=False), box(90.0, 91.0, (5.0, 6.0), (0.0, 9.0), 4)
  np.testing.assert_array_equal(painted(seen, gone, aside), painted(seen))


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 5.9), st.floats(0.1, 4), st.floats(3, 30), st.floats(0, 4), st.floats(0.1, 5))
def test_a_mirrored_box_is_seen_mirrored(left, width, near, low, high):
  solid = box(left, left + width, (near, near + 2.0), (low, low + high), 3)
  mirrored = box(-left - width, -left, (near, near + 2.0), (low, low + high), 3)
  np.testing.assert_array_equal(painted(solid), painted(mirrored)[:, ::-1])
