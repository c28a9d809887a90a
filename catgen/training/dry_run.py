"""What a run will cost, without running it: parameters, bytes per device, products per step."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from catgen.interfaces import PyTree
from catgen.training.compiled import Compiled, compile_program
from catgen.trees import num_elements


class Description(NamedTuple):
  """The cost of one run of a program, most often of one training step."""

  num_parameters: int
  parameter_bytes: int  # on one device
  state_bytes: int  # on one device: all that is kept from step to step, or all that the program is given to work with
  batch_bytes: int  # on one device
  flops_by_dtype: dict[str, float]  # of matrix products and convolutions, forward and backward, all devices together
  compiled: Compiled | None  # None unless compiled

  @property
  def flops(self) -> float:
    """FLOPs whatever is multiplied."""
    return sum(self.flops_by_dtype.values(), 0.0)

  @property
  def temporary_bytes(self) -> int | None:
    """On one device, beside state and batch; None unless compiled."""
    return None if self.compiled is None else self.compiled.temporary_bytes


def describe(traced: Any, params: PyTree, state: PyTree, batch: PyTree, *, compile_step: bool = False) -> Description:
  """Returns what a program costs; nothing runs and, unless asked, nothing is compiled.

  Args:
    traced: the program, for example `make_train_step(...).trace(target, batch, key)`.
    params, state, batch: of its arguments the parameters, all that it works with, and the examples: (abstract) arrays
      with shardings.
    compile_step: also compile it for the devices of its arguments. May take minutes.

  XLA's own count of operations takes the body of a loop once, however often it runs; this one follows loops.
  """
  return Description(
    num_parameters=num_elements(params),
    parameter_bytes=bytes_per_device(params),
    state_bytes=bytes_per_device(state),
    batch_bytes=bytes_per_device(batch),
    flops_by_dtype=flops_by_dtype(traced.jaxpr, nvidia=_for_nvidia(state)),
    compiled=compile_program(traced) if compile_step else None,
  )


def bytes_per_device(tree: PyTree) -> int:
  """Returns the bytes that a tree of (abstract) arrays with shardings takes on one device."""
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def flops_by_dtype(jaxpr: Any, *, nvidia: bool = False) -> dict[str, float]:
  """Returns the FLOPs, twice the multiply-adds, of all matrix products and convolutions of a closed jaxpr.

  Args:
    jaxpr: the program.
    nvidia: whether it is compiled for NVIDIA GPUs, where attention may go to a fused kernel. That counts as the
      products which it takes the place of, in the dtype of the queries.

  Bodies of scans count as often as they run, a conditional as its dearest branch, a while loop of unknown length
  as one round. The keys say what is multiplied: "bfloat16", "float32" and so on; "float32 high" and "float32 highest"
  where that precision is asked for; "bfloat16 x float32" where operands differ.
  """
  totals: Counter[str] = Counter()
  for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    totals.update(_flops(equation, nvidia))
  return dict(totals)


def _flops(equation: Any, nvidia: bool) -> dict[str, float]:
  name, params = equation.primitive.name, equation.params
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    number = 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    return {_multiplied(equation): number}
  if name == "conv_general_dilated":
    kernel, numbers = equation.invars[1].aval.shape, params["dimension_numbers"]
    number = 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / kernel[numbers.rhs_spec[0]]
    return {_multiplied(equation): number}
  inner = [flops_by_dtype(body, nvidia=nvidia) for body in _bodies(params)]
  if name == "cond":
    dearest = max(inner, key=lambda branch: sum(branch.values()))
    fused = _fused_attention(params) if nvidia and params.get("branches_platforms") else None
    return dearest if fused is None else {fused: sum(dearest.values())}
  times = params["length"] if name == "scan" else 1
  totals: Counter[str] = Counter()
  for body in inner:
    totals.update({key: times * number for key, number in body.items()})
  return dict(totals)


def _fused_attention(params: dict[str, Any]) -> str | None:
  """Returns the dtype of the queries of the first fused attention in the bodies of an operation, None without one."""
  for body in _bodies(params):
    for equation in getattr(body, "jaxpr", body).eqns:
      if equation.primitive.name.startswith("dot_product_attention"):
        return str(equation.invars[0].aval.dtype)
      if found := _fused_attention(equation.params):
        return found
  return None


def _for_nvidia(tree: PyTree) -> bool:
  devices = (device for x in jax.tree.leaves(tree) for device in x.sharding.device_set)
  return next(devices).platform in ("gpu", "cuda")


def _multiplied(equation: Any) -> str:
  dtypes = sorted({str(operand.aval.dtype) for operand in equation.invars[:2]})
  asked = equation.params["precision"]
  asked = asked if isinstance(asked, tuple) else (asked,)
  precision = {str(each).lower() for each in asked if each is not None} & {"high", "highest"}
  return " ".join([" x ".join(dtypes), *sorted(precision)])


def _bodies(params: dict[str, Any]) -> Iterator[Any]:
  for value in params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if hasattr(item, "eqns") or hasattr(item, "jaxpr"):
        yield item
