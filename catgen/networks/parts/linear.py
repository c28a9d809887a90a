"""The linear layer of all networks."""

import functools
import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from catgen.kernels.product import multiplied
from catgen.meshes import copies, spread

Init = Literal["normal", "small", "uniform", "constant", "zeros"]
SMALL = 0.02  # deviation of what starts "small"


class Linear(nnx.Module):
  """x kernel + bias over the last axis.

  All leading axes are merged into one before the product: for the gradient of the kernel XLA then transposes nothing,
  which saves a quarter of a transformer's training step on CPUs.

  Args:
    init: "normal": kernel N(0, 1 / num_inputs), bias zero; "small": kernel N(0, 0.02^2), bias zero; "uniform": both
      within 1 / sqrt(num_inputs), the default of PyTorch and so of the paper's code; "constant": such a bias and a
      kernel of zeros, so that outputs do not depend on inputs at first, but differ; "zeros": both zero.
    dtype: of the product; parameters are float32.
  """

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    *,
    use_bias: bool = True,
    init: Init = "normal",
    dtype: np.dtype | type = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    self.dtype = jnp.dtype(dtype)
    kernel, bias = initial(init, num_inputs, num_outputs, rngs, use_bias=use_bias)
    self.kernel = nnx.Param(kernel)
    self.bias = None if bias is None else nnx.Param(bias)

  def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
    """Returns the product in `dtype`; gradients of parameters are summed in float32, over examples and devices."""
    rows = x.reshape(-1, x.shape[-1])
    y = _affine(rows, self.kernel[...], None if self.bias is None else self.bias[...], self.dtype)
    return spread(y.reshape(*x.shape[:-1], -1))

  def repeated(self, num_examples: int) -> Callable[[Float[Array, "batch *places inputs"]], Array]:
    """Returns the layer for many calls in a loop, on so many examples: devices exchange its parameters once."""
    kernel = copies(self.kernel[...], num_examples)
    if kernel is None:
      return self
    bias = None if self.bias is None else copies(self.bias[...], num_examples)

    def call(x: Array) -> Array:
      rows = spread(x.reshape(len(kernel), -1, x.shape[-1]), whole=True)
      y = jax.vmap(functools.partial(_affine, dtype=self.dtype))(rows, kernel, bias)
      return spread(y.reshape(*x.shape[:-1], -1))

    return call


def initial(
  init: Init, num_inputs: int, num_outputs: int, rngs: nnx.Rngs, *, use_bias: bool = True
) -> tuple[Float[Array, "inputs outputs"], Float[Array, "outputs"] | None]:
  """Returns how a kernel and a bias start; see `Linear`."""
  kernel = _draw(init, num_inputs)(rngs.params(), (num_inputs, num_outputs))
  bias_init: Init = "uniform" if init in ("uniform", "constant") else "zeros"
  return kernel, _draw(bias_init, num_inputs)(rngs.params(), (num_outputs,)) if use_bias else None


def _affine(rows: Array, kernel: Array, bias: Array | None, dtype: np.dtype) -> Array:
  y = multiplied(rows.astype(dtype), kernel)
  return y if bias is None else (y.astype(jnp.float32) + bias[None]).astype(dtype)


def _draw(init: Init, num_inputs: int) -> Callable[[Array, tuple[int, ...]], Array]:
  scale = 1 / math.sqrt(num_inputs)
  if init == "normal":
    return lambda key, shape: scale * jax.random.normal(key, shape)
  if init == "small":
    return lambda key, shape: SMALL * jax.random.normal(key, shape)
  if init == "uniform":
    return lambda key, shape: jax.random.uniform(key, shape, minval=-scale, maxval=scale)
  return lambda key, shape: jnp.zeros(shape)
