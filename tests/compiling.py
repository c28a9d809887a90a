"""How the programs of the tests are compiled: the variables of this process and of those that it starts.

CATGEN_TEST_OPTIMIZED=1 compiles as for a user, as `make test-slow` does. JAX_COMPILATION_CACHE_DIR is where programs
are kept from one run of the tests to the next.
"""

import importlib.metadata
import os
import tempfile

# Tests are small, so that compiling takes most of their time. Without optimizing, in one part, and by the simpler of
# XLA's two code generators, a program is ready in an eighth of the time; every claim of the tests holds with either.
_QUICK = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):  # later ones have one generator
  _QUICK.append("--xla_cpu_use_fusion_emitters=false")

# For `jax.jit(..., compiler_options=OPTIMIZED)` of the few programs whose running takes longer than their compiling.
OPTIMIZED = {"xla_backend_optimization_level": 1}


def xla_flags(num_devices: int) -> str:
  """Returns XLA_FLAGS for a process that has as many virtual CPU devices."""
  devices = f"--xla_force_host_platform_device_count={num_devices}"
  return devices if os.environ.get("CATGEN_TEST_OPTIMIZED") else " ".join([*_QUICK, devices])


def cached() -> dict[str, str]:
  """Returns the variables of a process that reads and writes the cache of all tests, for programs that take long."""
  folder = os.path.join(tempfile.gettempdir(), "catgen-test-cache")
  return {
    "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
    "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", folder),
    "CATGEN_CACHE": "off",  # nothing is written to the home of who runs the tests
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",  # writing the others costs what they do
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
  }
