"""What all entry points share: flags, and errors of the user's as one line without a traceback."""

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from catgen.interfaces import InputError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

flags.DEFINE_string("workdir", None, "folder of the run: config.json, checkpoints, records, pictures")


def define_config() -> None:
  """Defines --config with its overrides --config.section.key=value."""
  config_flags.DEFINE_config_file("config", None, "configuration file; override keys by --config.a.b=value")


def config() -> dict[str, Any]:
  """Returns --config as plain values. Raises InputError where it is missing or cannot be loaded."""
  if flags.FLAGS.config is None:
    raise InputError("--config is not set; give a configuration file, for example --config=configs/quickstart.py")
  try:
    return resolved(flags.FLAGS.config)
  except OSError as error:  # a missing file is reported by ml_collections at first use
    raise InputError(f"--config cannot be loaded: {str(error).splitlines()[-1].strip()}") from error


def resolved(config: ConfigDict) -> dict[str, Any]:
  """Returns a config as plain JSON values."""
  return json.loads(json.dumps(config.to_dict()))


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
  except (
    flags.Error,
    AttributeError,
    KeyError,
    ValueError,
    TypeError,
    OSError,
    ImportError,
    SyntaxError,
    InputError,
  ) as error:
    sys.exit(_fail(_one_line(error)))
  if len(rest) > 1:
    sys.exit(_fail(f"unexpected argument {rest[1]!r}; flags start with --"))
  return rest


def _one_line(error: BaseException) -> str:
  text = str(error.args[0] if error.args else error)
  if "Traceback" in text:  # of the configuration file, which ml_collections quotes whole
    return f"--config cannot be loaded: {text.strip().splitlines()[-1].strip()}"
  message = " ".join(text.split())
  if isinstance(error, KeyError | AttributeError):  # ml_collections names the key and the nearest one that exists
    return f"--config has no such key: {message}"
  return message


def _fail(message: str) -> int:
  print(f"error: {message}", file=sys.stderr, flush=True)
  return 2
