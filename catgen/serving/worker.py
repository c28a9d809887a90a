"""One thread that owns the device: a queue with a bound, jobs of the same kind together, and turns.

A group of jobs is a generator: it comes back between two calls of the device, but for scores, which are one turn. So a
short job does not wait until a long one has ended, and what nobody wants any more is left. While a group is at work,
jobs of its kind gather behind it, and then form the next one: the more there is to do, the larger the groups.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from catgen.interfaces import InputError
from catgen.runs import memory

FAILED = "the server could not do this; its own output says why"
_MOST_GROUPS = 4  # that take turns
_MOST_SECONDS = 120  # that a client is told to wait


class Told(NamedTuple):
  """What a job tells whoever waits for it: "started", "state", and as the last one "done", "wrong" or "failed"."""

  name: str
  value: Any

  @property
  def last(self) -> bool:
    """Whether nothing comes after it."""
    return self.name in ("done", "wrong", "failed")


class Full(Exception):  # noqa: N818 it is no mistake
  """The queue has no room; `seconds` until it may have some."""

  def __init__(self, seconds: int):
    super().__init__(f"too many requests are waiting; try again in {seconds} s")
    self.seconds = seconds


class Gone(Exception):  # noqa: N818 as Full
  """The thread that does the work has ended, which it does not do by itself."""

  def __init__(self) -> None:
    super().__init__("the thread that does the work has ended; start the server again")


class Job:
  """Something to do."""

  def __init__(
    self,
    key: Hashable,
    rows: int,
    content: Any,
    perform: Callable[[Sequence["Job"]], Iterator[None]],
    tell: Callable[[Told], None],
  ) -> None:
    """Describes a job.

    Args:
      key: jobs of the same key may be done together, by the `perform` of the first.
      rows: examples that it takes in a call of the device.
      content: what `perform` needs to know of it.
      perform: does jobs, tells each of them how it goes, at the end "done", and yields between calls of the device.
      tell: receives what is told, in the thread of the worker.
    """
    self.key, self.rows, self.content, self.perform, self._tell = key, rows, content, perform, tell
    self.cancelled = False

  def tell(self, name: str, value: Any = None) -> None:
    """Tells whoever waits, unless nobody does."""
    if not self.cancelled:
      self._tell(Told(name, value))


class _Group:
  def __init__(self, jobs: list[Job]) -> None:
    self.key, self.jobs, self.steps, self.seconds = jobs[0].key, jobs, jobs[0].perform(jobs), 0.0


class Worker:
  """The thread and its queue."""

  def __init__(
    self, *, most_waiting: int, most_rows: int, batching: bool = True, say: Callable[[str], None] = print
  ) -> None:
    """Starts the thread.

    Args:
      most_waiting: jobs in the queue.
      most_rows: of the jobs that are done together; a job by itself may have more.
      batching: do jobs together.
      say: receives a line where something fails that no client is to blame for.
    """
    self.most_waiting, self.most_rows, self.batching, self.say = most_waiting, most_rows, batching, say
    self.changed = threading.Condition()
    self.waiting: deque[Job] = deque()
    self.active: deque[_Group] = deque()
    self.closing, self.died = False, False
    self.done, self.calls, self.seconds = 0, 0, 1.0  # jobs, groups, and seconds a job, lately
    self.thread = threading.Thread(target=self._work, name="catgen-device", daemon=True)
    self.thread.start()

  def submit(self, *jobs: Job) -> None:
    """Takes jobs into the queue, all or none. Raises Full where there is no room, Gone where nobody would do them."""
    with self.changed:
      self._drop_cancelled()
      if not self.alive():
        raise Gone
      if len(self.waiting) + len(jobs) > self.most_waiting or self.closing:
        raise Full(min(_MOST_SECONDS, max(1, math.ceil(len(self.waiting) * self.seconds))))
      self.waiting.extend(jobs)
      self.changed.notify()

  def cancel(self, job: Job) -> None:
    """Leaves a job, wherever it is; it tells nothing any more."""
    with self.changed:
      job.cancelled = True
      self._drop_cancelled()

  def state(self) -> dict[str, Any]:
    """Returns how much there is to do, as JSON."""
    with self.changed:
      return {
        "waiting": len(self.waiting),
        "at_work": sum(len(group.jobs) for group in self.active),
        "most_waiting": self.most_waiting,
        "done": self.done,
        "device_groups": self.calls,
        "alive": self.alive(),
      }

  def alive(self) -> bool:
    """Returns whether the thread is at work."""
    return self.thread.is_alive()

  def stop(self, line: str = "the server is stopping") -> None:
    """Takes nothing any more; what is left fails at once, in a line."""
    with self.changed:
      self.closing = True
      left = [job for group in self.active for job in group.jobs] + list(self.waiting)
      self.waiting.clear()
      self.changed.notify()
    for job in left:
      job.tell("failed", line)
      job.cancelled = True

  def close(self) -> None:
    """Stops, and waits for the end of the call that the device is in."""
    self.stop()
    self.thread.join()

  def _drop_cancelled(self) -> None:
    if any(job.cancelled for job in self.waiting):
      self.waiting = deque(job for job in self.waiting if not job.cancelled)

  def _work(self) -> None:
    try:
      self._take_turns()
    except BaseException as error:  # what `_advance` does not take for the fault of one request
      self.died = True
      self.say(f"the thread that does the work has ended: {type(error).__name__}: {error}")
    finally:
      self.stop(str(Gone())) if self.died else self.stop()

  def _take_turns(self) -> None:
    while True:
      with self.changed:
        self.changed.wait_for(lambda: self.closing or self.waiting or self.active)
        if self.closing:
          return
        self._admit()
        group = self.active[0]
      goes_on = self._advance(group)
      with self.changed:
        self.active.popleft()
        if goes_on:
          self.active.append(group)
        else:
          self._count(group)

  def _admit(self) -> None:
    """Forms groups of what is waiting, in order, while there is room for more of them."""
    kept: deque[Job] = deque()
    busy = {group.key for group in self.active} if self.batching else set()
    while self.waiting:
      first = self.waiting.popleft()
      if first.cancelled:
        continue
      if len(self.active) >= _MOST_GROUPS or first.key in busy:
        kept.append(first)
        continue
      jobs, rows, rest = [first], first.rows, deque[Job]()
      for job in self.waiting:
        if self.batching and job.key == first.key and not job.cancelled and rows + job.rows <= self.most_rows:
          jobs.append(job)
          rows += job.rows
        else:
          rest.append(job)
      self.waiting = rest
      if self.batching:
        busy.add(first.key)
      self.calls += 1
      self.active.append(_Group(jobs))
      for job in jobs:
        job.tell("started")
    self.waiting = kept

  def _advance(self, group: _Group) -> bool:
    """Takes a group to its next call of the device; returns whether there is one."""
    started = time.monotonic()
    try:
      if all(job.cancelled for job in group.jobs):
        return False
      with memory.explained():
        next(group.steps)
      return True
    except StopIteration:
      return False
    except InputError as error:
      _tell_all(group, "wrong", str(error))
    except Exception as error:  # one request that fails ends neither the others nor the server
      self.say(f"a request failed: {type(error).__name__}: {error}")
      _tell_all(group, "failed", FAILED)
    finally:
      group.seconds += time.monotonic() - started
    return False

  def _count(self, group: _Group) -> None:
    self.done += len(group.jobs)
    self.seconds += 0.2 * (group.seconds / len(group.jobs) - self.seconds)


def _tell_all(group: _Group, name: str, value: str) -> None:
  for job in group.jobs:
    job.tell(name, value)
