"""The one way from a Flax NNX module to pure functions of nested dicts of parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array

from catgen.interfaces import InputError, PyTree
from catgen.trees import leaves


class Functional(NamedTuple):
  """A module as functions. `apply(params, *args, method="__call__", **keywords)` calls any of its methods."""

  init: Callable[..., PyTree]  # (key, *args, **keywords) -> params; arguments go to the module's `initialize`
  apply: Callable[..., Any]
  bind: Callable[[PyTree], Any]  # params -> the module with these parameters, for one call of its methods
  plan: Any  # the module without parameters: what follows from its sizes alone


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
  """Returns the pure functions of the module that `make(rngs)` builds.

  Parameters are a nested dict of arrays, which jit, grad, optax, sharding rules and checkpoints take as it is. A
  module must hold nothing but `nnx.Param`: randomness and state come in as arguments. `apply` and `bind` raise
  InputError where parameters have other names or shapes than the module's.
  """
  plan = nnx.eval_shape(lambda: make(_rngs(0)))
  if others := leaves(nnx.to_pure_dict(nnx.state(plan, nnx.Not(nnx.Param)))):
    raise InputError(
      f"the network holds {others[0][0]}, which is no nnx.Param: batch statistics, streams of random numbers and other"
      " variables are not kept; leave it out, and take random numbers of `Conditions.keys`"
    )
  graphdef, abstract = nnx.split(plan)
  shapes = _shapes(nnx.to_pure_dict(abstract))

  def init(key: Array, *args: Any, **keywords: Any) -> PyTree:
    module: Any = make(_rngs(key))
    if args:
      module.initialize(*args, **keywords)
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))

  def bind(params: PyTree) -> Any:
    _check(shapes, _shapes(params))
    state = nnx.clone(abstract)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graphdef, state, copy=True)

  def apply(params: PyTree, *args: Any, method: str = "__call__", **keywords: Any) -> Any:
    return getattr(bind(params), method)(*args, **keywords)

  return Functional(init, apply, bind, plan)


def _shapes(params: PyTree) -> dict[str, tuple[int, ...]]:
  return {name: leaf.shape for name, leaf in leaves(params)}


def _check(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
  """Raises InputError where parameters are not those of a module."""
  if expected == found:
    return
  lacking, more = expected.keys() - found.keys(), found.keys() - expected.keys()
  if lacking:
    wrong = f"lack {min(lacking)}" + (f" and {len(lacking) - 1} more arrays" if len(lacking) > 1 else "")
  elif more:
    wrong = f"have {min(more)}, which the model has not"
  else:
    name = next(name for name in expected if expected[name] != found[name])
    wrong = f"have {name} of shape {found[name]}, where the model has {expected[name]}"
  raise InputError(
    f"the parameters {wrong}: they are of another model, or of another version of catgen; use that version"
  )


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
