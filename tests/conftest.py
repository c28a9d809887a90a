"""For all tests: eight virtual CPU devices, quick compiling and a cache, run-time shape checks, loud rank promotion."""

import os

from tests import compiling

os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), compiling.xla_flags(8)])
os.environ |= compiling.cached()

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook("catgen", "beartype.beartype")

from tests.tiny_run import here, map_run, map_workdir, maps, text, text_run, workdir  # noqa: E402, F401 (fixtures)
