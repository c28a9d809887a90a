"""Values of keys: plain JSON, of the type that the signature states, given as such or as text on a command line."""

import ast
import inspect
import os
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from catgen.interfaces import InputError

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def plain(value: Any) -> Any:
  """Returns a value as JSON has it: tuples become lists."""
  if isinstance(value, Mapping):
    return {key: plain(each) for key, each in value.items()}
  return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def checked(value: Any, parameter: inspect.Parameter, name: str) -> Any:
  """Returns a value of a key, plain and of the key's type; None where nothing is given yet.

  Args:
    value: as a configuration file or Python has it.
    parameter: of the factory's signature.
    name: of the key, "training.num_steps", for messages.

  Raises:
    InputError: it has another type.
  """
  annotation = _type_of(parameter, name)
  if value is None and parameter.default in (None, inspect.Parameter.empty):
    return None
  for member in _members(annotation):
    found = _convert(value, member)
    if found is not _WRONG:
      return found
  raise InputError(f"config.{name} is {value!r}; {_needed(annotation)} is needed")


def parsed(text: str, parameter: inspect.Parameter, name: str) -> Any:
  """Returns the value that a text of the command line means; see `checked`.

  Sequences are written "32,64", with or without brackets, those of sequences "[[0, 1], [2, 3]]", and None is "None".

  Raises:
    InputError: it means nothing of the key's type.
  """
  annotation = _type_of(parameter, name)
  if text.lower() == "none" and type(None) in _members(annotation):
    return None
  for member in _members(annotation):
    found = _parse(text, member)
    if found is not _WRONG:
      return found
  raise InputError(f"config.{name} is {text!r}; {_needed(annotation)} is needed")


_WRONG = object()


def _type_of(parameter: inspect.Parameter, name: str) -> Any:
  """Returns the type of a key. Raises InputError where the signature, of a user's own kind, states none of JSON."""
  try:
    _needed(parameter.annotation)
  except (KeyError, TypeError) as error:
    raise InputError(
      f"config.{name} is of no type that a configuration has; annotate {parameter.name} in the signature of its "
      "kind by int, float, bool, str, a list of these, or one of them and None (what is no key stands before a /)"
    ) from error
  return parameter.annotation


def _members(annotation: Any) -> tuple[Any, ...]:
  """Returns the members of a union, the narrowest first: a text that is a whole number is no float."""
  union = typing.get_origin(annotation) in (Union, types.UnionType)
  members = typing.get_args(annotation) if union else (annotation,)
  order = [bool, int, float, type(None)]
  return tuple(sorted(members, key=lambda each: (each is str, order.index(each) if each in order else len(order))))


def _element(annotation: Any) -> Any:
  """Returns the type of a sequence's elements; None where the type is no sequence."""
  arguments = typing.get_args(annotation)
  return arguments[0] if typing.get_origin(annotation) in (Sequence, tuple, list) else None


def _convert(value: Any, annotation: Any) -> Any:
  if isinstance(value, np.generic | np.ndarray):
    value = value.tolist()
  if annotation is str and isinstance(value, os.PathLike):
    value = os.fspath(value)
  element = _element(annotation)
  if element is not None:
    if not isinstance(value, list | tuple):
      return _WRONG
    return _all(_first(each, element, _convert) for each in value)
  if annotation is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  matches = isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))
  return value if matches else _WRONG


def _parse(text: str, annotation: Any) -> Any:
  element = _element(annotation)
  if element is not None and _element(element) is not None:  # lists of lists, as Python has them
    try:
      return _convert(ast.literal_eval(text.strip()), annotation)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
      return _WRONG
  if element is not None:
    entries = [entry.strip().strip("'\"") for entry in text.strip().strip("()[]").split(",")]
    return _all(_first(entry, element, _parse) for entry in entries if entry)
  if annotation is bool:
    return _TRUTH.get(text.lower(), _WRONG)
  if annotation in (int, float):
    try:
      return annotation(text)
    except ValueError:
      return _WRONG
  return text if annotation is str else _WRONG


def _first(value: Any, annotation: Any, convert: Any) -> Any:
  return next((found for each in _members(annotation) if (found := convert(value, each)) is not _WRONG), _WRONG)


def _all(values: Any) -> Any:
  values = list(values)
  return _WRONG if any(value is _WRONG for value in values) else values


def _needed(annotation: Any) -> str:
  members = [each for each in _members(annotation) if each is not type(None)]
  words = [_described(each) for each in members if not (each is int and float in members)]
  return " or ".join([*words, *(["None"] if type(None) in _members(annotation) else [])])


def _described(annotation: Any) -> str:
  element = _element(annotation)
  if element is None:
    return _WORDS[annotation]
  widest = _members(element)[-1]
  inner = _element(widest)
  return f"a list of {_PLURALS[widest] if inner is None else f'lists of {_PLURALS[_members(inner)[-1]]}'}"
