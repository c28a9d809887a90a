"""What all commands share: from the command line to a call, and from its record to text and an exit code."""

import os
import sys
import warnings
from collections.abc import Sequence

from absl import logging

from catgen.config.arguments import Argument, help_text, split_overrides
from catgen.interfaces import InputError
from catgen.reporting.progress import open_progress
from catgen.reporting.terminal import has_color, one_line, say, settled, voice
from catgen.runs.command import APART, Command, arguments, perform

from .parsing import parse


def main(description: str | None, words: Sequence[str] | None, *commands: Command) -> int:
  """Runs the command that the words choose, those of the command line unless given, and returns the exit code."""
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  logging.set_verbosity(logging.ERROR)
  warnings.filterwarnings("ignore", category=DeprecationWarning)
  return settled(_main(description or "", sys.argv[1:] if words is None else words, arguments(commands), commands))


def _main(description: str, given: Sequence[str], known: Sequence[Argument], commands: tuple[Command, ...]) -> int:
  try:
    if {"--help", "-help", "-h"} & set(given):
      say(help_text(description, known, APART))
      return 0
    plain, overrides = split_overrides(given, "config")
    values = parse(known, plain)
    terminal = {"say": voice(values.get("output")), "progress": open_progress, "color": has_color()}
    return perform(commands, values, overrides, terminal)
  except InputError as error:
    say(one_line(f"error: {error}"), sys.stderr)
    return 2
  except KeyboardInterrupt:
    return 130
