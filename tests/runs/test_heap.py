"""Memory that stays with the process: the results are the same, and no page is asked for anew by the next step."""

import ctypes
import platform
import subprocess
import sys

import pytest

from catgen.runs.heap import keep_memory
from tests.tiny_run import ROOT, environment

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

# A block of 64 MiB by several threads: as XLA's, which take their memory from arenas of their own.
PROGRAM = """
import ctypes, resource, sys, threading
from catgen.runs.heap import keep_memory

kept = keep_memory(devices=list)
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes, size = [ctypes.c_void_p], 2**26

def step():
  block = library.malloc(size)
  ctypes.memset(block, 1, size)
  library.free(block)

def in_a_thread():
  thread = threading.Thread(target=step)
  thread.start()
  thread.join()

in_a_thread()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
  in_a_thread()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**changes):
  """Returns whether memory is kept, and how many pages four steps asked the system for."""
  settings = {name: value for name, value in environment().items() if not name.startswith("MALLOC_")}
  settings |= {"PYTHONPATH": str(ROOT), **changes}
  kept, number = subprocess.check_output([sys.executable, "-c", PROGRAM], env=settings, text=True).split()
  return kept == "True", int(number)


def test_what_a_step_frees_the_next_one_has_without_asking_the_system():
  kept, number = faults()
  assert kept
  assert number < 2**26 // 4096  # one step alone has as many pages
  left, more = faults(MALLOC_TOP_PAD_="0")  # somebody has chosen
  assert not left
  assert more > 10 * number


@pytest.mark.parametrize(
  ("environment", "devices"),
  [
    ({"MALLOC_ARENA_MAX": "4"}, []),
    ({"LD_PRELOAD": "libjemalloc.so"}, []),
    ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, []),
    *(({}, ["null", name]) for name in ("nvidia0", "accel3", "vfio", "kfd")),
  ],
)
def test_what_is_chosen_and_hosts_of_accelerators_are_left_alone(environment, devices):
  asked = []
  assert not keep_memory(lambda: asked.append("library"), environment, lambda: devices)
  assert not asked


def test_a_library_that_refuses_is_told():
  class Refusing:
    mallopt = staticmethod(lambda *_: 0)

  assert not keep_memory(Refusing, {}, lambda: ["null"])
  assert hasattr(ctypes.CDLL(None), "mallopt")
