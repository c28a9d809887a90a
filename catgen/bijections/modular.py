"""y = shift + scale x modulo K, all of them one-hot vectors of K numbers: a bijection where scale and K are coprime.

Values are exact. Gradients are those of the extension that is linear in each argument: a sum is a circular convolution,
(a + b)_k = sum_i a_i b_(k - i), a product a table, (a b)_k = sum of a_i b_j over i j = k. At one-hot vectors both are
rearrangements of the other's slope, which takes neither the convolution nor the table. There is no volume to account
for. Reference: Tran et al. (2019), Discrete Flows.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

OneHot = Float[Array, "*batch classes"]


def forward(x: OneHot, shift: OneHot, scale: OneHot | None = None) -> OneHot:
  """Returns shift + scale x modulo K; None = a scale of 1.

  Example:
    >>> one = jax.nn.one_hot
    >>> int(forward(one(4, 5), one(3, 5), one(2, 5)).argmax())  # 3 + 2 * 4 = 11
    1
  """
  return add(shift, x if scale is None else multiply(scale, x))


def inverse(y: OneHot, shift: OneHot, scale: OneHot | None = None) -> OneHot:
  """Returns (y - shift) / scale modulo K: what `forward` made y of.

  Example:
    >>> one = jax.nn.one_hot
    >>> int(inverse(one(1, 5), one(3, 5), one(2, 5)).argmax())
    4
  """
  num_classes = y.shape[-1]
  x = add(shift[..., -np.arange(num_classes) % num_classes], y)
  if scale is None:
    return x
  return multiply(jnp.where(_like(are_units(num_classes), scale), scale[..., _inverses(num_classes)], 0), x)


def are_units(num_classes: int) -> Bool[np.ndarray, "classes"]:
  """Returns which of the numbers 0 to K - 1 are coprime to K, so that multiplication by them can be undone.

  Example:
    >>> are_units(6).nonzero()[0].tolist()
    [1, 5]
  """
  return np.array([math.gcd(number, num_classes) == 1 for number in range(num_classes)])


@jax.custom_vjp
def add(a: OneHot, b: OneHot) -> OneHot:
  """Returns the sum of one-hot vectors."""
  return _turned(b, -_number(a))


@jax.custom_vjp
def multiply(a: OneHot, b: OneHot) -> OneHot:
  """Returns the product of one-hot vectors. Numerics: of up to 46,340 classes, the root of 2^31."""
  num_classes = a.shape[-1]
  return jax.nn.one_hot(_number(a) * _number(b) % num_classes, num_classes, dtype=b.dtype)


def _added(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
  return add(a, b), (_number(a), _number(b))


def _added_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  a, b = kept
  return _turned(slope, b), _turned(slope, a)


def _multiplied(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
  return multiply(a, b), (_number(a), _number(b))


def _multiplied_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
  a, b = kept
  return _spread_out(slope, b), _spread_out(slope, a)


add.defvjp(_added, _added_backward)
multiply.defvjp(_multiplied, _multiplied_backward)


def _number(one_hot: Array) -> Int[Array, "*batch"]:
  return jnp.argmax(one_hot, axis=-1)


def _turned(values: Array, steps: Array) -> Array:
  """Returns values[(k + steps) mod K] at every k."""
  places = jnp.arange(values.shape[-1]).reshape((1,) * steps.ndim + (-1,)) + steps[..., None]
  return jnp.take_along_axis(values, places % values.shape[-1], axis=-1)


def _spread_out(values: Array, factor: Array) -> Array:
  """Returns values[(k factor) mod K] at every k."""
  places = jnp.arange(values.shape[-1]).reshape((1,) * factor.ndim + (-1,)) * factor[..., None]
  return jnp.take_along_axis(values, places % values.shape[-1], axis=-1)


def _inverses(num_classes: int) -> Int[np.ndarray, "classes"]:
  """Returns 1 / k modulo K, and 0 where there is none."""
  units = are_units(num_classes)
  return np.array([pow(k, -1, num_classes) if unit else 0 for k, unit in enumerate(units)])


def _like(numbers: np.ndarray, values: Array) -> np.ndarray:
  return numbers.reshape((1,) * (values.ndim - 1) + numbers.shape)
