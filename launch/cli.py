"""What all entry points share: flags, and errors of the user's as one line without a traceback."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from catgen.interfaces import InputError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run: config.json, checkpoints, records, pictures")


def define_config(required: bool) -> Any:
  """Defines --config with its overrides --config.section.key=value."""
  flag = config_flags.DEFINE_config_file("config", None, "configuration file; override keys by --config.a.b=value")
  if required:
    flags.mark_flag_as_required("config")
  return flag


def resolved(config: ConfigDict) -> dict[str, Any]:
  """Returns a config as plain JSON values."""
  return json.loads(json.dumps(config.to_dict()))


def workdir() -> str:
  """Returns --workdir. Raises InputError where it is missing."""
  if not WORKDIR.value:
    raise InputError("--workdir is not set; give the folder of the run, for example --workdir=runs/quickstart")
  return WORKDIR.value


def step_flag(value: str) -> str | int:
  """Returns a checkpoint's name, "best" or "latest", or its number."""
  if value in ("best", "latest"):
    return value
  if not value.isdigit():
    raise InputError(f"--step is {value!r}; give best, latest, or the number of a checkpoint")
  return int(value)


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
    return main() or 0
  except InputError as error:
    return _fail(str(error))
  except KeyboardInterrupt:
    return 130
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(arguments: Sequence[str]) -> list[str]:
  """Parses flags; a wrong flag, config file or override ends the program with one line."""
  try:
    rest = flags.FLAGS(list(arguments))
  except (flags.Error, AttributeError, KeyError, ValueError, TypeError, OSError, ImportError, SyntaxError, InputError) as error:
    sys.exit(_fail(" ".join(str(error).split())))
  if len(rest) > 1:
    sys.exit(_fail(f"unexpected argument {rest[1]!r}; flags start with --"))
  return rest


def _fail(message: str) -> int:
  print(f"error: {message}", file=sys.stderr, flush=True)
  return 2
