"""Newton-Schulz iterations on many matrices, each on one device of a mesh, where the optimizer's own form would compute
every one of them on all devices."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.meshes import over_all_devices


def orthogonalized(
  stacks: Sequence[Float[Array, "..."]], coefficients: Float[Array, "3"], num_steps: int
) -> list[Float[Array, "..."]]:
  """Returns X after `num_steps` of X <- c_0 X + (c_1 A + c_2 A A) X with A = X X^T, for every matrix of every stack.

  Matrices of a shape, or of the shape turned around, are worked on together, so many at a time as there are devices.

  Args:
    stacks: matrices [..., rows, columns] of Frobenius norm 1 at most, or they diverge.
    coefficients: c_0, c_1, c_2.
    num_steps: five bring all but tiny singular values to between 0.68 and 1.21 with Muon's coefficients.

  Reference: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon.
  """
  groups: dict[tuple[int, int], list[int]] = defaultdict(list)
  for number, stack in enumerate(stacks):
    rows, columns = sorted(stack.shape[-2:])
    groups[rows, columns].append(number)
  found = dict(enumerate(stacks))
  for numbers in groups.values():
    wide = [_wide(stacks[number]) for number in numbers]
    iterated = partial(_iterated, coefficients=coefficients, num_steps=num_steps)
    together = over_all_devices(iterated, jnp.concatenate(wide))
    ends = [sum(len(each) for each in wide[: i + 1]) for i in range(len(wide))]
    for number, part in zip(numbers, jnp.split(together, ends[:-1]), strict=True):
      like = stacks[number]
      part = part if like.shape[-2] <= like.shape[-1] else part.swapaxes(1, 2)
      found[number] = part.reshape(like.shape)
  return list(found.values())


def _wide(stack: Array) -> Float[Array, "matrices rows columns"]:
  """Returns the matrices of a stack in a row, none higher than wide."""
  flat = stack.reshape(-1, *stack.shape[-2:])
  return flat if flat.shape[1] <= flat.shape[2] else flat.swapaxes(1, 2)


def _iterated(x: Array, coefficients: Array, num_steps: int) -> Array:
  first, second, third = coefficients.astype(x.dtype)
  for _ in range(num_steps):
    a = x @ x.swapaxes(1, 2)
    x = first * x + (second * a + third * (a @ a)) @ x
  return x
