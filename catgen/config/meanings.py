"""What each key of a configuration means, read from the docstring of the factory that takes it."""

import inspect
import re
from collections.abc import Callable
from typing import Any

_ENTRY = re.compile(r"^([a-z]\w*(?:, [a-z]\w*)*): (.*)$")


def summary(make: Callable[..., Any]) -> str:
  """Returns the first line of a factory's docstring, without its "Returns" and its full stop."""
  first = (inspect.getdoc(make) or "").splitlines()[:1]
  return re.sub(r"^Returns (an? |the )?", "", "".join(first)).rstrip(".")


def meanings(make: Callable[..., Any]) -> dict[str, str]:
  """Returns the entries of a docstring's section "Args:", each as one line, by the name of the argument.

  An entry is "name: meaning" or "name, name: meaning", indented once; what is indented deeper continues it.

  Reference: the Google Python Style Guide, section 3.8.3 (functions and methods).
  """
  found: dict[str, str] = {}
  names: list[str] = []
  for line in _arguments((inspect.getdoc(make) or "").splitlines()):
    entry = _ENTRY.match(line.strip()) if not line.startswith("    ") else None
    if entry:
      names = entry[1].split(", ")
      found |= dict.fromkeys(names, entry[2])
    else:
      found |= {name: f"{found[name]} {line.strip()}" for name in names}
  return {name: meaning.rstrip(".") for name, meaning in found.items()}


def _arguments(lines: list[str]) -> list[str]:
  """Returns the lines below "Args:" up to the next blank one."""
  if "Args:" not in lines:
    return []
  below = lines[lines.index("Args:") + 1 :]
  return below[: below.index("")] if "" in below else below
