"""Signals as requests: to stop after the step or batch in hand, or to save and go on. A second stop ends at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2") if hasattr(signal, name))
SAVING = getattr(signal, "SIGUSR1", None)  # what batch systems send some time before the end


class Stopped(KeyboardInterrupt):
  """Work was left because a signal asked to stop; no `except Exception` of a caller's goes on then.

  The text says what was kept.

  Args:
    message: the text.
    code: 128 + the number of the signal.
    found: what there was by then, where that is of use.
  """

  def __init__(self, message: str, code: int, found: Any = None):
    super().__init__(message)
    self.code, self.found = code, found


class Request:
  """What signals have asked for."""

  signal: int | None = None  # which one asked to stop; None while none did
  save: bool = False  # whether one asked to save and go on; whoever saves resets it

  def stopping(self) -> bool:
    """Returns whether a signal has asked to stop."""
    return self.signal is not None

  @property
  def exit_code(self) -> int:
    """Of a process that a signal has asked to stop: 128 + its number; 0 where none has."""
    return 0 if self.signal is None else 128 + self.signal

  def check(self, message: str) -> None:
    """Raises Stopped, with a message on what was kept, where a signal has asked to stop."""
    if self.stopping():
      raise Stopped(message, self.exit_code)


@contextmanager
def saving_ends_nothing() -> Iterator[None]:
  """Lets SIGUSR1, which would end a process that does not listen to it, pass: where there is nothing to save yet."""
  mine = threading.current_thread() is threading.main_thread()
  if not mine or SAVING is None or signal.getsignal(SAVING) != signal.SIG_DFL:
    yield
    return
  signal.signal(SAVING, lambda number, frame: None)
  try:
    yield
  finally:
    signal.signal(SAVING, signal.SIG_DFL)


@contextmanager
def catch_signals() -> Iterator[Request]:
  """Yields a `Request` that signals fill in; the former handlers come back at the end.

  SIGTERM, SIGINT, SIGHUP and SIGUSR2 ask to stop, a second one of them ends the process at once, but that a second
  Ctrl-C in an interactive Python raises KeyboardInterrupt, which keeps what a notebook has; SIGUSR1 asks to save and go
  on. One that is ignored stays ignored, as SIGHUP under nohup. Outside the main thread, where Python allows no
  handlers, the request stays empty.
  """
  request = Request()
  if threading.current_thread() is not threading.main_thread():
    yield request
    return

  def stop(number: int, frame: FrameType | None) -> None:
    if request.signal is not None:
      if number == signal.SIGINT and hasattr(sys, "ps1"):  # a prompt, of IPython and notebooks too
        raise KeyboardInterrupt
      signal.signal(number, signal.SIG_DFL)
      os.kill(os.getpid(), number)
    request.signal = number

  def save(number: int, frame: FrameType | None) -> None:
    request.save = True

  handlers: dict[int, Callable] = dict.fromkeys(STOPPING, stop)
  if SAVING is not None:
    handlers[SAVING] = save
  heard = {number: handler for number, handler in handlers.items() if signal.getsignal(number) != signal.SIG_IGN}
  before = {number: signal.signal(number, handler) for number, handler in heard.items()}
  try:
    yield request
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
