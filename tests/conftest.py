"""Eight virtual CPU devices, run-time shape checks, loud rank promotion, and a compilation cache for all tests."""

import os
import tempfile

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", os.path.join(tempfile.gettempdir(), "catgen-test-cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

install_import_hook("catgen", "beartype.beartype")

from tests.tiny_run import here, map_run, map_workdir, maps, text, text_run, workdir  # noqa: E402, F401 (fixtures)
