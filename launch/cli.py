"""What all entry points share: flags, and errors of the user's as one line without a traceback."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import app, flags
from absl import logging as absl_logging

from catgen.config import Configuration, describe, load_config
from catgen.interfaces import InputError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

flags.DEFINE_string("workdir", None, "folder of the run: config.json, checkpoints, records, pictures")


def define_config() -> None:
  """Defines --config with its overrides --config.section.key=value, and --print_config."""
  flags.DEFINE_string("config", None, "a configuration's name or the path of its file; --config.a.b=value overrides")
  flags.DEFINE_multi_string("override", [], "what --config.a.b=value becomes: a.b=value")
  flags.DEFINE_bool("print_config", False, "show every key with its value, where it was set and its meaning, and end")


def config() -> dict[str, Any]:
  """Returns --config with its overrides as plain values. Raises InputError where it is missing or cannot be loaded."""
  return configuration().values


def configuration() -> Configuration:
  """Returns --config with its overrides. Raises InputError where it is missing or cannot be loaded."""
  if flags.FLAGS.config is None:
    raise InputError("--config is not set; give a configuration, for example --config=quickstart")
  overrides = dict(override.partition("=")[::2] for override in flags.FLAGS.override)
  return load_config(flags.FLAGS.config, overrides)


def workdir() -> str:
  """Returns --workdir. Raises InputError where it is missing."""
  if not flags.FLAGS.workdir:
    raise InputError("--workdir is not set; give the folder of the run, for example --workdir=runs/quickstart")
  return flags.FLAGS.workdir


def step_flag(value: str) -> str | int:
  """Returns a checkpoint's name, "best" or "latest", or its number."""
  if value in ("best", "latest"):
    return value
  if not value.isdigit():
    raise InputError(f"--step is {value!r}; give best, latest, or the number of a checkpoint")
  return int(value)


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
  """Turns an error of writing `path`, which a flag --output names, into one line."""
  try:
    yield
  except OSError as error:
    raise InputError(f"cannot write {path}: {error.strerror}; choose another --output") from error


def say(line: str) -> None:
  """Prints one line at once."""
  print(line, flush=True)


def run(main: Callable[[], int | None]) -> None:
  """Parses the flags and runs `main`, whose result is the exit code."""
  absl_logging.set_verbosity(absl_logging.ERROR)  # flags of absl's own (--verbosity) still have the last word
  warnings.filterwarnings("ignore", category=DeprecationWarning)
  app.run(lambda _: sys.exit(_guarded(main)), flags_parser=_parse)


def _guarded(main: Callable[[], int | None]) -> int:
  try:
    if "print_config" in flags.FLAGS and flags.FLAGS.print_config:
      say(describe(configuration()))
      return 0
    return main() or 0
  except InputError as error:
    return _fail(str(error))
  except KeyboardInterrupt:
    return 130
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(arguments: Sequence[str]) -> list[str]:
  """Parses flags; a wrong flag ends the program with one line."""
  try:
    rest = flags.FLAGS(_with_overrides(arguments))
  except (flags.Error, InputError) as error:
    sys.exit(_fail(" ".join(str(error).split())))
  if len(rest) > 1:
    sys.exit(_fail(f"unexpected argument {rest[1]!r}; flags start with --"))
  return rest


def _with_overrides(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments with --config.a.b=value, or --config.a.b value, as --override=a.b=value."""
  changed, rest = [], iter(arguments)
  for argument in rest:
    if argument.startswith("--config."):
      setting = argument.removeprefix("--config.")
      if "=" not in setting:
        setting += f"={next(rest, '--')}"
      if setting.partition("=")[2].startswith("--"):
        raise InputError(f"{argument} has no value; write {argument}=...")
      argument = f"--override={setting}"
    changed.append(argument)
  return changed


def _fail(message: str) -> int:
  print(f"error: {message}", file=sys.stderr, flush=True)
  return 2
