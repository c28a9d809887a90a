"""Patterns with holes, and completions against the enumerated conditional distribution."""

import itertools

import jax
import numpy as np
import pytest

from catgen.evaluation.infilling import check_patterns, infill, infill_each, parse_pattern, parse_regions
from catgen.interfaces import InputError
from tests.evaluation.mixtures import make_parameters, mixture

PARAMS = make_parameters(np.random.default_rng(2))
MODEL = mixture(4, 3)
KEY = jax.random.key(0)


def encode(text):
  if not set(text) <= set("abc"):
    raise InputError("outside the alphabet")
  return np.array(["abc".index(character) for character in text], np.uint8)


def encode_utf8(text):
  return np.frombuffer(text.encode(), np.uint8)


def test_pattern_marks_holes():
  x, observed = parse_pattern("_b__ca", encode, length=6)
  np.testing.assert_array_equal(x, [0, 1, 0, 0, 2, 0])
  np.testing.assert_array_equal(observed, [False, True, False, False, True, True])
  np.testing.assert_array_equal(parse_pattern("a**", encode, length=3, hole="*")[1], [True, False, False])
  assert not parse_pattern("____", encode, length=4)[1].any()


def test_a_hole_is_one_byte_where_positions_are_bytes():
  x, observed = parse_pattern("é_", encode_utf8, length=3)
  np.testing.assert_array_equal(x[:2], list("é".encode()))
  np.testing.assert_array_equal(observed, [True, True, False])


@pytest.mark.parametrize(
  ("text", "keywords", "message"),
  [
    ("a_", {}, "2 positions, the model's examples have 4: add 2"),
    ("a_____", {}, "6 positions, the model's examples have 4: remove 2"),
    ("abca", {}, "no hole"),
    ("ab_x", {}, "outside the alphabet"),
    ("ab__", {"hole": "__"}, "one character"),
  ],
)
def test_bad_patterns_are_named(text, keywords, message):
  with pytest.raises(InputError, match=message):
    parse_pattern(text, encode, length=4, **keywords)


def test_each_pattern_has_its_own_completion_and_its_number_its_key():
  """Patterns that are alike are completed as one pattern is that often; others where they are observed, as they are."""
  x, observed = np.array([0, 2, 1, 0], np.int32), np.array([False, True, True, False])
  one = infill(MODEL, PARAMS, {}, x, observed, key=KEY, num_samples=7, batch_size=4)
  many = infill_each(MODEL, PARAMS, {}, np.tile(x, (7, 1)), np.tile(observed, (7, 1)), key=KEY, batch_size=4)
  np.testing.assert_array_equal(one.x, many.x)
  patterns, known = np.tile(x, (7, 1)), np.tile(observed, (7, 1))
  patterns[3], known[3] = [1, 1, 1, 1], [True, True, True, False]
  changed = infill_each(MODEL, PARAMS, {}, patterns, known, key=KEY, batch_size=4)
  np.testing.assert_array_equal(np.delete(changed.x, 3, axis=0), np.delete(one.x, 3, axis=0))
  assert (changed.x[3, :3] == 1).all()


def test_completions_follow_the_conditional_distribution():
  x, observed = np.array([0, 2, 1, 0], np.int32), np.array([False, True, True, False])
  drawn = np.asarray(infill(MODEL, PARAMS, {}, x, observed, key=KEY, num_samples=20_000).x)
  assert (drawn[:, observed] == x[observed]).all()
  prior, theta = (np.exp(np.asarray(PARAMS[n], np.float64)) for n in ("log_prior", "log_theta"))
  joint = {
    (a, b): float((prior * theta[:, [a, 2, 1, b]].prod(axis=1)).sum()) for a, b in itertools.product(range(3), repeat=2)
  }
  total = sum(joint.values())
  for (a, b), p in joint.items():
    p /= total
    assert abs(((drawn[:, 0] == a) & (drawn[:, 3] == b)).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / 20_000)


def test_hidden_content_of_holes_is_not_passed_on():
  observed = np.array([True, True, False, False])
  first, second = (
    infill(MODEL, PARAMS, {}, np.array([0, 1, *rest], np.int32), observed, key=KEY, num_samples=8).x
    for rest in ([0, 0], [2, -1])
  )
  np.testing.assert_array_equal(first, second)


def test_mistakes_are_named():
  x, seen = np.zeros(4, np.int32), np.array([True, False, True, False])
  continues = MODEL._replace(infill=MODEL.infill._replace(prefix_only=True))
  with pytest.raises(InputError, match="position 2 is a hole before"):
    infill(continues, PARAMS, {}, x, seen, key=KEY)
  for changes, place in (({"shape": (2, 2)}, r"row 0, column 1 \(from 0\)"), ({"sizes": (3, 3, 3, 3)}, "column 2")):
    other = continues._replace(event=MODEL.event._replace(**changes))
    with pytest.raises(InputError, match=rf"{place} is a hole before"):
      check_patterns(other, x.reshape(1, *other.event.shape), seen.reshape(1, *other.event.shape))
  assert infill(continues, PARAMS, {}, x, np.sort(seen)[::-1].copy(), key=KEY).x.shape == (1, 4)
  with pytest.raises(InputError, match="cannot complete"):
    infill(MODEL._replace(infill=None), PARAMS, {}, x, seen, key=KEY)
  with pytest.raises(InputError, match=r"shape \(5,\)"):
    infill(MODEL, PARAMS, {}, np.zeros(5, np.int32), np.ones(5, bool), key=KEY)
  with pytest.raises(InputError, match="outside"):
    infill(MODEL, PARAMS, {}, x + 3, seen, key=KEY)


def test_regions_are_rows_and_columns():
  inside = parse_regions(["1,0,2,3", "0,4,1,1"], (4, 5))
  np.testing.assert_array_equal(np.argwhere(inside), [(0, 4), *itertools.product((1, 2), (0, 1, 2))])
  assert parse_regions(["0,0,4,5"], (4, 5)).all()
  assert not parse_regions([], (4, 5)).any()


@pytest.mark.parametrize(
  ("region", "shape", "message"),
  [
    ("1,2,3", (4, 5), "four whole numbers"),
    ("1,2,3,x", (4, 5), "four whole numbers"),
    ("-1,2,3,1", (4, 5), "four whole numbers"),
    ("1,2,0,1", (4, 5), "does not lie"),
    ("1,2,4,1", (4, 5), "does not lie"),
    ("0,0,1,6", (4, 5), "does not lie"),
    ("0,0,1,1", (16,), "regions are for maps"),
  ],
)
def test_bad_regions_are_named(region, shape, message):
  with pytest.raises(InputError, match=message):
    parse_regions([region], shape)
