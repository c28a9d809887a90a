"""Sections are filled from signatures, through kinds within kinds; recipes of them build what a section says."""

import pytest

from catgen.config import fill, flat, resolve, small_section
from catgen.config.registry import make_recipe
from catgen.config.sections import default_section, lay_over
from catgen.interfaces import InputError
from catgen.kinds import Recipe
from catgen.processes import PROCESSES
from tests.config import toy

GAS = {"kind": "gas", "pressure": 3.0}
ENGINE = {"kind": "burner", "fuel": GAS, "spare": None, "width": 16}


def filled(section):
  return fill(toy.CARS, section, "car")


def test_what_is_not_spelled_out_comes_from_signatures_and_default_recipes():
  assert filled("car") == filled({"kind": "car"}) == {"kind": "car", "wheels": 4, "engine": ENGINE}


@pytest.mark.parametrize(
  ("engine", "expected"),
  [
    ({"width": 5}, {**ENGINE, "width": 5}),
    ({"kind": "burner", "width": 5}, {**ENGINE, "width": 5}),
    ({"fuel": {"pressure": 5}}, {**ENGINE, "fuel": {"kind": "gas", "pressure": 5.0}}),
    ({"fuel": {"kind": "oil", "grade": 1}}, {**ENGINE, "fuel": {"kind": "oil", "grade": 1, "pressure": 1.0}}),
    ({"fuel": "oil"}, {**ENGINE, "fuel": {"kind": "oil", "grade": None, "pressure": 1.0}}),
    ({"spare": "gas"}, {**ENGINE, "spare": {"kind": "gas", "pressure": 2.0}}),
    ("electric", {"kind": "electric", "width": 4, "dtype": "float32", "widths": [9, 9, 9]}),
  ],
)
def test_a_section_lies_over_the_default_of_its_kind_and_stands_alone_otherwise(engine, expected):
  assert filled({"kind": "car", "engine": engine})["engine"] == expected


def test_filling_twice_changes_nothing():
  once = filled({"kind": "car", "engine": {"spare": "gas", "fuel": {"kind": "oil", "grade": 2}}})
  assert filled(once) == once


@pytest.mark.parametrize(
  ("section", "message"),
  [
    ({"kind": "car", "engine": {"widht": 1}}, r"config\.car\.engine has no key 'widht' .*did you mean 'width'\?"),
    ({"kind": "cra"}, r"config\.car\.kind is 'cra'; did you mean 'car'\?"),
    ({}, r"config\.car has no kind; choose one of car"),
    ({"kind": "car", "engine": None}, r"config\.car\.engine is None; leave it out, or give it a kind"),
    ({"kind": "car", "engine": 3}, r"config\.car\.engine is 3; it must be a section with a kind: burner, electric"),
    ({"kind": "car", "engine": {"kind": "electric", "fuel": "gas"}}, r"no key 'fuel' .* belongs to kind 'burner'"),
    ({"kind": "car", "wheels": "4"}, r"config\.car\.wheels is '4'; a whole number is needed"),
  ],
)
def test_mistakes_get_one_line(section, message):
  with pytest.raises(InputError, match=message) as caught:
    filled(section)
  assert "\n" not in str(caught.value)


def test_a_part_without_default_is_required():
  with pytest.raises(InputError, match=r"config\.engine\.fuel is not set; give it a kind: gas, oil"):
    fill(toy.ENGINES, {"kind": "burner"}, "engine")


@pytest.mark.parametrize("engine", [{}, {"width": 5}, "electric", {"spare": "gas"}])
def test_a_filled_section_builds_the_same_as_the_one_that_was_spelled_out(engine):
  spelled = {"kind": "car", "wheels": 3, "engine": {**ENGINE, **engine} if isinstance(engine, dict) else engine}
  direct, whole = make_recipe(toy.CARS, spelled, "car")(), make_recipe(toy.CARS, filled(spelled), "car")()
  assert str(direct).replace("(9, 9, 9)", "[9, 9, 9]") == str(whole)


def test_recipes_refuse_what_is_required_and_missing():
  with pytest.raises(InputError, match=r"config\.fuel\.grade is not set, and there is no default"):
    make_recipe(toy.FUELS, {"kind": "oil", "grade": None}, "fuel")


def test_the_section_of_a_recipe():
  recipe = toy.ENGINES["burner"](fuel=toy.FUELS["oil"](grade=1), spare=None, width=2)
  assert default_section(toy.ENGINES, recipe) == {
    "kind": "burner",
    "fuel": {"kind": "oil", "grade": 1},
    "width": 2,
  }
  assert default_section(toy.ENGINES, None) is None
  assert isinstance(recipe, Recipe)


def test_laying_over_needs_the_same_kind():
  assert lay_over({"kind": "a", "x": 1, "y": 2}, {"x": 3}) == {"kind": "a", "x": 3, "y": 2}
  assert lay_over({"kind": "a", "x": 1}, {"kind": "b"}) == {"kind": "b"}
  assert lay_over(None, {"x": 1}) == {"x": 1}


def test_small_sections_keep_what_defines_the_model_and_shrink_the_rest():
  section = fill(toy.ENGINES, {"kind": "electric", "width": 5, "widths": (3, 3, 3)}, "engine")
  assert small_section(toy.ENGINES, section) == {"kind": "electric", "width": 5, "dtype": "small", "widths": [2, 3]}
  engine = fill(toy.ENGINES, {"kind": "burner", "fuel": "gas"}, "engine")
  small = small_section(toy.ENGINES, engine)
  assert small == {**engine, "fuel": {"kind": "gas", "pressure": 0.5}}
  pairs = {"kind": "pairs", "rates": [[5, 6, 0.1]]}  # which are no pairs of few categories
  assert small_section(PROCESSES, pairs) == {**pairs, "rates": PROCESSES["pairs"].small["rates"]}
  unset = {"kind": "pairs", "rates": None}
  assert small_section(PROCESSES, unset) == unset


def test_a_whole_configuration_needs_data_and_model_alone():
  config = resolve({"data": "text8", "model": {"kind": "diffusion", "network": "transformer"}})
  assert list(config) == [
    "data",
    "model",
    "optimizer",
    "training",
    "mesh",
    "checkpoint",
    "evaluation",
    "sampling",
    "tracking",
    "plugins",
    "seed",
  ]
  assert flat(config)["model.process.kind"] == "uniform"
  assert flat(config)["optimizer.decay.kind"] == "cosine"
  for part in ("data", "model"):
    with pytest.raises(InputError, match=f"config.{part} is not set; give it a kind"):
      resolve({key: config[key] for key in ("data", "model") if key != part})
  with pytest.raises(InputError, match=r"config has no key 'traning'; did you mean 'training'\?"):
    resolve({**config, "traning": {}})
