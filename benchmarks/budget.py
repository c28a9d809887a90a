"""Measurements in order of importance within a time that is given: what does not fit, or fails, is a row that says so.

A stage is traced one measurement after another, compiled in threads, all together, and then measured one after another
while nothing else runs. So compilers use all cores, and no clock is read beside them.
"""

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

_THREADS = "compiling"


class Row(NamedTuple):
  """What was measured; None = this has no such number."""

  name: str
  seconds: float | None = None  # of one run: a step, a draw
  positions: int | None = None  # that one run works on
  flops: float | None = None  # of one run, twice the multiply-adds of its products
  utilization: float | None = None  # of the measured peak of products in the row's dtype
  peak_bytes: int | None = None  # of the device's memory, as the program was compiled
  compile_seconds: float | None = None
  note: str = ""


class Measurement(NamedTuple):
  """One of several."""

  name: str
  trace: Callable[[], Any]  # called alone
  prepare: Callable[[Any], Any]  # of what `trace` returned, in a thread beside others: compiles
  measure: Callable[[Any], Sequence[Row]]  # of what `prepare` returned, alone
  least: float = 5.0  # seconds without which it is not begun


class Budget:
  """How much time is left.

  Args:
    seconds: from now on.
    clock: -> seconds.
  """

  def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
    self._clock, self._end = clock, clock() + seconds

  def left(self) -> float:
    """Returns seconds, 0 where it is over."""
    return max(0.0, self._end - self._clock())


def perform(
  stages: Sequence[Sequence[Measurement]],
  budget: Budget,
  *,
  workers: int,
  patience: float,
  say: Callable[[str], None],
  log: Callable[[str], None],
) -> Iterator[Row]:
  """Yields the rows of all measurements, in order.

  Args:
    stages: see above; the most important first.
    budget: of all together. What a thread compiles cannot be stopped: it is left to itself, and its row left out.
    workers: programs that are compiled at a time.
    patience: longest time in seconds that a stage waits for its compilers.
    say: receives a line for each measurement.
    log: receives tracebacks.
  """
  for stage in stages:
    pool = ThreadPoolExecutor(workers, thread_name_prefix=_THREADS)
    begun: list[tuple[Measurement, Future | Row]] = []
    for each in stage:
      begun.append((each, _begin(each, budget, pool, log)))
    futures = [future for _, future in begun if isinstance(future, Future)]
    wait(futures, timeout=min(patience, budget.left()))
    for each, future in begun:
      say(f"{each.name} ({budget.left():.0f} s left)")
      yield from (future,) if isinstance(future, Row) else _finish(each, future, budget, log)
    pool.shutdown(wait=False, cancel_futures=True)


def still_compiling() -> bool:
  """Returns whether a thread is at work that was left to itself: Python would wait for it before it ends."""
  return any(thread.name.startswith(_THREADS) for thread in threading.enumerate())


def _begin(each: Measurement, budget: Budget, pool: ThreadPoolExecutor, log: Callable[[str], None]) -> Future | Row:
  if budget.left() < each.least:
    return Row(each.name, note="left out: no time")
  try:
    traced = each.trace()
  except Exception as error:
    return _failed(each, error, log)
  return pool.submit(each.prepare, traced)


def _finish(each: Measurement, future: Future, budget: Budget, log: Callable[[str], None]) -> Sequence[Row]:
  if not future.done():
    future.cancel()
    return (Row(each.name, note="left out: it was still compiling"),)
  if budget.left() < each.least:
    return (Row(each.name, note="left out: no time"),)
  try:
    return each.measure(future.result())
  except Exception as error:
    return (_failed(each, error, log),)


def _failed(each: Measurement, error: Exception, log: Callable[[str], None]) -> Row:
  log(f"{each.name}\n{''.join(traceback.format_exception(error))}")
  words = " ".join(str(error).split())
  return Row(each.name, note=f"failed: {type(error).__name__}: {words[:80]}")


def steady(run: Callable[[], Any], wait_for: Callable[[Any], Any], *, window: float, repeats: int) -> list[float]:
  """Returns the seconds of a run in each of `repeats` windows, see `window_seconds`, after two runs before.

  Args:
    run: starts a run on the device, and may return before it has ended.
    wait_for: what `run` returned -> when it has ended.
    window: length in seconds, about; at least one run.
    repeats: windows.
  """
  number = runs_in(run, wait_for, window)
  return [window_seconds(run, wait_for, number) for _ in range(repeats)]


def runs_in(run: Callable[[], Any], wait_for: Callable[[Any], Any], window: float) -> int:
  """Returns how many runs a window of so many seconds holds, at least one, judged by the second of two."""
  wait_for(run())
  return max(1, round(window / max(window_seconds(run, wait_for, 1), 1e-6)))


def window_seconds(run: Callable[[], Any], wait_for: Callable[[Any], Any], number: int) -> float:
  """Returns the seconds of a run when `number` of them are started one after another, and the last is waited for."""
  started = time.perf_counter()
  for _ in range(number):
    ended = run()
  wait_for(ended)
  return (time.perf_counter() - started) / number
