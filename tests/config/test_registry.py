"""Recipes of sections: what is chosen is built, whatever form a section has, and each mistake is one line."""

import pytest

from catgen.config import fill, flat, small_section
from catgen.config.registry import as_section, choose, join, make_recipe, missing
from catgen.interfaces import InputError
from catgen.kinds import Kind
from tests.config import toy


def built(section):
  return make_recipe(toy.ENGINES, section, "engine")(3)


@pytest.mark.parametrize(
  ("section", "expected"),
  [
    ({"kind": "burner", "fuel": "gas"}, ("burner", 3, 8, ("gas", 2.0), None)),
    ({"kind": "burner", "fuel": {"kind": "gas"}, "spare": None}, ("burner", 3, 8, ("gas", 2.0), None)),
    ({"kind": "burner", "fuel": {"kind": "gas", "pressure": 5.0}, "spare": "gas", "width": 1},
     ("burner", 3, 1, ("gas", 5.0), ("gas", 2.0))),
    ({"kind": "burner", "fuel": {"kind": "oil", "grade": 4}}, ("burner", 3, 8, ("oil", 4, 1.0), None)),
    ("electric", ("electric", 3, 4, "float32", (9, 9, 9))),
    ({"kind": "electric"}, ("electric", 3, 4, "float32", (9, 9, 9))),
  ],
)  # fmt: skip
def test_a_section_builds_what_it_says(section, expected):
  assert built(section) == expected


def test_a_section_is_not_changed_by_what_is_made_of_it():
  section = {"kind": "burner", "fuel": {"kind": "oil", "grade": 4}, "spare": "gas"}
  before = {**section, "fuel": dict(section["fuel"])}
  assert built(section) == built(section)
  assert section == before


MISTAKES = {
  "no kind": ({}, r"config\.engine has no kind; choose one of burner, electric"),
  "kind of another type": ({"kind": 3}, r"config\.engine\.kind is 3; choose one of burner, electric"),
  "kind that is a list": ({"kind": ["burner"]}, r"config\.engine\.kind is \['burner'\]; did you mean 'burner'\?"),
  "misspelt kind": ("electrik", r"config\.engine\.kind is 'electrik'; did you mean 'electric'\?"),
  "kind in capitals": ("Burner", r"config\.engine\.kind is 'Burner'; did you mean 'burner'\?"),
  "another kind's key": ({"kind": "burner", "dtype": 1}, r"where kind is 'burner'; it belongs to kind 'electric'$"),
  "misspelt key": ({"kind": "electric", "widht": 1}, r"'widht' where kind is 'electric'; did you mean 'width'\?"),
  "what code supplies": ({"kind": "electric", "size": 1}, r"no key 'size' where kind is 'electric'; "),
  "a required part": ({"kind": "burner"}, r"config\.engine\.fuel is not set; give it a kind: gas, oil"),
  "a part set to None": ({"kind": "burner", "fuel": None}, r"config\.engine\.fuel is not set; give it a kind"),
  "a mistake inside": ({"kind": "burner", "fuel": {"kind": "ogl"}}, r"config\.engine\.fuel\.kind is 'ogl'; did you"),
  "a required key": ({"kind": "burner", "fuel": "oil"}, r"config\.engine\.fuel\.grade is not set, and there is no def"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_that_name_the_key(case):
  section, message = MISTAKES[case]
  with pytest.raises(InputError, match=message) as caught:
    make_recipe(toy.ENGINES, section, "engine")
  assert "\n" not in str(caught.value)


def test_a_part_that_leaves_no_choice_has_no_kind():
  one = Kind(toy.oil)
  assert make_recipe(one, {"grade": 2}, "oil")() == ("oil", 2, 1.0)
  with pytest.raises(InputError, match=r"config\.oil has no key 'kind'"):
    make_recipe(one, {"kind": "oil", "grade": 2}, "oil")
  with pytest.raises(InputError, match=r"config\.oil is 'oil'; it must be a section with keys: grade, pressure"):
    as_section("oil", one, "oil")
  with pytest.raises(InputError, match=r"config\.fuel is 3; it must be a section with a kind: gas, oil"):
    as_section(3, toy.FUELS, "fuel")


def test_the_whole_configuration_has_no_name():
  assert (join("", "seed"), join("data", "path"), join("a.b", "c")) == ("seed", "data.path", "a.b.c")
  with pytest.raises(InputError, match=r"^config has no kind; choose one of gas, oil$"):
    choose(toy.FUELS, {}, "")
  assert missing(toy.FUELS["oil"], "grade", "fuel.grade").endswith("there is no default: --config.fuel.grade=...")


def test_keys_are_listed_in_the_order_of_the_signature():
  _, known = choose(toy.ENGINES, {"width": 1, "kind": "burner"}, "engine")
  assert list(known) == ["fuel", "spare", "width"]
  filled = fill(toy.ENGINES, {"width": 1, "spare": "gas", "fuel": "gas", "kind": "burner"}, "engine")
  assert list(filled) == ["kind", "fuel", "spare", "width"]


def test_flat_names_lead_back_to_the_values():
  section = fill(toy.CARS, {"kind": "car", "engine": {"spare": {"kind": "oil", "grade": 7}}}, "car")
  found = flat(section)
  for name, value in found.items():
    inner = section
    for key in name.split("."):
      inner = inner[key]
    assert inner == value
  assert {"kind", "wheels", "engine.fuel.pressure", "engine.spare.grade"} <= found.keys()
  assert flat(section, "car").keys() == {f"car.{name}" for name in found}
  assert flat({}) == {}


@pytest.mark.parametrize("widths", [(9, 9, 9), (1,), (1, 50), ()])
def test_what_is_small_stays_small_and_is_never_larger_than_it_was(widths):
  section = fill(toy.ENGINES, {"kind": "electric", "width": 5, "widths": widths}, "engine")
  once = small_section(toy.ENGINES, section)
  assert small_section(toy.ENGINES, once) == once
  assert once["width"] <= section["width"]
  assert all(one <= other for one, other in zip(once["widths"], widths, strict=False))
  fill(toy.ENGINES, once, "engine")  # still of the types that the signature states
