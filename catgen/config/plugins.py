"""Modules of a user's own that add kinds to the registries, named in a configuration and so in the record of a run.

A module imports a registry and adds an entry: `TRUNKS["mine"] = Kind(Mine)`. `plugins=("mine",)` in a configuration
has it imported wherever the configuration is read, by training as by every command that is given its run.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from catgen.config.registry import choose, join
from catgen.interfaces import InputError
from catgen.kinds import Part

_imported: set[str] = set()  # names that configurations gave


class PluginError(InputError):
  """A module that a configuration names cannot be imported, or fails: nothing is wrong with the configuration."""


@contextmanager
def failing_by_name() -> Iterator[None]:
  """Turns an exception that passed through the code of a user's module into a line that names module and place.

  Raises:
    PluginError: of such an exception; others pass as they are.
  """
  try:
    yield
  except InputError:
    raise
  except Exception as error:
    frames = traceback.walk_tb(error.__traceback__)
    theirs = [(frame, line) for frame, line in frames if _is_of_user(frame.f_globals.get("__name__", ""))]
    if not theirs:
      raise
    frame, line = theirs[-1]
    said = str(error).partition("\n")[0]
    raise PluginError(
      f"{frame.f_globals['__name__']}, which config.plugins names, fails: {type(error).__name__}: {said} "
      f"({frame.f_code.co_filename}, line {line})"
    ) from error


def _is_of_user(module: str) -> bool:
  return any(module == name or module.startswith(f"{name}.") for name in _imported)


def import_plugins(names: Any) -> None:
  """Imports the modules that `config.plugins` names, found as Python finds modules or in the working directory.

  Raises:
    InputError: it is no list of names.
    PluginError: a module cannot be imported, with the reason.
  """
  if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
    raise InputError(f"config.plugins is {names!r}; it must be a list of names of modules, such as ('mine',)")
  for name in names:
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
      module = name.removesuffix(".py").rpartition("/")[2]
      raise InputError(f"config.plugins names {name!r}; give the name of a module, {module!r}, and no path")
    if name not in sys.modules:
      _import(name)
    _imported.add(name)


def _import(name: str) -> None:
  here = os.getcwd()
  sys.path.append(here)  # last: what is installed comes first; a console command has not the working directory on it
  try:
    importlib.import_module(name)
  except ModuleNotFoundError as error:
    missing = error.name or name
    raise PluginError(
      f"config.plugins names {name}, and there is no module {missing}: install it, or put the folder of "
      f"{missing.partition('.')[0]}.py into PYTHONPATH"
    ) from error
  except (Exception, SystemExit) as error:  # whatever a module of the user's does wrong
    last = traceback.extract_tb(error.__traceback__)[-1]
    raise PluginError(
      f"config.plugins names {name}, which cannot be imported: {type(error).__name__}: {error} "
      f"({last.filename}, line {last.lineno})"
    ) from error
  finally:
    sys.path.remove(here)


def check_found_again(part: Part, config: Mapping[str, Any]) -> None:
  """Raises InputError unless every kind that a configuration chooses is catgen's or one of its plugins'.

  A kind that only the file of the configuration defines would train, and no other command could read its run.

  Args:
    part: the kinds that the section may have, or the one that it has.
    config: a resolved configuration.
  """
  modules = ("catgen", *config.get("plugins", ()))
  for name, kind, module in _chosen(part, config, ""):
    if not any(module == known or module.startswith(f"{known}.") for known in modules):
      raise InputError(
        f"config.{name}.kind is {kind!r}, of {module}, where no other command would find it: put it into a module of "
        "its own, say mine.py, and name that in the configuration: plugins=('mine',)"
      )


def _chosen(part: Part, section: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, str]]:
  """Yields the name of each section, its kind, and the module of the factory."""
  kind, _ = choose(part, section, name)
  if isinstance(part, Mapping):
    yield name, section["kind"], getattr(kind.make, "__module__", "catgen")
  for key, inner in kind.parts.items():
    if isinstance(section.get(key), Mapping):
      yield from _chosen(inner, section[key], join(name, key))
