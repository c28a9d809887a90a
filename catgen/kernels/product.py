"""The product with a kernel in low precision, whose gradient is float32 before devices add theirs up."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def product(x: Float[Array, "rows inputs"], kernel: Float[Array, "inputs outputs"]) -> Float[Array, "rows outputs"]:
  """Returns x kernel, multiplied and rounded in the dtype of x; the kernel may have a wider one, as parameters have.

  The gradient of the kernel is summed over rows, on one device and then over devices, in float32 and has the kernel's
  dtype: a kernel that is first rounded has a gradient that is rounded before devices add theirs up, and the more
  devices the less is left of it. Nothing is slower: the units that multiply add up in float32. There is no
  forward-mode derivative (`jax.jvp`) where dtypes differ.
  """
  return x @ kernel.astype(x.dtype)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return product(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  x, kernel = kept
  d_kernel = jax.lax.dot_general(x, slope, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
  return slope @ kernel.astype(x.dtype).T, d_kernel.astype(kernel.dtype)


product.defvjp(_forward, _backward)
