"""Configuration files: Python files with a function `get_config`, found by path or, those of catgen, by name.

--config=quickstart                        # of catgen, wherever the command is started
--config=label_maps:argmax_softplus        # what stands after the colon is the argument of its `get_config`
--config=my_configs/mine.py                # a path
"""

import difflib
import os
import pathlib
import traceback
import types
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from ml_collections import ConfigDict

from catgen.config.overrides import apply_overrides
from catgen.config.sections import flat, resolve
from catgen.config.values import plain
from catgen.interfaces import InputError
from catgen.records import shown_briefly

DEFAULT, FILE, COMMAND_LINE = "default", "file", "command line"


@shown_briefly
class Configuration(NamedTuple):
  """A configuration with every key, and where each value was set."""

  name: str  # as it was asked for
  values: dict[str, Any]
  origins: dict[str, str]  # "training.num_steps" -> DEFAULT, FILE or COMMAND_LINE


AnyConfiguration: TypeAlias = str | os.PathLike[str] | Configuration | ConfigDict | Mapping[str, Any]


def load_config(name: str, overrides: Mapping[str, Any] | None = None) -> Configuration:
  """Returns a configuration by the name or path of its file.

  Args:
    name: "quickstart", "label_maps:argmax_softplus" or a path that ends in .py.
    overrides: changes by the names of keys, see `apply_overrides`.

  Raises:
    InputError: there is no such file, it cannot be loaded, or a key, kind or value does not fit.
  """
  return from_values(name, read_file(name), overrides or {})


def configuration(config: AnyConfiguration, overrides: Mapping[str, Any] | None = None) -> Configuration:
  """Returns a configuration by whatever a function may be given for one.

  Args:
    config: a name or a path, see `load_config`; what that returned; or sections with their keys, a ConfigDict or a
      resolved configuration among them.
    overrides: changes by the names of keys, see `apply_overrides`.

  Raises:
    InputError: it is none of these, or see `load_config`.
  """
  if isinstance(config, str | os.PathLike):
    return load_config(os.fspath(config), overrides)
  if isinstance(config, Configuration):
    return from_values(config.name, config.values, overrides) if overrides else config
  if isinstance(config, ConfigDict | Mapping):
    section = config.to_dict() if isinstance(config, ConfigDict) else config
    return from_values("a dict", plain(section), overrides or {})
  shown = " ".join(repr(config).split())
  raise InputError(
    f"{shown:.60} is no configuration; give a name such as 'quickstart', the path of a file, what"
    " catgen.load_config returns, or a dict of sections"
  )


def from_values(name: str, section: Mapping[str, Any], changes: Mapping[str, Any]) -> Configuration:
  """Returns the configuration that a file, or the record of a run, spells out, with some changes; see `load_config`."""
  partial = apply_overrides(section, changes)
  values, changed = resolve(partial), flat(changes).keys()

  def origin(key: str) -> str:
    if key in changed or key.removesuffix(".kind") in changed:
      return COMMAND_LINE
    return FILE if _is_spelled(partial, key) else DEFAULT

  return Configuration(name, values, {key: origin(key) for key in flat(values)})


def like(name: str, changes: Mapping[str, Any] | None = None) -> ConfigDict:
  """Returns what another file of catgen spells out, with some changes: for a file that is a variation of it.

  Args:
    name: of the other file, which must be about the same data set, "street_scenes/multinomial".
    changes: values by the names of keys, see `apply_overrides`.
  """
  return ConfigDict(apply_overrides(read_file(name), changes or {}))


def read_file(name: str) -> dict[str, Any]:
  """Returns what a file spells out. Raises InputError where there is none, or it cannot be loaded."""
  asked, _, argument = name.partition(":")
  path = _find_file(asked).resolve()
  try:
    module = types.ModuleType(f"configuration_{path.stem}")
    module.__file__ = str(path)
    # not imported: Python's cache of imports takes a file that was changed within a second for the old one
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    if not hasattr(module, "get_config"):
      raise InputError(f"--config={name} cannot be loaded: it has no function get_config")
    config = module.get_config(argument) if argument else module.get_config()
    values = plain(config.to_dict() if isinstance(config, ConfigDict) else config)
  except InputError:
    raise
  except (Exception, SystemExit) as error:  # whatever a file of the user's does wrong
    raise InputError(f"--config={name} cannot be loaded: {_one_line(error, path)}") from error
  if not isinstance(config, ConfigDict | Mapping):
    raise InputError(f"--config={name} cannot be loaded: get_config returns {config!r}, and no ConfigDict")
  return values


def _find_file(asked: str) -> pathlib.Path:
  """Returns the path of a file: names without .py are those of catgen, whatever lies in the working directory."""
  if asked.endswith(".py"):
    path, inside = pathlib.Path(os.path.expanduser(asked)), folder() / asked.removeprefix("configs/")
    found = path if path.exists() or not asked.startswith("configs/") else inside
    if not found.exists():
      raise InputError(f"--config={asked}: there is no such file; {_advice(asked.removeprefix('configs/')[:-3])}")
    return found
  found = folder() / f"{asked}.py"
  if asked not in names():
    if pathlib.Path(asked).exists():
      raise InputError(f"--config={asked} is no Python file; give the path of one, or a name such as quickstart")
    raise InputError(
      f"--config={asked} is no configuration of catgen; {_advice(asked)} (a file of your own ends in .py)"
    )
  return found


def names() -> list[str]:
  """Returns the names of catgen's own configurations."""
  paths = (path.relative_to(folder()).with_suffix("") for path in folder().rglob("*.py"))
  return sorted(path.as_posix() for path in paths if path.name != "__init__")


def folder() -> pathlib.Path:
  """Returns the folder of catgen's own configurations: inside the installed package, beside it in a checkout."""
  package = pathlib.Path(__file__).parent.parent
  return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"


def _advice(asked: str) -> str:
  near = difflib.get_close_matches(asked, names(), n=1, cutoff=0.5)
  return f"did you mean {near[0]!r}?" if near else f"those of catgen are {', '.join(names())}"


def _is_spelled(partial: Mapping[str, Any], name: str) -> bool:
  section: Any = partial
  *outer, last = name.split(".")
  for key in outer:
    section = section.get(key)
    if not isinstance(section, Mapping):
      return isinstance(section, str) and last == "kind"
  return last in section


def _one_line(error: BaseException, path: pathlib.Path) -> str:
  """Returns an exception as one line, with the line of the file that it comes from."""
  if isinstance(error, SyntaxError):
    return f"line {error.lineno}: {error.msg}"
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
  where = f"line {lines[-1]}: " if lines else ""
  return f"{where}{type(error).__name__}: {' '.join(str(error).split())}"
