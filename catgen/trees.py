"""Trees of arrays: the paths of their leaves in words."""

from typing import Any

import jax

from catgen.interfaces import PyTree


def path_name(path: tuple) -> str:
  """Returns a leaf's path in words, such as "layers/0/attention/kernel"."""
  return jax.tree_util.keystr(path, simple=True, separator="/")


def leaves(tree: PyTree) -> list[tuple[str, Any]]:
  """Returns (path, leaf) for every leaf of a tree of arrays or of their shapes."""
  return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def num_elements(tree: PyTree) -> int:
  """Returns how many numbers the leaves of a tree hold together: of parameters, their count."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))
