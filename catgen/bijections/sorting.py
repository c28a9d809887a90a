"""A category as its rank by a prediction: 0 for the most probable one, and so on for the k most probable.

The others follow in their own order. Ranks of predictable categories are mostly small, whatever the categories are.
Reference: Lindt and Hoogeboom (2021), Discrete Denoising Flows (arXiv:2107.11625).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def forward(
  rank: Int[Array, "*batch"], logits: Float[Array, "*batch classes"], num_sorted: int
) -> Int[Array, "*batch"]:
  """Returns the category of a rank.

  Args:
    rank: in [0, K).
    logits: of the prediction; of equal ones the category with the smaller number comes first.
    num_sorted: k, from 1 to K.

  Example:
    >>> forward(jnp.arange(4), jnp.tile(jnp.array([0.1, 0.4, 0.2, 0.3]), (4, 1)), 2).tolist()
    [1, 3, 0, 2]
  """
  best = _best(logits, num_sorted)
  of_others = (rank - num_sorted)[..., None]
  ahead = jnp.sort(best, axis=-1) - _count(best) <= of_others
  sorted_ones = jnp.take_along_axis(best, jnp.minimum(rank, num_sorted - 1)[..., None], axis=-1)[..., 0]
  return jnp.where(rank < num_sorted, sorted_ones, of_others[..., 0] + ahead.sum(axis=-1))


def inverse(
  category: Int[Array, "*batch"], logits: Float[Array, "*batch classes"], num_sorted: int
) -> Int[Array, "*batch"]:
  """Returns the rank of a category; see `forward`."""
  own, number = jnp.take_along_axis(logits, category[..., None], axis=-1), category[..., None]
  rank = ((logits > own) | (logits == own) & (_count(logits) < number)).sum(axis=-1)
  if num_sorted == logits.shape[-1]:
    return rank
  after = num_sorted + category - (_best(logits, num_sorted) < number).sum(axis=-1)
  return jnp.where(rank < num_sorted, rank, after)


def _best(logits: Array, num_sorted: int) -> Array:
  """Returns the most probable categories; jax.lax.top_k would gather all examples on every device."""
  return jnp.argsort(-logits, axis=-1, stable=True)[..., :num_sorted]


def _count(values: Array) -> Array:
  return jnp.arange(values.shape[-1]).reshape((1,) * (values.ndim - 1) + (-1,))
