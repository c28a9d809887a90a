"""What each kind of a configuration is, read from the docstring of its factory; `records.meanings` reads its keys."""

import inspect
import re
from collections.abc import Callable
from typing import Any


def summary(make: Callable[..., Any]) -> str:
  """Returns the first line of a factory's docstring, without its "Returns" and its full stop."""
  first = (inspect.getdoc(make) or "").splitlines()[:1]
  return re.sub(r"^Returns (an? |the )?", "", "".join(first)).rstrip(".")
