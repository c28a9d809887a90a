"""A command: a function of `catgen.runs`, the text of its record, and where its parameters come from.

Keyword-only parameters are flags. The others are supplied: `run` is loaded from --workdir, --step and --ema, `workdir`
is --workdir, `config` is --config with what overrides it. `say`, `progress` and `color` are the terminal's.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from catgen.config.arguments import Argument, arguments_of, converted
from catgen.interfaces import InputError
from catgen.runs.load import load

TERMINAL = ("say", "progress", "color")
_WORKDIR = Argument("workdir", "str", None, "folder of the run: config.json, checkpoints, records, pictures")
_CONFIG = (
  Argument("config", "str", None, "configuration file; override keys by --config.a.b=value"),
  Argument("print_config", "bool", False, "print the whole configuration, and do nothing"),
)


class Command(NamedTuple):
  """What a command does."""

  function: Callable[..., Any]
  describe: Callable[..., str]  # (record), and color=... where it takes it
  exit_code: Callable[[Any], int] = lambda record: 0  # (record)
  flag: str = ""  # chooses this one instead of the first, where a command has several
  help: str = ""  # of the flag
  config: str | None = None  # where --config is not given


def arguments(commands: Sequence[Command]) -> list[Argument]:
  """Returns the flags of a command and of those that may take its place, each once."""
  found = [argument for command in commands for argument in _flags(command)]
  found += [Argument(each.flag, "bool", False, each.help) for each in commands if each.flag]
  first: dict[str, Argument] = {}
  for argument in found:
    first.setdefault(argument.name, argument)
  return list(first.values())


def perform(
  commands: Sequence[Command],
  values: Mapping[str, Any],
  load_config: Callable[[str], dict[str, Any]],
  terminal: Mapping[str, Any],
) -> int:
  """Calls the function that the flags choose, says what its record tells, and returns the exit code.

  Args:
    commands: the first is the default, the others are chosen by their flags.
    values: of all `arguments`.
    load_config: gives the resolved configuration of a name or file, overrides included.
    terminal: `say`, `progress` and `color`.
  """
  chosen = next((each for each in commands if each.flag and values[each.flag]), commands[0])
  if values.get("print_config"):
    terminal["say"](json.dumps(load_config(_config_name(chosen, values)), indent=1))
    return 0
  parameters = inspect.signature(chosen.function).parameters
  keywords = {
    each.name: converted(each, values[each.name]) for each in arguments_of(chosen.function, leave_out=TERMINAL)
  }
  if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
    others = arguments_of(commands[0].function, leave_out=TERMINAL)
    keywords |= {each.name: converted(each, values[each.name]) for each in others}
    keywords |= terminal
  else:
    keywords |= {name: value for name, value in terminal.items() if name in parameters}
  if "config" in parameters:
    keywords["config"] = load_config(_config_name(chosen, values))
  if "run" in parameters:
    loading = {each.name: values[each.name] for each in arguments_of(load, leave_out=TERMINAL)}
    keywords["run"] = load(_workdir(values, None), **loading, say=terminal["say"])
  if "workdir" in parameters:
    keywords["workdir"] = _workdir(values, parameters["workdir"].default)
  record = chosen.function(**keywords)
  colored = {"color": terminal["color"]} if "color" in inspect.signature(chosen.describe).parameters else {}
  if text := chosen.describe(record, **colored):
    terminal["say"](text)
  return chosen.exit_code(record)


def _flags(command: Command) -> list[Argument]:
  parameters = inspect.signature(command.function).parameters
  found = [*_CONFIG] if "config" in parameters else []
  found += [_WORKDIR] if {"run", "workdir"} & parameters.keys() else []
  found += arguments_of(load, leave_out=TERMINAL) if "run" in parameters else []
  return found + arguments_of(command.function, leave_out=TERMINAL)


def _config_name(command: Command, values: Mapping[str, Any]) -> str:
  """Returns --config, or what the command takes without it."""
  name = values["config"] or command.config
  if name is None:
    raise InputError("--config is not set; give a configuration file, for example --config=configs/quickstart.py")
  return name


def _workdir(values: Mapping[str, Any], default: Any) -> str:
  """Returns --workdir, or the default of the function's signature."""
  if values["workdir"]:
    return values["workdir"]
  if isinstance(default, str):
    return default
  raise InputError("--workdir is not set; give the folder of the run, for example --workdir=runs/quickstart")
