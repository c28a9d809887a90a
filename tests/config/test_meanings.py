"""Every key of a configuration has a meaning in the docstring of its factory, and a type that a text can be read as."""

import inspect

import pytest

from catgen.config.meanings import summary
from catgen.config.settings import EXPERIMENT
from catgen.config.values import parsed
from catgen.kinds import Kind, keys
from catgen.records import meanings


def kinds(part, name, found):
  """Collects every kind that a configuration may have, by one of the places where it may stand."""
  for kind_name, kind in {"": part}.items() if isinstance(part, Kind) else part.items():
    if all(kind.make is not other.make for other in found.values()):
      found[f"{name}:{kind_name}"] = kind
    for key, inner in kind.parts.items():
      if (place := f"{name}.{key}") not in {each.partition(":")[0] for each in found}:
        kinds(inner, place, found)
  return found


KINDS = kinds(EXPERIMENT, "config", {})


def test_the_walk_reaches_sections_within_sections():
  names = " ".join(KINDS)
  for name in ("config.data:text8", "model:diffusion", "optimizer:muon", "optimizer.decay:cosine", "process:absorbing"):
    assert name in names


@pytest.mark.parametrize("name", KINDS)
def test_every_key_has_a_meaning(name):
  make = KINDS[name].make
  found = meanings(make)
  assert [key for key in keys(make) if not found.get(key)] == []
  assert summary(make)


@pytest.mark.parametrize("name", KINDS)
def test_every_default_is_of_the_type_that_the_signature_states(name):
  kind = KINDS[name]
  for key, parameter in keys(kind.make).items():
    if key in kind.parts:
      continue
    assert parameter.annotation is not inspect.Parameter.empty, key
    default = parameter.default
    if default not in (inspect.Parameter.empty, None):
      text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
      assert parsed(text, parameter, key) == (list(default) if isinstance(default, tuple) else default)
    elif default is None:
      assert parsed("None", parameter, key) is None


def example(event, *, width: int = 3, depth, rate=0.1):
  """Returns an example. More of it.

  Args:
    event: what the key is not.
    width, depth: of both,
      on two lines.
    rate: "a: b" in it.

  Raises:
    InputError: never.
  """


def test_entries_continue_and_may_share_a_meaning():
  both = "of both, on two lines"
  expected = {"event": "what the key is not", "width": both, "depth": both, "rate": '"a: b" in it'}
  assert meanings(example) == expected
  assert summary(example) == "example. More of it"
  assert meanings(test_entries_continue_and_may_share_a_meaning) == {}
