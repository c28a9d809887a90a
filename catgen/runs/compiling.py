"""Compiled programs that the next command uses again: JAX's cache, in a folder of the user's.

An entry is code that is run: the folder belongs to the user alone. The folder has the name of JAX's version and of the
kind of processor, since a home may be shared by machines that are not alike.
"""

import os
import platform
import zlib
from collections.abc import Callable
from typing import Any

import jax

from catgen.cache import kept
from catgen.files import reading
from catgen.paths import join

LIMIT = 4 * 2**30  # bytes of all versions and machines together
_SHORTEST = 0.1  # seconds that a program takes to compile; JAX leaves out those of less than 1.0
_VARIABLES = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")


def keep_programs(update: Callable[[str, Any], None] = jax.config.update) -> None:
  """Turns JAX's cache of compiled programs on, before the first of them; where that cannot be, nothing is kept.

  What JAX's own variables, or the program that imports catgen, have set stays.

  Args:
    update: sets a value of JAX's configuration.
  """
  if jax.config.values["jax_compilation_cache_dir"] is not None or any(name in os.environ for name in _VARIABLES):
    return
  folder = kept("jax", limit=LIMIT)
  if folder is None:
    return
  update("jax_compilation_cache_dir", join(folder, f"{jax.__version__}-{_machine()}"))
  if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
    update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)


def _machine() -> str:
  """Returns a name of this kind of processor: of what it can do, as far as the system tells."""
  told = platform.machine().encode()
  try:
    with reading("/proc/cpuinfo") as file:
      lines = file.read(16_384).splitlines()
  except OSError:  # another system
    lines = []
  for name in (b"model name", b"flags", b"Features", b"CPU part"):  # the last two are those of ARM
    told += next((line for line in lines if line.startswith(name)), b"")
  return f"{zlib.crc32(told):08x}"
