"""From sections of a configuration to objects: the only place where names meet factories, and data meet models."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from catgen.config.files import Configuration
from catgen.config.registry import as_section, choose, make_recipe
from catgen.data import SOURCES, known
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Part, takes
from catgen.models import MODELS
from catgen.sources import DataSource, check_examples
from catgen.training.optimizer import OPTIMIZERS, Optimizer

T = TypeVar("T")


def make_source(section: Mapping[str, Any] | Configuration) -> DataSource:
  """Returns the data set of a configuration's section `data`: examples [*event] in named splits.

  Args:
    section: a "kind" and its keys, `{"kind": "text_file", "path": "a.txt", "length": 128}`; what is left out has its
      default. Or what `catgen.load_config` returns, whose section `data` it is then.

  Raises:
    InputError: a kind or a key that does not exist, a value that does not fit, or data that are not there.

  Reference: docs/CONFIGURATION.md; `launch.train --config=NAME --print_config` shows the keys with their meanings.
  """
  section = _section(section, "data")
  made = _of_type(DataSource, make_recipe(SOURCES, section, "data")(), f"config.data.kind {section['kind']!r}")
  if not SOURCES[section["kind"]].make.__module__.startswith("catgen."):
    check_examples(made, f"data of kind {section['kind']!r}")
  return made


def make_stand_in(section: Mapping[str, Any]) -> DataSource | None:
  """Returns a source of examples of zeros [*event], without any data; None where only the data say what an example is.

  Raises:
    InputError: a kind or a key of the section that does not exist.
  """
  recipe, kind = make_recipe(SOURCES, section, "data"), SOURCES[section["kind"]]
  if kind.known is None:
    return None
  keys = inspect.signature(recipe.make).bind(**recipe.keywords)
  keys.apply_defaults()
  found = kind.known(**keys.arguments)
  return None if found is None else known.stand_in(found, section["kind"])


def make_model(section: Mapping[str, Any] | Configuration, event: EventSpec) -> Model:
  """Returns the model of a configuration's section `model` for batches [batch, *event] of the given events.

  Args:
    section: a "kind", which is a family, and its keys, `{"kind": "diffusion", "network": {"kind": "transformer"}}`;
      what is left out has its default. Or what `catgen.load_config` returns, whose section `model` it is then.
    event: the shape of one example and the number of its categories, as `DataSource.event` has them.

  Raises:
    InputError: a kind or a key that does not exist, or a value or a network that does not fit such events.
  """
  section = _section(section, "model")
  return _of_type(Model, make_recipe(MODELS, section, "model")(event), f"config.model.kind {section['kind']!r}")


def _of_type(wanted: type[T], made: Any, name: str) -> T:
  """Returns what a kind, perhaps of a user's own, has made. Raises InputError where it is something else."""
  if not isinstance(made, wanted):
    raise InputError(f"{name} makes a {type(made).__name__}; it must make a {wanted.__name__}")
  return made


def _section(section: Mapping[str, Any] | Configuration, name: str) -> Mapping[str, Any]:
  return section.values[name] if isinstance(section, Configuration) else section


def model_takes(section: Mapping[str, Any], name: str) -> bool:
  """Returns whether a factory of the section `model`, or of a section within it, is supplied with something by name."""
  return _takes(MODELS, section, name)


def _takes(part: Part, section: Mapping[str, Any], name: str) -> bool:
  section = as_section(section, part, "model")
  kind, _ = choose(part, section, "model")
  inner = ((each, section.get(key)) for key, each in kind.parts.items())
  return takes(kind.make, name) or any(_takes(each, found, name) for each, found in inner if found is not None)


def make_training_optimizer(config: Mapping[str, Any]) -> Optimizer:
  """Returns the optimizer and the learning rate, by step, of the sections `optimizer` and `training`."""
  return make_recipe(OPTIMIZERS, config["optimizer"], "optimizer")(config["training"]["num_steps"])
