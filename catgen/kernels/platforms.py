"""Which form of a function a program has: by what it is compiled for, which need not be a device of this machine."""

import functools
import importlib.util
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def has_cuda() -> bool:
  """Whether JAX's CUDA plugin is installed, without which nothing is compiled for NVIDIA GPUs."""
  return any(importlib.util.find_spec(plugin) is not None for plugin in ("jax_cuda12_plugin", "jax_cuda13_plugin"))


def for_nvidia(form: Callable[P, R], otherwise: Callable[P, R]) -> Callable[P, R]:
  """Returns a function of arrays that is `form` in programs for NVIDIA GPUs, and `otherwise` in those for all else.

  Where nothing can be compiled for such GPUs `form` is not traced: that takes time, and of cuDNN it is impossible.
  """
  return functools.partial(jax.lax.platform_dependent, cuda=form, default=otherwise) if has_cuda() else otherwise
