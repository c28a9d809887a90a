"""The one way from a Flax NNX module to pure functions of nested dicts of parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array

from catgen.interfaces import PyTree


class Functional(NamedTuple):
  """A module as functions. `apply(params, *args, method="__call__", **keywords)` calls any of its methods."""

  init: Callable[..., PyTree]  # (key, *args, **keywords) -> params; arguments go to the module's `initialize`
  apply: Callable[..., Any]
  bind: Callable[[PyTree], Any]  # params -> the module with these parameters, for one call of its methods
  plan: Any  # the module without parameters: what follows from its sizes alone


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
  """Returns the pure functions of the module that `make(rngs)` builds.

  Parameters are a nested dict of arrays, which jit, grad, optax, sharding rules and checkpoints take as it is. A
  module must hold nothing but `nnx.Param`: randomness and state come in as arguments.
  """
  plan = nnx.eval_shape(lambda: make(_rngs(0)))
  graphdef, abstract = nnx.split(plan)

  def init(key: Array, *args: Any, **keywords: Any) -> PyTree:
    module: Any = make(_rngs(key))
    if args:
      module.initialize(*args, **keywords)
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))

  def bind(params: PyTree) -> Any:
    state = nnx.clone(abstract)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graphdef, state, copy=True)

  def apply(params: PyTree, *args: Any, method: str = "__call__", **keywords: Any) -> Any:
    return getattr(bind(params), method)(*args, **keywords)

  return Functional(init, apply, bind, plan)


class _Stream(nnx.RngStream):
  """The keys of `nnx.RngStream`, without its comparison of shardings, which takes milliseconds under a trace."""

  def __call__(self) -> Array:
    count = self.count.get_value()
    self.count.set_value(count + 1)
    return jax.random.fold_in(self.key.get_value(), count)


def _rngs(key: Array | int) -> nnx.Rngs:
  rngs: Any = nnx.Rngs(key)
  rngs.default = _Stream(rngs.default.key.get_value(), tag="default")
  return rngs
