"""From a configuration to objects: the only place where names in a config meet factories, and data meet models."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from catgen.config.registry import check_keys, make_recipe
from catgen.data import SOURCES
from catgen.interfaces import DataSource, EventSpec, InputError, Model
from catgen.kinds import keys
from catgen.models import MODELS
from catgen.training.optimizer import make_optimizer


def make_source(section: Mapping[str, Any]) -> DataSource:
  """Returns the data set of a config's section `data`."""
  recipe = make_recipe(SOURCES, section, "data")
  for key, parameter in keys(recipe.make).items():
    if parameter.default is inspect.Parameter.empty and section.get(key) is None:
      raise InputError(
        f"config.data.{key} is not set; data of kind {section['kind']!r} need it: --config.data.{key}=..."
      )
  return recipe()


def make_model(section: Mapping[str, Any], event: EventSpec) -> Model:
  """Returns the model of a config's section `model` for the given events."""
  return make_recipe(MODELS, section, "model")(event)


def make_training_optimizer(config: Mapping[str, Any]) -> tuple[Any, Callable]:
  """Returns the optimizer and learning rate of the sections `optimizer` and `training`."""
  check_keys(config["optimizer"], keys(make_optimizer), "optimizer")
  return make_optimizer(num_steps=config["training"]["num_steps"], **config["optimizer"])
