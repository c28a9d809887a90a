"""For all tests: eight virtual CPU devices, quick compiling and a cache, run-time shape checks, loud rank promotion.

With several workers, the tests of a file run on one of them (`--dist loadfile`), so that they share what is compiled.
"""

import gc
import os
import pathlib
import signal

import pytest

from tests import compiling

os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), compiling.xla_flags(8)])
os.environ |= compiling.cached()

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_traceback_filtering", "off")  # it costs up to a tenth of a second an error

# Shapes are checked where there are arrays; configurations, commands and reports would be the slower for it.
ROOMS = "bijections data distributions evaluation flows kernels models networks processes surjections training"
CORE = "batches bounds chains events given interfaces keys meshes orders trees"
install_import_hook([f"catgen.{name}" for name in f"{ROOMS} {CORE}".split()], "beartype.beartype")

from tests.tiny_run import (  # noqa: E402, F401 (fixtures)
  here,
  map_run,
  map_workdir,
  maps,
  plain_workdir,
  text,
  text_run,
  workdir,
)

_LONGEST = (
  "contracts/test_families",
  "notebooks",
  "launch/",
  "contracts/",
  "runs/",
  "cases/",
  "training/",
  "flows/",
  "networks/",
)
_MAPS = pathlib.Path("/proc/self/maps")  # Linux gives a process 65,530 of them; each compiled program takes some


def pytest_configure():
  """Listens to Ctrl-C where a shell has started the tests in the background, deaf to it: they send it to themselves."""
  if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
  """Leaves what imports and collection made out of garbage collection, and has the rest looked through less often."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items):
  """Puts the files first that take longest, so that no worker waits for another one at the end."""
  items.sort(key=lambda item: next((i for i, name in enumerate(_LONGEST) if name in item.nodeid), len(_LONGEST)))


@pytest.fixture(autouse=True, scope="module")
def _programs_are_let_go():
  """Forgets compiled programs before the process has more than it may have, where it would end by a crash."""
  yield
  gc.freeze()  # where a checkpoint is damaged all garbage is collected, which takes the longer the more there is
  if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > 45_000:
    gc.unfreeze()
    jax.clear_caches()
    gc.collect()
