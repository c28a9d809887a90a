"""Trees of arrays: the paths of their leaves in words."""

from typing import Any

import jax

from catgen.interfaces import PyTree


def path_name(path: tuple) -> str:
  """Returns a leaf's path in words.

  Example:
    >>> [(path, _)] = jax.tree_util.tree_leaves_with_path({"layers": [{"kernel": 1.0}]})
    >>> path_name(path)
    'layers/0/kernel'
  """
  return jax.tree_util.keystr(path, simple=True, separator="/")


def leaves(tree: PyTree) -> list[tuple[str, Any]]:
  """Returns (path, leaf) for every leaf of a tree of arrays or of their shapes, in the order of `jax.tree.leaves`.

  Example:
    >>> leaves({"b": 1, "a": (2, 3)})
    [('a/0', 2), ('a/1', 3), ('b', 1)]
  """
  return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def num_elements(tree: PyTree) -> int:
  """Returns how many numbers the leaves of a tree hold together: of parameters, their count.

  Example:
    >>> num_elements({"kernel": jax.ShapeDtypeStruct((3, 4), float), "bias": jax.ShapeDtypeStruct((4,), float)})
    16
  """
  return sum(leaf.size for leaf in jax.tree.leaves(tree))
