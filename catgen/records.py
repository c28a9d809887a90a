"""What records and functions say of themselves: the meaning of each field and argument, and a line that fits a screen.

The section "Args:" of a docstring is the one place where a field or an argument is described.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_ENTRY = re.compile(r"^([a-z]\w*(?:, [a-z]\w*)*): (.*)$")
_LONGEST, _SHOWN = 60, 3  # characters of a value, items of a collection
Record = TypeVar("Record")


def meanings(make: Callable[..., Any]) -> dict[str, str]:
  """Returns the meaning of each argument of a function, or field of a record, as its docstring says; see `entries`."""
  return entries(inspect.getdoc(make) or "")


def entries(docstring: str) -> dict[str, str]:
  """Returns the entries of a docstring's section "Args:", each as one line, by the name of the argument.

  An entry is "name: meaning" or "name, name: meaning", indented once; what is indented deeper continues it.

  Reference: the Google Python Style Guide, section 3.8.3 (functions and methods).
  """
  found: dict[str, str] = {}
  names: list[str] = []
  for line in _arguments(docstring.splitlines()):
    entry = _ENTRY.match(line.strip()) if not line.startswith("    ") else None
    if entry:
      names = entry[1].split(", ")
      found |= dict.fromkeys(names, entry[2])
    else:
      found |= {name: f"{found[name]} {line.strip()}" for name in names}
  return {name: meaning.rstrip(".") for name, meaning in found.items()}


def documented(record: type[Record]) -> type[Record]:
  """Returns a class of named tuples whose fields have as docstrings what the "Args:" of the class say of them."""
  for name, meaning in meanings(record).items():
    getattr(record, name).__doc__ = meaning
  return record


def shown_briefly(record: type[Record]) -> type[Record]:
  """Returns a class of named tuples that a notebook shows as `brief` does: no array is spelled."""
  record.__repr__ = brief  # type: ignore[method-assign]
  return record


def brief(record: Any) -> str:
  """Returns a named tuple in a line: arrays by type and shape, the first items of collections, no empty fields.

  Example:
    >>> import numpy as np
    >>> from collections import namedtuple
    >>> Bread = namedtuple("Bread", ["loaves", "names", "kind"])
    >>> brief(Bread(np.zeros((2, 3), np.int32), ["a", "b", "c", "d"], None))
    "Bread(loaves=int32[2, 3], names=['a', 'b', 'c', ... 4])"
  """
  fields = ((name, getattr(record, name)) for name in record._fields)
  shown = [f"{name}={_value(value)}" for name, value in fields if not _is_empty(value)]
  return f"{type(record).__name__}({', '.join(shown)})"


def _value(value: Any) -> str:
  if hasattr(value, "shape") and hasattr(value, "dtype"):
    return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
  if hasattr(value, "_fields"):
    text = brief(value) if type(value).__repr__.__module__ == "collections" else repr(value)
    return text if len(text) <= _LONGEST else f"{type(value).__name__}(...)"
  if isinstance(value, Mapping):
    items = [f"{key!r}: {_value(each)}" for key, each in list(value.items())[:_SHOWN]]
    return f"{{{', '.join(items + _more(value))}}}"
  if isinstance(value, list | tuple):
    opening, closing = "[]" if isinstance(value, list) else "()"
    return f"{opening}{', '.join([*map(_value, value[:_SHOWN]), *_more(value)])}{closing}"
  if callable(value):
    return getattr(value, "__name__", type(value).__name__)
  text = f"{value:.6g}" if isinstance(value, float) else repr(value)
  return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _more(items: Any) -> list[str]:
  return [f"... {len(items)}"] if len(items) > _SHOWN else []


def _is_empty(value: Any) -> bool:
  return value is None or (isinstance(value, str | list | tuple | dict) and not len(value))


def _arguments(lines: list[str]) -> list[str]:
  """Returns the lines below "Args:" up to the next blank one."""
  if "Args:" not in lines:
    return []
  below = lines[lines.index("Args:") + 1 :]
  return below[: below.index("")] if "" in below else below
