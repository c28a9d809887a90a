"""Generative models of categorical data: text, bytes, segmentation maps, any integers.

run = catgen.load("runs/quickstart")
print(run.decode(run.sample(1).x[0]))
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
  if name == "load":  # imported when used, so that `import catgen` costs nothing
    from catgen.runs.load import load

    return load
  raise AttributeError(f"module 'catgen' has no attribute {name!r}")
