"""What a write or read that fails says besides, from threads of Orbax, TensorStore and asyncio: pages for one mistake.

What went wrong arrives as an exception at whoever asked for it, so that nothing is lost with these words.
"""

import gc
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from catgen.training.integrity import storage_problem

T = TypeVar("T")


def hush() -> None:
  """Leaves out, from now on, Orbax's report of its every step, and what a refusing disk makes its threads say."""
  logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
  logging.getLogger("asyncio").addFilter(lambda record: not _is_of_a_disk(record))
  before = sys.unraisablehook

  def hook(unraisable: Any) -> None:
    # a write that ends when the one who waited for it has been told already
    if str(unraisable.exc_value) != "Event loop is closed":
      before(unraisable)

  sys.unraisablehook = hook


def quietly(read: Callable[[], T | None]) -> T | None:
  """Returns what `read` returns, None where files are damaged, and drops what reading those prints besides."""
  hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
  logger = logging.getLogger("asyncio")
  disabled, logger.disabled = logger.disabled, True
  try:
    found = read()
    if found is None:
      gc.collect()  # What has failed reports itself when it is let go. Slow, so not where all is well.
    return found
  finally:
    sys.unraisablehook, logger.disabled = hook, disabled


def _is_of_a_disk(record: logging.LogRecord) -> bool:
  error = record.exc_info[1] if record.exc_info else None
  return error is not None and storage_problem(error, writing=True) is not None
