"""The gated layer of perceptrons: two products with the same rows, one of which opens the other."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.kernels.platforms import for_nvidia
from catgen.kernels.product import multiplied, product
from catgen.meshes import spread


def gated(
  x: Float[Array, "*batch inputs"], gate: Float[Array, "inputs hidden"], value: Float[Array, "inputs hidden"]
) -> Float[Array, "*batch hidden"]:
  """Returns silu(x gate) * (x value), in the dtype of x; kernels may have a wider one.

  In programs for NVIDIA GPUs both products are one, and so are their gradients: rows are read once and not twice, and
  the gradients of both halves are written by one pass over memory.

  Reference: Shazeer (2020), arXiv:2002.05202.
  """
  return for_nvidia(_together, gated_plainly)(x, gate, value)


def gated_plainly(x: Array, gate: Array, value: Array) -> Array:
  """Returns what `gated` does: the form for all but NVIDIA GPUs."""
  rows = x.reshape(-1, x.shape[-1])
  opened, passed = (spread(multiplied(rows, each).reshape(*x.shape[:-1], -1)) for each in (gate, value))
  return jax.nn.silu(opened) * passed


def _together(x: Array, gate: Array, value: Array) -> Array:
  both = product(x.reshape(-1, x.shape[-1]), jnp.stack([gate, value], axis=1))
  return spread(_open(both).reshape(*x.shape[:-1], -1))


@jax.custom_vjp
def _open(both: Float[Array, "rows 2 hidden"]) -> Float[Array, "rows hidden"]:
  return jax.nn.silu(both[:, 0]) * both[:, 1]


def _open_forward(both: Array) -> tuple[Array, Array]:
  return _open(both), both


def _open_backward(both: Array, slope: Array) -> tuple[Array]:
  gate, value, slope = (x.astype(jnp.float32)[:, None] for x in (both[:, 0], both[:, 1], slope))
  open_by = jax.nn.sigmoid(gate)
  of_gate, of_value = slope * value * open_by * (1 + gate * (1 - open_by)), slope * gate * open_by
  is_gate = jnp.array([True, False])[None, :, None]  # chosen and not concatenated: XLA writes it in one pass
  return (jnp.where(is_gate, of_gate, of_value).astype(both.dtype),)


_open.defvjp(_open_forward, _open_backward)
