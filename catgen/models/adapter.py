"""The one way from a Flax NNX module to pure functions of nested dicts of parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx
from jaxtyping import Array

from catgen.interfaces import PyTree


class Functional(NamedTuple):
  """A module as functions. `apply(params, *args, method="__call__", **keywords)` calls any of its methods."""

  init: Callable[..., PyTree]  # (key, *args, **keywords) -> params; arguments go to the module's `initialize`
  apply: Callable[..., Any]


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
  """Returns the pure functions of the module that `make(rngs)` builds.

  Parameters are a nested dict of arrays, which jit, grad, optax, sharding rules and checkpoints take as it is. A
  module must hold nothing but `nnx.Param`: randomness and state come in as arguments.
  """
  graphdef, abstract = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

  def init(key: Array, *args: Any, **keywords: Any) -> PyTree:
    module: Any = make(nnx.Rngs(key))
    if args:
      module.initialize(*args, **keywords)
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))

  def apply(params: PyTree, *args: Any, method: str = "__call__", **keywords: Any) -> Any:
    state = nnx.clone(abstract)
    nnx.replace_by_pure_dict(state, params)
    return getattr(nnx.merge(graphdef, state, copy=True), method)(*args, **keywords)

  return Functional(init, apply)
