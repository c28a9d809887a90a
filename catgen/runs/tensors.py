"""Trees of arrays as bytes in the format of safetensors, which other programs read too, and back: no pickle."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from catgen.interfaces import InputError, PyTree
from catgen.trees import leaves, nested

_TYPES = {
  "F64": np.float64,
  "F32": np.float32,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
  "I64": np.int64,
  "I32": np.int32,
  "I16": np.int16,
  "I8": np.int8,
  "U64": np.uint64,
  "U32": np.uint32,
  "U16": np.uint16,
  "U8": np.uint8,
  "BOOL": np.bool_,
}


def flat(tree: PyTree) -> dict[str, np.ndarray]:
  """Returns the arrays of a tree of nested dictionaries by their paths; keys that are integers are those of lists.

  Raises:
    InputError: another tree would be read back: one with lists, with a dictionary of nothing, or a slash in a key.
  """
  named = {path: np.require(leaf, requirements="C") for path, leaf in leaves(tree)}
  if [jax.tree.structure(nested(named))] != [jax.tree.structure(tree)]:
    raise InputError("the parameters of this model are no nested dictionaries of arrays; they cannot be exported")
  return named


def packed(named: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
  """Returns arrays as the bytes of a safetensors file, with texts for its header."""
  return safetensors.numpy.save(dict(named), dict(metadata))


def widened(array: Any) -> Any:
  """Returns an array of NumPy or JAX as the model takes it: bfloat16, which only files have, as float32."""
  return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def unpacked(content: bytes) -> PyTree:
  """Returns the tree of a safetensors file, NumPy arrays; of bfloat16 as float32.

  Raises:
    InputError: it is damaged, or has a type that no array of a model has; the message goes on from the file's name.
  """
  try:
    found = safetensors.deserialize(content)
  except safetensors.SafetensorError as error:
    raise InputError(f"is no file of safetensors ({error})") from error
  named = {}
  for name, each in found:
    if each["dtype"] not in _TYPES:
      raise InputError(f"has {name} of type {each['dtype']}, which no array of a model has")
    named[name] = widened(np.frombuffer(each["data"], _TYPES[each["dtype"]]).reshape(each["shape"]))
  try:
    return nested(named)
  except ValueError as error:
    raise InputError(f"has names that do not go together ({error})") from error
