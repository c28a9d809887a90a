"""Families of models as Python calls them: the names of networks are taken, and what does not fit is told in a line."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from catgen.config.registry import make_recipe
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Kind, Part, Recipe, keys, name_of, nearest
from catgen.models import MODELS

_EXAMPLE = "catgen.EventSpec((64,), 27): 64 positions of 27 categories"


@functools.cache
def family(make: Callable[..., Model]) -> Callable[..., Model]:
  """Returns a family of `MODELS` that also takes a part by its name, or as a section, and checks what it is given.

  `diffusion(event, network="transformer")` is `diffusion(event, network=TRUNKS["transformer"]())`.

  Raises:
    InputError: of what is returned, where something is no event, no part, no option, or is missing.
  """
  kind = next(each for each in MODELS.values() if each.make is make)
  name, known = name_of(make), keys(make)

  @functools.wraps(make)
  def build(*arguments: Any, **options: Any) -> Model:
    event = options.pop("event") if "event" in options and not arguments else arguments[0] if arguments else None
    if len(arguments) > 1 or not _is_event(event):
      given = ", ".join(f"{each!r:.40}" for each in arguments) or f"{event!r:.40}"
      raise InputError(f"{name} is given {given}; its one argument without a name is an event, such as {_EXAMPLE}")
    for option in options:
      if option not in known:
        raise InputError(f"{name} has no option {option!r}; {nearest(option, known)}")
    for key, part in kind.parts.items():
      value = options.get(key)
      if isinstance(value, str | Mapping):
        options[key] = _recipe(part, value, key)
      elif value is None and known[key].default is inspect.Parameter.empty:
        raise InputError(f"{name} needs {key}=; {_choice(part)}")
      elif value is not None and not isinstance(value, Recipe):
        raise InputError(f"{name}: {key} is {value!r:.40}; {_choice(part)}")
    missing = [key for key, each in known.items() if each.default is each.empty and key not in options]
    if missing:
      raise InputError(f"{name} needs {', '.join(f'{key}=' for key in missing)}")
    return make(event, **options)

  return build


def _recipe(part: Part, value: str | Mapping[str, Any], key: str) -> Recipe:
  try:
    return make_recipe(part, value, key)
  except InputError as error:  # which speaks of a configuration
    error.args = (str(error).replace(f"config.{key}", key),)
    raise


def _choice(part: Part) -> str:
  assert not isinstance(part, Kind)  # those of models leave a choice
  return (
    f"give one of {', '.join(map(repr, part))}, with other sizes than its own as {{'kind': {next(iter(part))!r}, ...}}"
  )


def _is_event(event: Any) -> bool:
  """Returns whether something is an event: a shape of positive whole numbers, and at least one category."""
  if not isinstance(event, EventSpec) or not isinstance(event.shape, tuple) or not event.shape:
    return False
  return all(isinstance(each, int) and each > 0 for each in (*event.shape, event.num_classes))
