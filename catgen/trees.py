"""Trees of arrays: the paths of their leaves in words."""

from collections.abc import Mapping
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


def nested(named: Mapping[str, Any]) -> PyTree:
  """Returns leaves, by their paths as of `leaves`, as nested dictionaries. Raises ValueError where one lies in another.

  Example:
    >>> nested({"layers/0/kernel": 1, "layers/1/kernel": 2, "scale": 3})
    {'layers': {0: {'kernel': 1}, 1: {'kernel': 2}}, 'scale': 3}
  """
  tree: dict[str, Any] = {}
  for path, leaf in named.items():
    *folders, name = path.split("/")
    place = tree
    for folder in folders:
      place = place.setdefault(folder, {})
      if not isinstance(place, dict):
        raise ValueError(f"{path} lies in another leaf")
    if place.setdefault(name, leaf) is not leaf:
      raise ValueError(f"other leaves lie in {path}")
  return number_keys(tree)


def number_keys(tree: PyTree) -> PyTree:
  """Returns nested dictionaries with integers for keys where all keys of a dictionary are numbers in words.

  Example:
    >>> number_keys({"0": {"a": 1}, "1": {"0": 2, "b": 3}})
    {0: {'a': 1}, 1: {'0': 2, 'b': 3}}
  """
  if not isinstance(tree, dict):
    return tree
  numbers = all(isinstance(key, str) and key.isdecimal() for key in tree)
  return {int(key) if numbers else key: number_keys(value) for key, value in tree.items()}
