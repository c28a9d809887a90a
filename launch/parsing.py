"""From arguments to absl flags, and from the words of a command line to values."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from absl import flags

from catgen.config.arguments import Argument
from catgen.interfaces import InputError

_DEFINE: Mapping[str, Callable[..., Any]] = {
  "bool": flags.DEFINE_bool,
  "int": flags.DEFINE_integer,
  "float": flags.DEFINE_float,
  "str": flags.DEFINE_string,
  "list": flags.DEFINE_list,
  "repeated": flags.DEFINE_multi_string,
}


def parse(arguments: Sequence[Argument], words: Sequence[str]) -> dict[str, Any]:
  """Returns the value of each argument. Raises InputError, one line, for a flag or a value that does not exist."""
  values = flags.FlagValues()
  tuple(map(partial(_define, values), arguments))
  try:
    rest = values(["", *words])
  except (flags.Error, ValueError) as error:  # the latter: --nochain=3
    raise InputError(" ".join(str(error).split())) from error
  if len(rest) > 1:
    raise InputError(f"unexpected argument {rest[1]!r}; flags start with --")
  return values.flag_values_dict()


def _define(values: flags.FlagValues, argument: Argument) -> None:
  if argument.choices:
    flags.DEFINE_enum(argument.name, argument.default, argument.choices, argument.help, flag_values=values)
  else:
    default = list(map(str, argument.default)) if isinstance(argument.default, tuple) else argument.default
    _DEFINE[argument.kind](argument.name, default, argument.help, flag_values=values)
