"""The product with a kernel in low precision, whose gradient is float32 before devices add theirs up."""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

PRODUCT = "product with a kernel"  # its name where a policy of rematerialization chooses what is kept


def multiplied(x: Float[Array, "rows inputs"], kernel: Float[Array, "inputs outputs"]) -> Float[Array, "rows outputs"]:
  """Returns x kernel in the dtype of x: plainly where that is float32, else as `product` does."""
  return x @ kernel if x.dtype == jnp.float32 else product(x, kernel)


def product(x: Float[Array, "rows inputs"], kernel: Float[Array, "inputs *outputs"]) -> Float[Array, "rows *outputs"]:
  """Returns x kernel, multiplied and rounded in the dtype of x; the kernel may have a wider one, as parameters have.

  The gradient of the kernel is summed over rows, on one device and then over devices, in float32 and has the kernel's
  dtype: a kernel that is first rounded has a gradient that is rounded before devices add theirs up, and the more
  devices the less is left of it. Nothing is slower: the units that multiply add up in float32. There is no
  forward-mode derivative (`jax.jvp`) where dtypes differ. A policy of `jax.checkpoint` that looks for products does
  not find one that has a gradient of its own: it is told by the name `PRODUCT`.
  """
  return checkpoint_name(_product(x, kernel), PRODUCT)


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
  return jnp.tensordot(x, kernel.astype(x.dtype), 1)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _product(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  x, kernel = kept
  d_kernel = jax.lax.dot_general(x, slope, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
  outputs = tuple(range(1, kernel.ndim))
  d_x = jax.lax.dot_general(slope, kernel.astype(x.dtype), ((outputs, outputs), ((), ())))
  return d_x, d_kernel.astype(kernel.dtype)


_product.defvjp(_forward, _backward)
