"""From a function to the arguments that a command line, or any other form, offers for it.

The keyword-only parameters of a function are its arguments: their types, defaults and the lines of the docstring's
"Args:" say all that a form needs. Nothing is written twice.
"""

import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from catgen.interfaces import InputError
from catgen.records import meanings

Kind = Literal["bool", "int", "float", "str", "list", "repeated"]
_PLAIN: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
_LONGEST = 200  # characters of the name of a flag or a key
_WIDTH = 100  # of help texts


class Argument(NamedTuple):
  """One argument of a function."""

  name: str
  kind: Kind  # list: values separated by commas, a tuple; repeated: given several times, a Sequence
  default: Any
  help: str
  choices: tuple[str, ...] = ()  # of a str; empty: anything
  item: type = str  # of a list


def arguments_of(function: Callable[..., Any], *, leave_out: Iterable[str] = ()) -> list[Argument]:
  """Returns the keyword-only parameters of a function as arguments, less those to leave out.

  Example:
    >>> def bake(*, minutes: int = 30, kind: Literal["rye", "wheat"] | None = None):
    ...   '''Bakes.
    ...
    ...   Args:
    ...     minutes: in the oven.
    ...     kind: of flour.
    ...   '''
    >>> arguments_of(bake)[0]
    Argument(name='minutes', kind='int', default=30, help='in the oven', choices=(), item=<class 'str'>)
    >>> arguments_of(bake)[1].choices
    ('rye', 'wheat')
  """
  known = meanings(function)
  parameters = inspect.signature(function).parameters.values()
  return [
    _argument(each, known.get(each.name, ""))
    for each in parameters
    if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name not in leave_out
  ]


def split_overrides(words: Iterable[str], flag: str) -> tuple[list[str], dict[str, str]]:
  """Returns the words of a command line less those that override a key, --flag.a.b=value, and these overrides.

  Example:
    >>> split_overrides(["--config=x", "--config.training.num_steps=3"], "config")
    (['--config=x'], {'training.num_steps': '3'})
  """
  rest, overrides, following = [], {}, iter(words)
  for word in following:
    name = word.partition("=")[0]
    if name.startswith("--") and len(name) > _LONGEST:  # looking for the flag that was meant would take forever
      raise InputError(f"unknown command line flag {name[2:40]!r}...; it has {len(name):,} characters")
    if not word.startswith(f"--{flag}."):
      rest.append(word)
      continue
    key, equals, value = word.removeprefix(f"--{flag}.").partition("=")
    value = value if equals else next(following, "--")
    if value.startswith("--"):
      raise InputError(f"{word} has no value; write --{flag}.{key}=...")
    overrides[key] = value
  return rest, overrides


def converted(argument: Argument, value: Any) -> Any:
  """Returns a value as the function takes it. Raises InputError where an item of a list is of another type."""
  if argument.kind != "list" or value is None:
    return value
  try:
    return tuple(map(argument.item, value))
  except ValueError as error:
    example = "whole numbers" if argument.item is int else "numbers"
    raise InputError(f"--{argument.name}={','.join(value)} must be {example} separated by commas") from error


def help_text(
  description: str, arguments: Iterable[Argument], apart: Mapping[str, Iterable[str]] = types.MappingProxyType({})
) -> str:
  """Returns a description and a list of flags with their meanings and defaults, wrapped at 100 columns.

  Args:
    description: what stands first.
    arguments: one flag each; where one's meaning has the `name` of another, that flag is named.
    apart: names of flags that come last, by the headings under which they stand.
  """
  known = {each.name: each for each in arguments}
  names = {heading: [name for name in own if name in known] for heading, own in apart.items()}
  others = [name for name in known if not any(name in own for own in names.values())]
  lines = [description.strip()]
  for heading, own in {"flags": others, **names}.items():
    if own:
      lines += ["", f"{heading}:", *_flag_lines([known[name] for name in own], known)]
  return "\n".join(lines)


def _flag_lines(arguments: Iterable[Argument], known: Mapping[str, Argument]) -> list[str]:
  lines = []
  for each in arguments:
    meaning = re.sub(r"`(\w+)`", lambda found: f"--{found[1]}" if found[1] in known else found[0], each.help)
    name = f"--[no]{each.name}" if each.kind == "bool" else f"--{each.name}={_placeholder(each)}"
    shown = ",".join(map(str, each.default)) if isinstance(each.default, tuple) else each.default
    default = "" if shown in (None, "") or each.kind == "bool" else f" (default: {shown})"
    default = " (default: true)" if each.default is True else default
    lines.append(f"  {name}")
    lines += textwrap.wrap(meaning + default, _WIDTH, initial_indent="      ", subsequent_indent="      ")
  return lines


def _argument(parameter: inspect.Parameter, meaning: str) -> Argument:
  found = parameter.annotation
  if isinstance(found, types.UnionType) or typing.get_origin(found) is typing.Union:
    members = [member for member in typing.get_args(found) if member is not types.NoneType]
    found = members[0] if len(members) == 1 else str
  origin, inner = typing.get_origin(found), typing.get_args(found)
  default = parameter.default
  if default is inspect.Parameter.empty:
    default, meaning = None, f"{meaning} (required)"
  if origin is Literal:
    return Argument(parameter.name, "str", default, meaning, tuple(inner))
  if origin in (tuple, Sequence):
    return Argument(parameter.name, "list" if origin is tuple else "repeated", default, meaning, item=inner[0])
  if found not in _PLAIN:
    raise TypeError(f"parameter {parameter.name} is {found}, which no command line can give; make it positional")
  return Argument(parameter.name, _PLAIN[found], default, meaning)


def _placeholder(argument: Argument) -> str:
  if argument.choices:
    return f"<{'|'.join(argument.choices)}>"
  plain = {"int": "N", "float": "X", "str": "TEXT"}
  if argument.kind in ("list", "repeated"):
    item = plain[_PLAIN[argument.item]]
    return f"{item},{item},..." if argument.kind == "list" else item
  return plain[argument.kind]
