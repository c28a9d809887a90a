"""Categories as d base-M digits, most significant first: the paper's Cartesian products (its Section 3, Table 9).

M^d codes serve K <= M^d categories. Code c means category c for c < K; the other codes mean none: `decode` says so, and
their probability under a model is part of P(invalid).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from catgen.interfaces import InputError


def num_digits(num_classes: int, base: int) -> int:
  """Returns the smallest d >= 1 with base^d >= num_classes: how many factors the paper's Cartesian products have.

  Raises:
    InputError: the base is below 2.
  """
  if base < 2:
    raise InputError(f"base is {base}; digits need a base of at least 2 (the number of classes means no product)")
  count = 1
  while base**count < num_classes:
    count += 1
  return count


def encode(x: Int[Array, "*event"], num_classes: int, base: int) -> Int[Array, "*event digits"]:
  """Returns the digits of categories in [0, num_classes)."""
  return x[..., None] // _places(num_classes, base).reshape((1,) * x.ndim + (-1,)) % base


def decode(
  digits: Int[Array, "*event digits"], num_classes: int, base: int
) -> tuple[Int[Array, "*event"], Bool[Array, "*event"]]:
  """Returns (categories, whether the code means one); 0 stands where it means none."""
  code = jnp.sum(digits * _places(num_classes, base).reshape((1,) * (digits.ndim - 1) + (-1,)), axis=-1)
  used = code < num_classes
  return jnp.where(used, code, 0), used


def _places(num_classes: int, base: int) -> Int[np.ndarray, "digits"]:
  return base ** np.arange(num_digits(num_classes, base) - 1, -1, -1)
