"""Memory of the host that a step frees and the next one asks for again stays with the process.

On CPUs XLA asks for the memory of a program's temporaries at each call and frees it afterwards. The C library of Linux
gives blocks of that size back to the system, which then has to clear every page of them before the next step: a fifth
of the time of a small step. Here it keeps them; the process holds what it needed at its peak until it ends.
"""

import ctypes
import os
import platform
import re
from collections.abc import Callable, Mapping
from typing import Any

from catgen.training.clusters import device_files

# Of <malloc.h>, see mallopt(3): one arena, as another thread's cannot hold large blocks; no block by mmap; no trimming.
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1
_SETTINGS = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
_ACCELERATOR = re.compile(r"nvidia\d+|accel\d*|vfio|kfd")  # of NVIDIA, of TPUs by one driver and the other, of AMD


def keep_memory(
  library: Callable[[], Any] = lambda: ctypes.CDLL(None),
  environment: Mapping[str, str] = os.environ,
  devices: Callable[[], list[str]] = device_files,
) -> bool:
  """Has the C library keep what is freed, before JAX starts its threads; returns whether it does.

  It is left alone where it is not that of GNU, where the environment says something of it or puts another in its
  place, and on hosts of accelerators, whose threads for data would wait for one another at the only arena.

  Args:
    library: () -> the C library of this process.
    environment: variables of the process.
    devices: () -> what `device_files` says.
  """
  if platform.libc_ver()[0] != "glibc" or _is_told(environment) or any(map(_ACCELERATOR.fullmatch, devices())):
    return False
  mallopt = library().mallopt
  return all(mallopt(*setting) == 1 for setting in _SETTINGS)


def _is_told(environment: Mapping[str, str]) -> bool:
  """Returns whether somebody has chosen how memory is allocated."""
  chosen = any(name.startswith("MALLOC_") or name == "LD_PRELOAD" for name in environment)
  return chosen or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")
