"""What a run tells experiment trackers, beside its own files; see `trackers` for those that there are.

A tracker holds training neither up nor back: each has a thread of its own and a queue. Where it fails, or does not keep
up, a line says so once and the work goes on without it. `trackers.json` of the work directory says which run of a
tracker is that of the work directory: what goes on, and what is made of the model later, is told there.
"""

import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from catgen import remote
from catgen.files import from_json, read_bytes, write_text
from catgen.interfaces import InputError
from catgen.paths import absolute, join, name_of
from catgen.reporting import trackers
from catgen.reporting.trackers import TRACKERS, About, Picture, Tracker

FILE_NAME = "trackers.json"
CLOSE_SECONDS = 60.0  # that trackers may take for what they have not sent when the work ends
OPEN_SECONDS = 30.0  # that the work waits for each: Python 3.11 cannot parse code in two threads, as imports do
_MOST_WAITING = 10_000  # calls
_RESULT = ("value", "data_error", "monte_carlo_error")


class Tracking(NamedTuple):
  """The section `tracking` of a configuration, and what trackers are told of the run."""

  trackers: Sequence[str]
  project: str
  name: str | None  # None: that of the work directory
  config: Mapping[str, Any]


NONE = Tracking((), "", None, {})


class Told:
  """The trackers of a work directory, open. One process tells them."""

  def __init__(self, workdir: str | os.PathLike[str], tracking: Tracking, say: Callable[[str], None]) -> None:
    """Opens them, in their threads.

    Args:
      workdir: of the run.
      tracking: which, and what they are told of the run.
      say: receives the address of each, and a line where one fails.
    """
    self._workdir, self._say = os.fspath(workdir), say
    known = _known(self._workdir) if tracking.trackers else {}
    name = tracking.name or name_of(absolute(self._workdir))
    folder = None if remote.is_remote(self._workdir) else self._workdir
    self._senders = []
    for each in tracking.trackers:
      about = About(tracking.project, name, tracking.config, folder, known.get(each, {}))
      self._senders.append(_Sender(each, about))
    self._identities: dict[str, Mapping[str, str]] = dict(known)
    self._about: dict[str, Any] = {"project": tracking.project, "name": name, "trackers": list(tracking.trackers)}
    self._listen()

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Tells the numbers among the values of a step."""
    numbers = _numbers(values)
    self._each(lambda tracker: tracker.numbers(step, numbers))

  def result(self, record: Mapping[str, Any]) -> None:
    """Tells an evaluation, a record of results.json."""
    own = f"results/{record['split']}/{record['estimator']}"
    numbers = _numbers({f"{own}/{name}": record.get(name) for name in _RESULT})
    self._each(lambda tracker: tracker.result(numbers, record, record["step"]))

  def show(self, step: int, paths: Iterable[str | os.PathLike[str]]) -> None:
    """Shows pictures as they are now. Raises OSError where one cannot be read."""
    shown = [os.fspath(path) for path in paths if self._senders and trackers.is_picture(os.fspath(path))]
    pictures = [Picture(name_of(path), read_bytes(path)) for path in shown]
    if pictures:
      self._each(lambda tracker: tracker.pictures(step, pictures))

  def close(self) -> None:
    """Waits until all is sent, some time at most, and ends; safe to call twice."""
    for sender in self._senders:
      sender.put(None)
    deadline = time.monotonic() + CLOSE_SECONDS
    for sender in self._senders:
      sender.join(deadline)
    self._listen()
    self._senders = []

  def _each(self, act: Callable[[Tracker], None]) -> None:
    for sender in self._senders:
      sender.put(act)
    self._listen()

  def _listen(self) -> None:
    """Says, in the thread of the work, what those of the trackers have to say, and keeps what they are found by."""
    for sender in self._senders:
      if sender.opened is not None:
        identity, address = sender.opened
        sender.opened = None
        self._say(f"{sender.name}: {address}")
        self._identities[sender.name] = identity
        try:
          write_text(join(self._workdir, FILE_NAME), json.dumps({**self._about, "runs": self._identities}, indent=1))
        except InputError as error:
          self._say(f"warning: {error}; {sender.name} will not be gone on with")
      if sender.failure is not None:
        self._say(f"warning: {sender.name}: {sender.failure}; the work goes on without {sender.name}")
    self._senders = [sender for sender in self._senders if sender.failure is None]


class _Sender:
  """A tracker in its thread. What it has to say waits until it is looked at."""

  def __init__(self, name: str, about: About) -> None:
    self.name, self.failure = name, None if name in TRACKERS else "there is no such tracker"
    self.opened: tuple[Mapping[str, str], str] | None = None
    self._queue: queue.Queue[Callable[[Tracker], None] | None] = queue.Queue(_MOST_WAITING)
    self._ready = threading.Event()
    self._thread = threading.Thread(target=partial(self._work, about), name=f"catgen-{name}", daemon=True)
    if self.failure is None:
      self._thread.start()
      self._ready.wait(OPEN_SECONDS)

  def put(self, act: Callable[[Tracker], None] | None) -> None:
    """Has something told when its turn comes."""
    try:
      self._queue.put_nowait(act)
    except queue.Full:
      self.failure = self.failure or f"{_MOST_WAITING:,} messages are waiting, so it does not answer"

  def join(self, deadline: float) -> None:
    """Waits for the end until a time of the clock that only grows."""
    if self.failure is None:
      self._thread.join(max(0.0, deadline - time.monotonic()))
      if self._thread.is_alive():
        self.failure = f"it did not take what was left within {CLOSE_SECONDS:g} s"

  def _work(self, about: About) -> None:
    try:
      tracker = TRACKERS[self.name](about)
      self.opened = dict(tracker.identity), tracker.address
      self._ready.set()
      while (act := self._queue.get()) is not None:
        act(tracker)
      tracker.close()
    except BaseException as error:  # packages of others end as they like, also by SystemExit
      lines = str(error).split("\n")
      self.failure = f"{type(error).__name__}: {' '.join(lines[0].split())[:300]}"
      self._ready.set()


def later(
  workdir: str | os.PathLike[str],
  say: Callable[[str], None],
  *,
  step: int = 0,
  paths: Sequence[str | os.PathLike[str]] = (),
  result: Mapping[str, Any] | None = None,
) -> None:
  """Tells the trackers of a run that was trained before what was made of it: pictures, an evaluation.

  Nothing happens where the run has none. Their packages may be missing here: that is a line.

  Args:
    workdir: of the run.
    say: receives the lines.
    step: of the checkpoint.
    paths: of the pictures.
    result: a record of results.json.
  """
  content = _content(workdir)
  names = [name for name in content.get("trackers", ()) if name in content.get("runs", {})]
  if not names:
    return
  told = Told(workdir, Tracking(names, content["project"], content["name"], {}), say)
  if result is not None:
    told.result(result)
  told.show(step, paths)
  told.close()


def _known(workdir: str) -> dict[str, Mapping[str, str]]:
  return _content(workdir).get("runs", {})


def _content(workdir: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns what trackers.json says; nothing where there is none, or it is not as it was written."""
  try:
    found = from_json(read_bytes(join(workdir, FILE_NAME)))
    runs = found["runs"]
    fits = isinstance(found["trackers"], list) and all(isinstance(found[name], str) for name in ("project", "name"))
    if fits and all(isinstance(value, str) for run in runs.values() for value in run.values()):
      return found
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    pass
  return {}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
  found = {}
  for name, value in values.items():
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
      found[name] = float(value)
  return found
