"""Kinds and recipes: which parameters are keys, what is refused and in which words, what a recipe builds."""

import functools
import inspect

import pytest

from catgen import kinds
from catgen.interfaces import InputError
from catgen.kinds import Kind, Recipe


def network(channels, *, width=128, num_layers=2, rngs=None):
  return ("network", channels, width, num_layers, rngs)


def data_set(path, length=64):
  return ("data_set", path, length)


def supplied(event, /):
  return ("supplied", event)


def loose(event, /, rate=0.5):
  return ("loose", event, rate)


class Layer:
  def __init__(self, channels, *, kernel=3, rngs):
    self.channels, self.kernel, self.rngs = channels, kernel, rngs


class Family:
  """Something callable that is no function."""

  def __call__(self, event, *, num_steps):
    return ("family", event, num_steps)


KEYS = {
  "keyword-only parameters alone": (network, ["width", "num_layers"]),
  "without any, all parameters": (data_set, ["path", "length"]),
  "never what code supplies": (supplied, []),
  "also where others are free": (loose, ["rate"]),
  "of a class those of its constructor": (Layer, ["kernel"]),
  "of an object those of its call": (Family(), ["num_steps"]),
  "of a partial function what is left of them": (functools.partial(network, 3), ["width", "num_layers"]),
}


@pytest.mark.parametrize(("make", "expected"), KEYS.values(), ids=KEYS)
def test_keys_are(make, expected):
  assert list(kinds.keys(make)) == expected


def test_a_default_is_read_from_the_signature():
  found = kinds.keys(network)
  assert found["width"].default == 128
  assert kinds.keys(data_set)["path"].default is inspect.Parameter.empty


def test_a_recipe_builds_with_what_code_supplies():
  recipe = Kind(network)(width=7)
  assert recipe == Recipe(network, {"width": 7})
  assert recipe(3, rngs="random") == ("network", 3, 7, 2, "random")
  assert Kind(data_set)(path="here")() == ("data_set", "here", 64)


def test_what_is_supplied_at_the_end_has_the_last_word():
  assert Kind(network)(width=7)(3, width=9) == ("network", 3, 9, 2, None)


def test_one_recipe_builds_many_things_and_does_not_change():
  recipe = Kind(network)(width=7)
  assert recipe(1) != recipe(2)
  assert recipe.keywords == {"width": 7}


@pytest.mark.parametrize(
  ("make", "keyword", "message"),
  [
    (network, "widht", "network has no key 'widht'; did you mean 'width'?"),
    (network, "xyz", "network has no key 'xyz'; choose one of width, num_layers"),
    (network, "rngs", "network has no key 'rngs'"),  # code supplies it
    (network, "channels", "network has no key 'channels'"),
    (Layer, "kernels", "Layer has no key 'kernels'; did you mean 'kernel'?"),
    (Family(), "steps", "Family has no key 'steps'; did you mean 'num_steps'?"),
  ],
)
def test_a_keyword_that_is_no_key_is_refused_by_name(make, keyword, message):
  with pytest.raises(InputError) as raised:
    Kind(make)(**{keyword: 1})
  assert str(raised.value).startswith(message)
  assert "\n" not in str(raised.value)


def test_a_recipe_can_be_a_part_of_another():
  def model(event, *, network):
    return ("model", event, network(event))

  built = Kind(model, parts={"network": {"small": Kind(network)}})(network=Kind(network)(num_layers=1))("text")
  assert built == ("model", "text", ("network", "text", 128, 1, None))


@pytest.mark.parametrize(
  ("word", "advice"),
  [
    ("transfomer", "did you mean 'transformer'?"),
    ("zzz", "choose one of transformer, recurrent"),
    ("", "choose one of"),
  ],
)
def test_advice_is_the_nearest_word_or_all(word, advice):
  assert kinds.nearest(word, {"transformer": 0, "recurrent": 0}).startswith(advice)
