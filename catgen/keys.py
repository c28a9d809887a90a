"""Random keys: one per example, so that batch size, devices and hosts change no draw."""

from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from catgen.interfaces import InputError

Number = Array | np.integer | int
Keys = TypeVar("Keys", Key[Array, "batch"], Key[Array, "batch"] | None)


def root_key(seed: int) -> Key[Array, ""]:
  """Returns the key of all draws of a seed. Raises InputError for a number that is no seed, see `checked_seed`."""
  return jax.random.key(checked_seed(seed))


def checked_seed(seed: int) -> int:
  """Returns a seed; raises InputError unless it lies in 0 .. 2^63 - 1.

  Example:
    >>> checked_seed(7)
    7
  """
  if not 0 <= seed < 2**63:
    raise InputError(f"seed is {seed}; it must be at least 0, and less than 2^63")
  return seed


def example_keys(key: Array, index: Int[Array, "batch"]) -> Key[Array, "batch"]:
  """Returns one key per example, fold_in(key, index): what an example draws does not depend on its batch.

  Example:
    >>> first, second = example_keys(jax.random.key(0), jax.numpy.array([3, 8]))
    >>> bool(second == jax.random.fold_in(jax.random.key(0), 8))
    True
  """
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)


def example_strata(key: Array, index: Int[Array, "batch"], batch_size: int) -> Float[Array, "batch"]:
  """Returns frac(u + index / batch_size), u ~ U(0, 1) shared: each uniform, together spread evenly over [0, 1).

  Example:
    >>> strata = example_strata(jax.random.key(0), jax.numpy.arange(4), 4)
    >>> sorted((strata * 4).astype(int).tolist())  # one in each quarter
    [0, 1, 2, 3]

  Reference: the low-discrepancy time steps of Kingma et al. (2021), arXiv:2107.00630, appendix I.1.
  """
  offset = jax.random.uniform(key, ())
  return (offset + (index % batch_size) / batch_size) % 1.0


def fold_in(keys: Keys, number: Number) -> Keys:
  """Returns fold_in(key, number) of every example's key, [batch]; None, which means no random numbers, stays None."""
  return None if keys is None else jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
