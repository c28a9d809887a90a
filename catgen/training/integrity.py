"""What can be wrong with a stored tree of arrays: changed bits, another shape, a disk that is full."""

import errno
import functools
import operator
import os
import re
import zlib
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32

from catgen.interfaces import PyTree
from catgen.remote import StoreError
from catgen.trees import leaves

_STORAGE_ERRORS = (
  *(errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EFBIG),
  *(errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP),  # paths that it does not take
)
# What a write meets besides: a folder that was moved away, what threads of a write that failed make late, hardware. To
# a reader these are damage.
_WRITE_ERRORS = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EIO, errno.ESTALE)


@jax.jit
def fingerprint(tree: PyTree) -> UInt32[Array, ""]:
  """Returns one number: over leaves, the sum of (odd hash of its path) * sum_i (2 i + 1) bits_i, modulo 2^32.

  Odd weights are invertible, so that any change within a single element changes the number. Sums of integers
  depend neither on their order nor on how arrays are spread over devices.
  """
  total = jnp.zeros((), jnp.uint32)
  for name, leaf in leaves(tree):
    weight = jnp.uint32(zlib.crc32(name.encode()) | 1)
    total += weight * (_bits(leaf) * _odd_numbers(leaf.shape)).sum(dtype=jnp.uint32)
  return total


@jax.jit
def fingerprint_of_parts(tree: PyTree) -> tuple[UInt32[Array, ""], dict[str, UInt32[Array, ""]]]:
  """Returns the fingerprint of a dictionary of trees, and what each of them adds to it: so that a reader of some can
  check those."""
  parts = {name: fingerprint({name: part}) for name, part in tree.items()}
  return functools.reduce(operator.add, parts.values()), parts


def tree_difference(there: dict[str, tuple], here: dict[str, tuple]) -> str | None:
  """Returns the first difference of two {path: (shape, dtype)} in words, or None."""
  for name in sorted(there.keys() | here.keys()):
    if name not in here:
      return f"{name} is stored but not used by this run"
    if name not in there:
      return f"{name} is not stored"
    if there[name] != here[name]:
      return f"{name} is {_describe(there[name])} there and {_describe(here[name])} here"
  return None


def storage_problem(error: BaseException, *, writing: bool = False) -> str | None:
  """Returns why a disk refused ("No space left on device"), or None where the error has another cause.

  Args:
    error: with those that it came from.
    writing: whether it is of a write, to which a folder that has gone or is in the way is a refusal too.
  """
  refusals = _STORAGE_ERRORS + (_WRITE_ERRORS if writing else ())
  cause: BaseException | None = error
  while cause is not None:
    if isinstance(cause, StoreError):
      return str(cause)
    if isinstance(cause, OSError) and cause.errno in refusals:
      return os.strerror(cause.errno)
    for code in re.findall(r"os_error_code='(\d+)'", str(cause)):
      if int(code) in refusals:
        return os.strerror(int(code))
    if writing and str(cause).startswith("NOT_FOUND:"):  # TensorStore's, which has no number
      return os.strerror(errno.ENOENT)
    cause = cause.__cause__ or cause.__context__
  return None


def _bits(x: Array) -> Array:
  if jnp.issubdtype(x.dtype, jnp.floating) or x.dtype == jnp.int32:
    width = x.dtype.itemsize * 8
    x = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{width}"))
  return x.astype(jnp.uint32)


def _odd_numbers(shape: tuple[int, ...]) -> Array:
  strides = [functools.reduce(operator.mul, shape[axis + 1 :], 1) % 2**32 for axis in range(len(shape))]
  index = jnp.zeros(shape, jnp.uint32)
  for axis, stride in enumerate(strides):
    index += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
  return 2 * index + 1


def _describe(leaf: tuple[Any, ...]) -> str:
  shape, dtype = leaf
  return f"{dtype}[{','.join(map(str, shape))}]"
