"""Tables of categories: every form says the same, ids become categories one by one, what is missing is named."""

import json

import numpy as np
import pytest

from catgen.data.category_table import make_table, to_categories
from catgen.interfaces import InputError

PAIRS = {7: 0, 8: 0, 11: 1, 255: 2, -1: 3}


def forms(folder):
  lines = [f"{one},{other}" for one, other in PAIRS.items()]
  files = {
    "t.json": json.dumps(PAIRS),
    "t.csv": "\n".join(lines),
    "titles.csv": "\n".join(["id,category", *lines]),
    "windows.csv": "\ufeff" + "\r\n".join(lines) + "\r\n",
    "titles_windows.csv": "\ufeff" + "\r\n".join(["id,category", *lines]),
    "spaces.csv": "\n".join(f" {one} , {other} " for one, other in PAIRS.items()),
  }
  for name, content in files.items():
    (folder / name).write_bytes(content.encode())
  inline = " ".join(f"{one}:{other}" for one, other in PAIRS.items())
  return [inline, inline.replace(" ", ","), f"  {inline.replace(' ', ', ')} ", *(str(folder / name) for name in files)]


def test_every_form_of_a_mapping_says_the_same(tmp_path):
  for mapping in forms(tmp_path):
    table = make_table(mapping, None, None)
    assert dict(zip(table.ids.tolist(), table.categories.tolist(), strict=True)) == PAIRS, mapping
    assert (table.other, table.num_classes) == (None, 4)
    assert (np.diff(table.ids) > 0).all()


@pytest.mark.parametrize("dtype", ["i1", "i2", ">i2", "<i4", ">i8"])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 7), (2, 3, 4)])
def test_ids_become_categories_one_by_one(dtype, shape):
  table = make_table("-1:3 7:0 8:1 11:2", None, None)
  ids = np.random.default_rng(0).choice([-1, 7, 8, 11], shape).astype(dtype)
  expected = np.vectorize({-1: 3, 7: 0, 8: 1, 11: 2}.get, otypes=[int])(ids)
  found = to_categories(ids, table, "a.png")
  np.testing.assert_array_equal(found, expected)
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(to_categories(ids.T, table, "a.png"), expected.T)


@pytest.mark.parametrize("other", [0, 2, 5])
def test_other_is_the_category_of_every_id_that_is_not_listed(other):
  table = make_table("3:1 5:2", other, None)
  ids = np.arange(-2, 9)
  np.testing.assert_array_equal(to_categories(ids, table, "a"), [{3: 1, 5: 2}.get(i, other) for i in range(-2, 9)])
  assert table.num_classes == max(2, other) + 1


def test_other_without_a_mapping_takes_the_ids_above_the_classes():
  table = make_table(None, 1, 3)
  np.testing.assert_array_equal(to_categories(np.array([0, 1, 2, 3, 255]), table, "a"), [0, 1, 2, 1, 1])
  assert make_table(None, None, 3) is None


@pytest.mark.parametrize(("number", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65_537, np.uint32)])
def test_categories_are_stored_as_small_as_they_fit(number, dtype):
  table = make_table(f"0:0 1:{number - 1}", None, None)
  found = to_categories(np.array([1, 0]), table, "a")
  assert (found.dtype, found.tolist()) == (dtype, [number - 1, 0])


@pytest.mark.parametrize("missing", [[-5], [9], [9, 400], [12, -7]])
def test_the_first_id_without_a_category_is_named_with_its_place(missing):
  ids = np.array([7, 8, *missing, 7])
  with pytest.raises(InputError, match=rf"b/c\.png has the label id {missing[0]}, which mapping does not list; add it"):
    to_categories(ids, make_table("7:0 8:1 11:2", None, None), "b/c.png")


def test_a_mapping_to_one_category_still_has_two():
  assert make_table("4:0", None, None).num_classes == 2
  assert make_table("4:0", None, 9).num_classes == 9


@pytest.mark.parametrize(
  ("mapping", "other", "num_classes", "message"),
  [
    ("1:2:3", None, None, "cannot be read"),
    ("1:", None, None, "cannot be read"),
    ("a:1", None, None, "cannot be read"),
    ("1.5:1", None, None, "cannot be read"),
    ("1:-1", None, None, "category -1 of the mapping"),
    ("1:0 1:0", None, None, "lists an id twice; list every id once"),
    (" , ", None, None, "lists nothing"),
    ("1:5", None, 5, r"category 5 of the mapping or of other is outside 0\.\.4"),
    ("1:1", 5, 5, r"category 5 of the mapping or of other is outside 0\.\.4"),
    (None, 5, 5, r"category 5 of the mapping or of other is outside 0\.\.4"),
    (None, 0, None, "neither mapping nor num_classes says which label ids are known; set one"),
  ],
)
def test_mistakes_are_one_line(mapping, other, num_classes, message):
  with pytest.raises(InputError, match=message) as caught:
    make_table(mapping, other, num_classes)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("t.json", '{"a": 1}', "cannot be read .*a .json object or a .csv file"),
    ("t.json", '{"1": null}', "cannot be read"),
    ("t.json", '{"1": [2]}', "cannot be read"),
    ("t.json", "{}", "lists nothing"),
    ("t.csv", "id,category\n", "lists nothing"),
    ("t.csv", "id,category\nx,1\n", "cannot be read"),
    ("t.csv", "1,2\n1,3\n", "lists an id twice"),
  ],
)
def test_files_that_are_no_mapping_are_named(tmp_path, name, content, message):
  (tmp_path / name).write_text(content)
  with pytest.raises(InputError, match=message) as caught:
    make_table(str(tmp_path / name), None, None)
  assert str(tmp_path / name) in str(caught.value)
