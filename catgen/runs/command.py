"""A command: a function of `catgen.runs`, the text of its record, and where its parameters come from.

Keyword-only parameters are flags. The others are supplied: `run` is loaded from --workdir, --step and --ema, `workdir`
is --workdir, `config` is --config with what overrides it. `say`, `progress` and `color` are the terminal's, and
`known` is for other functions.

Of a command that several processes work on together, all call the function, and the first alone speaks.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from catgen.config import Configuration, describe, from_values, load_config
from catgen.config.arguments import Argument, arguments_of, converted
from catgen.config.plugins import failing_by_name
from catgen.interfaces import InputError
from catgen.paths import expanded
from catgen.reporting.progress import no_progress
from catgen.reporting.terminal import silent
from catgen.runs import agreement, memory
from catgen.runs.compiling import keep_programs
from catgen.runs.heap import keep_memory
from catgen.runs.load import load
from catgen.runs.record import has_record, read_record
from catgen.training import clusters, distributed, peers
from catgen.training.signals import Stopped, saving_ends_nothing

NO_FLAGS = ("say", "progress", "color", "known")
_WORKDIR = Argument("workdir", "str", None, "folder of the run: config.json, checkpoints, records, pictures")
_CONFIG = (
  Argument("config", "str", None, "a configuration's name or the path of its file; --config.a.b=value overrides"),
  Argument("data", "repeated", (), "path of the data, as --config.data.path; or key=value for another key of `data`"),
  Argument("print_config", "bool", False, "show every key with its value, where it was set and its meaning, and end"),
)


class Command(NamedTuple):
  """What a command does."""

  function: Callable[..., Any]  # returns the record, whose `exit_code` is the command's, 0 where it has none
  describe: Callable[..., str]  # (record), and color=... where it takes it
  flag: str = ""  # chooses this one instead of the first, where a command has several
  help: str = ""  # of the flag
  config: str | None = None  # where --config is not given
  devices: bool = False  # it computes on devices: several processes work on it together, by flags that join them
  # the flag that names devices which are not there: given it, no process is joined and no device of here is looked for
  elsewhere: str = ""
  # (--workdir, "" without one) -> what the same command does after one of several processes was gone
  comfort: Callable[[str], str] = lambda workdir: "give the same command again"


def join(
  say: Callable[[str], None],
  *,
  coordinator: str | None = None,
  process_id: int | None = None,
  num_processes: int | None = None,
  heartbeat_seconds: int = distributed.HEARTBEAT_SECONDS,
  join_seconds: int = distributed.JOIN_SECONDS,
) -> None:
  """Joins the processes of a command, before anything uses a device; see `distributed.initialize`.

  Args:
    say: receives a line where a cluster cannot be joined.
    coordinator: host:port of process 0, where several processes work together; none of the three where JAX knows the
      cluster.
    process_id: number of this process, from 0.
    num_processes: number of processes.
    heartbeat_seconds: a process of which nothing is heard for so long counts as dead.
    join_seconds: so long the processes may take to find one another.
  """
  distributed.initialize(
    coordinator,
    process_id,
    num_processes,
    heartbeat_seconds=heartbeat_seconds,
    join_seconds=join_seconds,
    say=say,
  )


APART = {"several machines": [each.name for each in arguments_of(join)]}  # flags that most never need


def arguments(commands: Sequence[Command]) -> list[Argument]:
  """Returns the flags of a command and of those that may take its place, each once."""
  found = [argument for command in commands for argument in _flags(command, commands)]
  found += [Argument(each.flag, "bool", False, each.help) for each in commands if each.flag]
  first: dict[str, Argument] = {}
  for argument in found:
    first.setdefault(argument.name, argument)
  return list(first.values())


@failing_by_name()
@saving_ends_nothing()
def perform(
  commands: Sequence[Command],
  values: Mapping[str, Any],
  overrides: Mapping[str, str],
  terminal: Mapping[str, Any],
) -> int:
  """Calls the function that the flags choose, says what its record tells, and returns the exit code.

  Args:
    commands: the first is the default, the others are chosen by their flags.
    values: of all `arguments`.
    overrides: of keys of the configuration.
    terminal: `say`, `progress` and `color`.
  """
  chosen = next((each for each in commands if each.flag and values[each.flag]), commands[0])
  if values.get("print_config"):
    terminal["say"](describe(_configuration(chosen, values, overrides)))
    return 0
  _check_chosen(chosen, commands, values)
  keep_memory()
  if not chosen.devices or values.get(chosen.elsewhere):
    return _perform(chosen, commands[0], values, _config_of(chosen, values, overrides), terminal)
  keep_programs()
  join(terminal["say"], **{each.name: values[each.name] for each in arguments_of(join)})
  if jax.process_index() > 0:
    terminal = {"say": silent, "progress": no_progress, "color": False}
  if warning := clusters.warning_of(clusters.in_use()):
    terminal["say"](warning)
  with peers.watched(partial(chosen.comfort, expanded(values.get("workdir") or ""))):
    own = [each.name for each in arguments_of(join)]
    name = chosen.function.__name__
    find = partial(_config_of, chosen, values, overrides)
    config = agreement.agreed(find, lambda found: agreement.of_command(name, values, own, found))
    return _perform(chosen, commands[0], values, config, terminal)


def _perform(
  chosen: Command,
  first: Command,
  values: Mapping[str, Any],
  config: Mapping[str, Any] | None,
  terminal: Mapping[str, Any],
) -> int:
  """Calls a function as `perform` does; where it hands options on, those of the first one are flags too."""
  parameters, supplied = inspect.signature(chosen.function).parameters, _supplied(chosen.function)
  keywords = {
    each.name: converted(each, values[each.name]) for each in arguments_of(chosen.function, leave_out=NO_FLAGS)
  }
  taken = set(parameters)
  if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):  # it hands them on to the first
    taken |= set(inspect.signature(first.function).parameters)
    others = arguments_of(first.function, leave_out=NO_FLAGS)
    keywords |= {each.name: converted(each, values[each.name]) for each in others}
  keywords |= {name: value for name, value in terminal.items() if name in taken}
  if config is not None:
    keywords["config"] = config
  if "run" in supplied:
    loading = {each.name: values[each.name] for each in arguments_of(load, leave_out=NO_FLAGS)}
    with memory.explained():
      keywords["run"] = load(_workdir(values, None), **loading, say=terminal["say"])
  if "workdir" in supplied:
    keywords["workdir"] = _workdir(values, parameters["workdir"].default)
  _check_given(parameters, keywords)
  try:
    with _memory(keywords):
      record = chosen.function(**keywords)
  except Stopped as stop:
    terminal["say"](str(stop))
    return stop.code
  colored = {"color": terminal["color"]} if "color" in inspect.signature(chosen.describe).parameters else {}
  if text := chosen.describe(record, **colored):
    terminal["say"](text)
  return getattr(record, "exit_code", 0)


def _config_of(command: Command, values: Mapping[str, Any], overrides: Mapping[str, str]) -> Mapping[str, Any] | None:
  """Returns the configuration that a command takes, None where it takes none. Raises InputError for its overrides."""
  if "config" in _supplied(command.function):
    return _configuration(command, values, overrides).values
  if overrides:
    raise InputError(
      f"--config.{next(iter(overrides))} changes a configuration, and this command takes the run's; leave it out"
    )
  return None


def _configuration(command: Command, values: Mapping[str, Any], overrides: Mapping[str, str]) -> Configuration:
  """Returns --config, or what the command takes without it, or that of the run in --workdir, with its overrides."""
  name = values["config"] or command.config
  changes = {**overrides, **{f"data.{key}": value for key, value in _data(values["data"])}}
  if name is not None:
    return load_config(name, changes)
  workdir = expanded(values.get("workdir") or "")
  if workdir and has_record(workdir):
    config = read_record(workdir).config
    unknown = {"split_rule"} if config["data"].get("split_rule") is None else set()  # training finds it again
    data = {key: value for key, value in config["data"].items() if key not in unknown}
    return from_values(workdir, {**config, "data": data}, changes)
  there = f", and {workdir} holds no run" if workdir else ""
  raise InputError(f"--config is not set{there}; give a configuration, for example --config=quickstart")


def _check_chosen(chosen: Command, commands: Sequence[Command], values: Mapping[str, Any]) -> None:
  """Raises InputError for a flag of a function that was not chosen, which would count for nothing."""
  taken = {each.name for command in (chosen, commands[0]) for each in _flags(command, commands)}
  for other in commands:
    for each in arguments_of(other.function, leave_out=NO_FLAGS):
      given = converted(each, values[each.name]) or None  # an empty list, or tuple
      if each.name not in taken and given != (each.default or None):
        raise InputError(f"--{each.name} counts only with --{other.flag}; add that, or leave --{each.name} out")


def _check_given(parameters: Mapping[str, inspect.Parameter], keywords: Mapping[str, Any]) -> None:
  """Raises InputError where a flag that has no default is not given."""
  for name, parameter in parameters.items():
    if parameter.default is inspect.Parameter.empty and name in keywords and keywords[name] is None:
      raise InputError(f"--{name} is not set, and there is no default")


def _memory(keywords: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
  """Returns what turns running out of memory in a command into a line."""
  if "config" in keywords:
    return memory.explained(lambda: memory.of_training(keywords["config"]))
  if "run" in keywords:
    return memory.explained(lambda: memory.of_run(keywords["run"], keywords))
  return memory.explained()


def _data(words: Sequence[str]) -> Iterator[tuple[str, str]]:
  for word in words:
    key, equals, value = word.partition("=")
    yield (key, value) if equals and key.isidentifier() else ("path", word)


def _flags(command: Command, commands: Sequence[Command]) -> list[Argument]:
  supplied, parameters = _supplied(command.function), inspect.signature(command.function).parameters
  found = [*_CONFIG] if "config" in supplied else []
  if found and command.config is None:
    found[0] = _required(found[0], ", unless --workdir holds a run" if "workdir" in supplied else "")
  if {"run", "workdir"} & supplied:
    must = "run" in supplied or not isinstance(parameters["workdir"].default, str)
    without = [f"--{each.flag}" for each in commands if each.flag and "workdir" not in _supplied(each.function)]
    found.append(_required(_WORKDIR, f", but with {' or '.join(without)}" if without else "") if must else _WORKDIR)
  found += arguments_of(load, leave_out=NO_FLAGS) if "run" in supplied else []
  found += arguments_of(command.function, leave_out=NO_FLAGS)
  return found + (arguments_of(join) if command.devices else [])


def _required(argument: Argument, unless: str = "") -> Argument:
  return argument._replace(help=f"{argument.help} (required{unless})")


def _supplied(function: Callable[..., Any]) -> set[str]:
  """Returns the parameters that are no flags."""
  parameters = inspect.signature(function).parameters.values()
  return {each.name for each in parameters if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}


def _workdir(values: Mapping[str, Any], default: Any) -> str:
  """Returns --workdir, or the default of the function's signature."""
  if values["workdir"]:
    return expanded(values["workdir"])
  if isinstance(default, str):
    return default
  raise InputError("--workdir is not set; give the folder of the run, for example --workdir=runs/quickstart")
