"""Arithmetic modulo K on one-hot vectors, ranks by predictions: against integers, tables and sorted lists."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.bijections import modular, sorting
from catgen.distributions.straight_through import most_probable


def one_hot(numbers, num_classes):
  return jnp.asarray(np.eye(num_classes, dtype=np.float32)[numbers])


def every(*sizes):
  return np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes)).T


@pytest.mark.parametrize("num_classes", [2, 5, 6, 27])
def test_shifts_and_scales_are_those_of_integers_and_are_undone(num_classes):
  x, shift, scale = every(num_classes, num_classes, num_classes)
  units = np.gcd(scale, num_classes) == 1
  np.testing.assert_array_equal(modular.are_units(num_classes)[scale], units)
  x, shift, scale = x[units], shift[units], scale[units]
  arguments = (one_hot(shift, num_classes), one_hot(scale, num_classes))
  y, back = jax.jit(lambda x, *a: (modular.forward(x, *a), modular.inverse(modular.forward(x, *a), *a)))(
    one_hot(x, num_classes), *arguments
  )
  np.testing.assert_array_equal(y, one_hot((shift + scale * x) % num_classes, num_classes))
  np.testing.assert_array_equal(back, one_hot(x, num_classes))


def linear_in_each(num_classes):
  """Returns the sum and the product as tables: result[k] = sum_ij table[i, j, k] a_i b_j."""
  i, j = every(num_classes, num_classes).reshape(2, num_classes, num_classes)
  return one_hot((i + j) % num_classes, num_classes), one_hot(i * j % num_classes, num_classes)


@pytest.mark.parametrize("operation", [0, 1], ids=["sum", "product"])
def test_gradients_are_those_of_a_circular_convolution_and_of_a_table(operation):
  num_classes = 6
  own, table = (modular.add, modular.multiply)[operation], linear_in_each(num_classes)[operation]
  a, b = (one_hot(numbers, num_classes) for numbers in every(num_classes, num_classes))
  slope = jnp.asarray(np.random.default_rng(0).normal(size=a.shape).astype(np.float32))

  def by_table(a, b):
    return jnp.einsum("ni,nj,ijk->nk", a, b, table)

  value, pull = jax.vjp(own, a, b)
  wanted, pull_wanted = jax.vjp(by_table, a, b)
  np.testing.assert_array_equal(value, wanted)
  for got, expected in zip(pull(slope), pull_wanted(slope), strict=True):
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_most_probable_category_has_the_gradient_of_a_softmax():
  logits, slope = jnp.array([0.3, 1.2, -np.inf, 1.1]), jnp.array([1.0, -2.0, 5.0, 0.5])
  value, pull = jax.vjp(lambda logits: most_probable(logits, 0.1), logits)
  np.testing.assert_array_equal(value, [0, 1, 0, 0])
  exponentials = np.exp((np.asarray(logits, np.float64) - 1.2) / 0.1)
  probs = exponentials / exponentials.sum()
  by_hand = (np.diag(probs) - np.outer(probs, probs)) @ slope / 0.1
  np.testing.assert_allclose(pull(slope)[0], by_hand, rtol=1e-4, atol=1e-7)
  assert pull(slope)[0][2] == 0


def test_a_step_along_the_gradient_moves_to_the_better_shift():
  """K = 5, one position: of all shifts one makes x the most probable category of the base, and it is found."""
  base, x = jnp.log(jnp.array([0.05, 0.05, 0.7, 0.1, 0.1])), one_hot(4, 5)

  def nats(logits):
    return base @ modular.inverse(x, most_probable(logits, 1.0))

  logits = jnp.array([0.5, 0.0, 0.1, 0.2, 0.3])
  slope = jax.jit(jax.grad(nats))
  for _ in range(20):
    logits = logits + slope(logits)
  assert np.argmax(logits) == 2  # 4 - 2 = 2
  np.testing.assert_allclose(nats(logits), np.log(0.7), rtol=1e-6)


def ranks(logits, num_sorted):
  """Returns the rank of every category, by sorting and by counting the others."""
  best = sorted(range(len(logits)), key=lambda k: (-logits[k], k))[:num_sorted]
  order = best + [k for k in range(len(logits)) if k not in best]
  return np.argsort(order)


@functools.partial(jax.jit, static_argnums=2)
def both(category, logits, num_sorted):
  rank = sorting.inverse(category, logits, num_sorted)
  return rank, sorting.forward(rank, logits, num_sorted)


@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_ranks_are_those_of_sorted_lists_and_are_undone(num_classes):
  random = np.random.default_rng(1)
  logits = random.integers(0, 4, (50, num_classes)).astype(np.float32)  # many are equal
  rows = jnp.asarray(np.repeat(logits, num_classes, axis=0))
  category = jnp.asarray(np.tile(np.arange(num_classes), 50))
  for num_sorted in range(1, num_classes + 1):
    rank, back = both(category, rows, num_sorted)
    np.testing.assert_array_equal(rank, np.concatenate([ranks(row, num_sorted) for row in logits]))
    np.testing.assert_array_equal(back, category)
