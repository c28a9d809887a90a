"""What a run leaves beside its results: pictures, curves, reports. It may fail; nothing else may fail because of it."""

import contextlib
from collections.abc import Callable, Iterator

from catgen.interfaces import InputError


class ByProducts:
  """Lets by-products fail: the first failure of each is a line, the others are silent, and the work goes on."""

  def __init__(self, say: Callable[[str], None]):
    self._say, self._told = say, set[str]()

  @contextlib.contextmanager
  def may_fail(self, what: str) -> Iterator[None]:
    """Turns an error of the block, which makes `what`, into a line of warning; signals and Ctrl-C pass."""
    try:
      yield
    except Exception as error:  # whatever a picture or a full disk comes up with
      if what not in self._told:
        self._told.add(what)
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self._say(f"warning: no {what}: {' '.join(reason.split())}; the work goes on without")


@contextlib.contextmanager
def shown_where_lost(say: Callable[[str], None], text: Callable[[], str]) -> Iterator[None]:
  """Says what has been computed where its file cannot be written after all, and lets that fail."""
  try:
    yield
  except InputError:
    say(text())
    raise
