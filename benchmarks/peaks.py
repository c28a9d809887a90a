"""What a device does at best, measured: products of large matrices of random numbers, and a copy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.budget import Row, steady

DTYPES = ("bfloat16", "float32")  # the latter as the device multiplies it by default: in TF32 on GPUs that have it


class Sizes(NamedTuple):
  """How large what is measured is."""

  side: int  # of the square matrices
  copied: int  # float32 numbers
  window: float  # seconds
  repeats: int


def measure(sizes: Sizes) -> list[Row]:
  """Returns a row for each dtype of a product, and one of the copy, whose `flops` are bytes read and written."""
  random = np.random.default_rng(0)
  a, b = (random.standard_normal((sizes.side, sizes.side), np.float32) for _ in range(2))
  rows = []
  for dtype in DTYPES:
    left, right = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
    seconds = _best(jax.jit(jnp.matmul), (left, right), sizes)
    rows.append(Row(f"product {dtype}", seconds, flops=2.0 * sizes.side**3, note=f"{sizes.side} x {sizes.side}"))
  x = jnp.asarray(random.standard_normal(sizes.copied, np.float32))
  seconds = _best(jax.jit(jnp.negative), (x,), sizes)
  rate = 2.0 * x.nbytes / seconds
  rows.append(Row("copy", seconds, note=f"{x.nbytes / 2**30:.2f} GiB: {rate / 1e9:,.0f} GB/s read and written"))
  return rows


def rates(rows: list[Row]) -> dict[str, float]:
  """Returns the FLOPs a second of each dtype."""
  return {dtype: row.flops / row.seconds for row in rows for dtype in DTYPES if row.name == f"product {dtype}"}


def _best(run: Callable[..., Any], arguments: tuple, sizes: Sizes) -> float:
  return min(steady(lambda: run(*arguments), jax.block_until_ready, window=sizes.window, repeats=sizes.repeats))
