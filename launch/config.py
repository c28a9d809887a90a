"""Configuration files by path, with overrides."""

import json
from collections.abc import Mapping
from typing import Any

from absl import flags
from ml_collections import config_flags

from catgen.interfaces import InputError


def load_config(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a configuration as plain values. Raises InputError where it cannot be loaded."""
  values, words = flags.FlagValues(), ["", f"--config={name}", *(f"--config.{k}={v}" for k, v in overrides.items())]
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
  try:
    values(words)
    return json.loads(json.dumps(values.config.to_dict()))
  except OSError as error:  # a missing file is reported by ml_collections at first use
    raise InputError(f"--config cannot be loaded: {str(error).splitlines()[-1].strip()}") from error
  except (flags.Error, AttributeError, KeyError, ValueError, TypeError, ImportError, SyntaxError) as error:
    raise InputError(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
  text = str(error.args[0] if error.args else error)
  if "Traceback" in text:  # of the configuration file, which ml_collections quotes whole
    return f"--config cannot be loaded: {text.strip().splitlines()[-1].strip()}"
  message = " ".join(text.split())
  if isinstance(error, KeyError | AttributeError):  # ml_collections names the key and the nearest one that exists
    return f"--config has no such key: {message}"
  return message
