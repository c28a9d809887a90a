"""Functions as an accelerator computes them where nothing is said: factors of float32 products keep bfloat16's digits.

A TPU rounds both factors of a matrix product or convolution in float32 to bfloat16, and sums in float32, unless the
product asks for a precision; NVIDIA's TF32 keeps three digits more. A CPU does neither, so that nothing is seen there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

_PRODUCTS = ("dot_general", "conv_general_dilated")


def rounded(function: Callable) -> Callable:
  """Returns the function with the factors of its float32 products rounded to bfloat16 unless these say more."""

  def run(*arguments: Any) -> Any:
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    outputs = _run(closed, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(shape), outputs)

  return run


def _run(closed: Any, arguments: Sequence[Any]) -> list[Any]:
  jaxpr, consts = (closed.jaxpr, closed.consts) if hasattr(closed, "jaxpr") else (closed, ())
  known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))

  def value(atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else known[atom]

  for equation in jaxpr.eqns:
    outputs = _evaluate(equation, [value(atom) for atom in equation.invars])
    known |= zip(equation.outvars, outputs, strict=True)
  return [value(atom) for atom in jaxpr.outvars]


def _evaluate(equation: Any, inputs: list[Any]) -> Sequence[Any]:
  name, params = equation.primitive.name, equation.params
  if name in _PRODUCTS:
    inputs = [_cut(each) for each in inputs] if _says_nothing(params["precision"]) else inputs
  elif name == "scan":
    return _scan(params, inputs)
  elif name == "while":
    return _while(params, inputs)
  elif name == "cond":
    index, *operands = inputs
    return jax.lax.switch(index, [lambda *x, b=branch: _run(b, x) for branch in params["branches"]], *operands)
  elif body := next((params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params), None):
    return _run(body, inputs)
  outputs = equation.primitive.bind(*inputs, **params)
  return outputs if equation.primitive.multiple_results else [outputs]


def _says_nothing(precision: Any) -> bool:
  return all(
    each in (None, jax.lax.Precision.DEFAULT) for each in (precision if isinstance(precision, tuple) else (precision,))
  )


def _cut(x: Any) -> Any:
  return x.astype(jnp.bfloat16).astype(jnp.float32) if x.dtype == jnp.float32 else x


def _scan(params: dict, inputs: list[Any]) -> list[Any]:
  num_consts, num_carry = params["num_consts"], params["num_carry"]
  consts, moving = inputs[:num_consts], inputs[num_consts:]

  def body(carry: list[Any], piece: list[Any]) -> tuple[list[Any], list[Any]]:
    outputs = _run(params["jaxpr"], [*consts, *carry, *piece])
    return outputs[:num_carry], outputs[num_carry:]

  carry, stacked = jax.lax.scan(
    body, moving[:num_carry], moving[num_carry:], length=params["length"], reverse=params["reverse"]
  )
  return [*carry, *stacked]


def _while(params: dict, inputs: list[Any]) -> list[Any]:
  first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
  return jax.lax.while_loop(
    lambda carry: _run(params["cond_jaxpr"], [*inputs[:first], *carry])[0],
    lambda carry: _run(params["body_jaxpr"], [*inputs[first:second], *carry]),
    inputs[second:],
  )
