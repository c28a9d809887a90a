"""SIGTERM and Ctrl-C as a request to stop: the step in hand is finished and saved; a second signal ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
  """Which signal asked to stop; None while none did."""

  signal: int | None = None


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
  """Yields a `StopRequest` that SIGTERM and SIGINT fill in; the former handlers come back at the end.

  Training looks at it between two steps.

  Outside the main thread, where Python allows no handlers, the request stays empty.
  """
  request = StopRequest()
  if threading.current_thread() is not threading.main_thread():
    yield request
    return

  def handle(number: int, frame: FrameType | None) -> None:
    if request.signal is not None:
      signal.signal(number, signal.SIG_DFL)
      os.kill(os.getpid(), number)
    request.signal = number

  before = {number: signal.signal(number, handle) for number in SIGNALS}
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
