"""In which floating-point format a network computes."""

import jax.numpy as jnp
import numpy as np

from catgen.interfaces import InputError


def compute_dtype(name: str) -> np.dtype:
  """Returns the dtype of activations, "float32" or "bfloat16" (16 bits). Parameters and logits stay float32."""
  if name not in ("float32", "bfloat16"):
    raise InputError(f"dtype {name!r} is unknown: choose float32 or bfloat16")
  return jnp.dtype(name)
