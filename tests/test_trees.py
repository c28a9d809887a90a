"""Paths of leaves in words, and how many numbers there are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen import trees


class Pair(NamedTuple):
  first: jax.Array
  second: jax.Array


TREE = {
  "layers": [{"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, {"kernel": jnp.zeros((3, 1))}],
  "pair": Pair(jnp.zeros(()), jnp.zeros((0, 4))),
}
NAMES = ["layers/0/bias", "layers/0/kernel", "layers/1/kernel", "pair/first", "pair/second"]


def test_a_path_reads_as_a_person_would_write_it():
  assert [name for name, _ in trees.leaves(TREE)] == NAMES


def test_a_name_finds_its_leaf():
  named = dict(trees.leaves(TREE))
  assert named["layers/0/kernel"] is TREE["layers"][0]["kernel"]
  assert named["pair/second"] is TREE["pair"].second


def test_the_order_is_that_of_jax():
  assert [leaf for _, leaf in trees.leaves(TREE)] == jax.tree.leaves(TREE)


@pytest.mark.parametrize(("tree", "number"), [({}, 0), (jnp.zeros(()), 1), (TREE, 6 + 3 + 3 + 1 + 0), ([None], 0)])
def test_numbers_are_counted(tree, number):
  assert trees.num_elements(tree) == number


def test_shapes_without_arrays_count_alike():
  shapes = jax.eval_shape(lambda: TREE)
  assert trees.num_elements(shapes) == trees.num_elements(TREE)
  assert [name for name, _ in trees.leaves(shapes)] == NAMES
  assert trees.num_elements({"a": np.zeros((4, 5))}) == 20
