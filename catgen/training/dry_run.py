"""What a run will cost, without running it: parameters, bytes per device, products per step."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from catgen.interfaces import Batch, PyTree
from catgen.training.state import TrainState
from catgen.trees import num_elements


class Description(NamedTuple):
  """The cost of one training step."""

  num_parameters: int
  parameter_bytes: int  # on one device
  state_bytes: int  # on one device: parameters, moving average, optimizer and model state
  batch_bytes: int  # on one device
  flops: float  # of matrix products and convolutions of a step, forward and backward, all devices together
  temporary_bytes: int | None  # on one device, beside state and batch; None unless compiled


def describe(
  train_step: Any, target: TrainState, batch: Batch, key: Array, *, compile_step: bool = False
) -> Description:
  """Returns what a step costs; nothing runs and, unless asked, nothing is compiled.

  Args:
    train_step: from `make_train_step`, a jitted function.
    target: from `abstract_state`.
    batch: the global batch, placed, or its shapes with shardings.
    key: any typed key.
    compile_step: also compile for this machine's devices, to know the temporary memory. May take minutes.

  XLA's own count of operations takes the body of a loop once, however often it runs; this one follows loops.
  """
  traced = train_step.trace(target, batch, key)
  temporary = None
  if compile_step:
    temporary = int(traced.lower().compile().memory_analysis().temp_size_in_bytes)
  return Description(
    num_parameters=num_elements(target.params),
    parameter_bytes=bytes_per_device(target.params),
    state_bytes=bytes_per_device(target),
    batch_bytes=bytes_per_device(batch),
    flops=count_flops(traced.jaxpr),
    temporary_bytes=temporary,
  )


def bytes_per_device(tree: PyTree) -> int:
  """Returns the bytes that a tree of (abstract) arrays with shardings takes on one device."""
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def count_flops(jaxpr: Any) -> float:
  """Returns the FLOPs, twice the multiply-adds, of all matrix products and convolutions of a closed jaxpr.

  Bodies of scans count as often as they run, a conditional as its dearest branch, a while loop of unknown length
  as one round.
  """
  return sum(map(_flops, getattr(jaxpr, "jaxpr", jaxpr).eqns), 0.0)


def _flops(equation: Any) -> float:
  name, params = equation.primitive.name, equation.params
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
  if name == "conv_general_dilated":
    kernel, numbers = equation.invars[1].aval.shape, params["dimension_numbers"]
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / kernel[numbers.rhs_spec[0]]
  inner = [count_flops(body) for body in _bodies(params)]
  if name == "cond":
    return max(inner)
  return sum(inner, 0.0) * (params["length"] if name == "scan" else 1)


def _bodies(params: dict[str, Any]) -> Iterator[Any]:
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if hasattr(item, "eqns") or hasattr(item, "jaxpr"):
        yield item
