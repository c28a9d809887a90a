"""Trees of arrays as bytes in the format of safetensors, which other programs read too, and back: no pickle."""

from collections.abc import Mapping

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


def packed(tree: PyTree, metadata: Mapping[str, str]) -> bytes:
  """Returns a tree of arrays as the bytes of a safetensors file, whose names are the paths of the leaves.

  Args:
    tree: nested dictionaries; keys that are integers are those of lists.
    metadata: texts for the file's header.

  Raises:
    InputError: another tree would be read back: one with lists, with a dictionary of nothing, or a slash in a key.
  """
  named = {path: np.require(leaf, requirements="C") for path, leaf in leaves(tree)}
  if [jax.tree.structure(nested(named))] != [jax.tree.structure(tree)]:
    raise InputError("the parameters of this model are no nested dictionaries of arrays; they cannot be exported")
  return safetensors.numpy.save(named, dict(metadata))


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
    array = np.frombuffer(each["data"], _TYPES[each["dtype"]]).reshape(each["shape"])
    named[name] = array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
  try:
    return nested(named)
  except ValueError as error:
    raise InputError(f"has names that do not go together ({error})") from error
