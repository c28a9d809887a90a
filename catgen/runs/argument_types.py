"""What Python callers hand to the public functions: a value of another kind is refused in a line that names it."""

import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from catgen.interfaces import InputError

_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
  bool: ((bool,), "True or False"),
  int: ((numbers.Integral,), "a whole number"),
  float: ((numbers.Real,), "a number"),
  str: ((str,), "a text"),
  Mapping: ((Mapping,), "a dict"),
}
P = ParamSpec("P")
R = TypeVar("R")
_SHOWN = 60  # characters of a value


def checked(function: Callable[P, R]) -> Callable[P, R]:
  """Returns a function that raises InputError for the first value of another kind than its signature says.

  Only parameters that are numbers, texts, paths, truth values, dicts or None are looked at; a truth value is no number.
  Numbers of NumPy and JAX reach the function as Python's. Arguments that it does not have are left to Python.

  Example:
    >>> @checked
    ... def bake(*, minutes: int = 30, kind: str | None = None): ...
    >>> bake(minutes=2.5)
    Traceback (most recent call last):
    catgen.interfaces.InputError: minutes is 2.5; give a whole number
  """
  signature = inspect.signature(function)
  looked_at = {name: _members(each.annotation) for name, each in signature.parameters.items()}

  @functools.wraps(function)
  def called(*args: P.args, **keywords: P.kwargs) -> R:
    bound = signature.bind_partial(*args, **keywords)
    for name, given in bound.arguments.items():
      if members := looked_at.get(name, []):
        value = bound.arguments[name] = _python(given)
        if wanted := _wanted(members, value):
          raise InputError(f"{name} is {shown(given)}; give {wanted}")
    return function(*bound.args, **bound.kwargs)

  return called


def shown(value: Any) -> str:
  """Returns a value in a message: in one line, cut where it is long."""
  text = " ".join(repr(value).split())
  return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def texts(values: Any, name: str) -> list[str]:
  """Returns texts or paths that are handed in; one by itself is one, and is not read letter by letter.

  Raises:
    InputError: they are something else.
  """
  values = [values] if isinstance(values, str | os.PathLike) else values
  if not isinstance(values, Iterable) or isinstance(values, bytes | Mapping):
    raise InputError(f"{name} is {shown(values)}; give a list of texts")
  found = [os.fspath(each) if isinstance(each, os.PathLike) else each for each in values]
  if odd := [each for each in found if not isinstance(each, str)]:
    raise InputError(f"{name} has {shown(odd[0])}; give a list of texts")
  return found


def whole_numbers(values: Any, name: str) -> tuple[int, ...]:
  """Returns whole numbers that are handed in. Raises InputError where they are something else."""
  found = list(values) if isinstance(values, Iterable) else [values]
  if odd := [each for each in found if not isinstance(each, numbers.Integral) or isinstance(each, bool)]:
    raise InputError(f"{name} has {shown(odd[0])}; give whole numbers")
  return tuple(map(int, found))


def _members(annotation: Any) -> list[Any]:
  """Returns the kinds of an annotation; none where values are not looked at, since it has others than those here."""
  is_union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
  members = [typing.get_origin(each) or each for each in (typing.get_args(annotation) if is_union else (annotation,))]
  return members if all(member in (*_KINDS, os.PathLike, types.NoneType, None) for member in members) else []


def _python(value: Any) -> Any:
  """Returns a number of NumPy or JAX as Python's, and anything else as it is."""
  is_number = getattr(value, "shape", None) == () and isinstance(
    getattr(value, "dtype", None), np.dtype
  )  # a key of JAX has another
  return np.asarray(value).item() if is_number else value


def _wanted(members: Sequence[Any], value: Any) -> str:
  """Returns what is wanted where a value is of none of some kinds; "" where it fits."""
  if value is None and (types.NoneType in members or None in members):
    return ""
  kinds = [_KINDS[member] for member in members if member in _KINDS]
  if any(isinstance(value, fits) and (bool in fits or not isinstance(value, bool)) for fits, _ in kinds):
    names_texts = not isinstance(value, Mapping) or all(isinstance(key, str) for key in value)
    return "" if names_texts else "a dict whose keys are texts"
  if os.PathLike in members:
    return "" if isinstance(value, os.PathLike) else "a path"
  return " or ".join(word for _, word in kinds)
