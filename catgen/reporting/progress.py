"""Progress on the terminal: a bar where somebody watches, a line now and then in a log file."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from catgen.reporting import terminal
from catgen.reporting.terminal import plural

LINE_SECONDS = 30.0  # without a terminal: at most a line per this time ...
LINE_SHARE = 0.1  # ... or per this share of the work, whichever comes first
_WHOLE = 1e-6  # within this of a whole number, an amount is one


class Progress(NamedTuple):
  """A running bar."""

  update: Callable[..., None]  # (amount, values={}): so much more is done; values are shown, {"bits/char": "2.31"}
  say: Callable[[str], None]  # prints a line without tearing the bar
  close: Callable[[], None]


OpenProgress = Callable[..., Progress]  # (total, *, unit, title="", done=0)


def no_progress(total: int | float, *, unit: str, title: str = "", done: int | float = 0) -> Progress:
  """Returns a bar that nobody sees."""
  return Progress(lambda amount, values=None: None, lambda line: None, lambda: None)


def open_progress(
  total: int | float,
  *,
  unit: str,
  title: str = "",
  done: int | float = 0,
  stream: Any = None,
  clock: Callable[[], float] = time.monotonic,
) -> Progress:
  """Returns a bar with rate and time left, on the standard error stream.

  Args:
    total: the amount of work, in `unit`s; parts of one are fine.
    unit: "step", "batch", "sample".
    title: what is being done.
    done: the amount finished before, by an earlier run; it does not count for the rate.
    stream: a text file, by default the standard error stream; a terminal or a notebook gets a bar, anything else lines.
    clock: seconds; for tests.
  """
  stream = sys.stderr if stream is None else stream
  if stream is None:  # closed before the program started
    return no_progress(total, unit=unit)
  if stream.isatty() or _in_notebook():
    return _bar(total, unit, title, done, stream)
  return _lines(total, unit, title, done, stream, clock)


def train_progress(
  num_steps: int, *, start_step: int = 0, position: str, open_progress: OpenProgress = open_progress
) -> Callable[[int, Mapping[str, float]], None]:
  """Returns show(step, metrics): training's bar with bits per position and positions per second; closes at num_steps.

  Args:
    num_steps: the last step.
    start_step: where this run starts.
    position: what one is, "character".
    open_progress: opens the bar.

  `metrics` holds "bits" and, where it could be timed, "positions_per_second".
  """
  progress = open_progress(num_steps, unit="step", title="train", done=start_step)
  last_step = start_step

  def show(step: int, metrics: Mapping[str, float]) -> None:
    nonlocal last_step
    values = {f"bits/{position}": f"{metrics['bits']:.3f}"}
    if "positions_per_second" in metrics:
      values[f"{position}s/s"] = short_number(metrics["positions_per_second"])
    progress.update(step - last_step, values)
    last_step = step
    if step >= num_steps:
      progress.close()

  return show


def short_number(value: int | float) -> str:
  """Returns a number in three digits: 950, 12.3k, 4.56M, 7.89G."""
  for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
    if abs(value) >= size * 0.9995:
      return f"{value / size:.3g}{suffix}"
  return f"{value:.3g}"


def duration(seconds: int | float) -> str:
  """Returns seconds as 42 s, 3 min 05 s or 2 h 10 min."""
  whole = round(seconds)
  if whole < 60:
    return f"{whole} s"
  if whole < 3600:
    return f"{whole // 60} min {whole % 60:02d} s"
  return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _in_notebook() -> bool:
  """Whether this process is the kernel of a notebook, which renders a bar too."""
  ipython = sys.modules.get("IPython")
  shell = None if ipython is None else ipython.get_ipython()
  return shell is not None and "IPKernelApp" in shell.config


def _bar(total: int | float, unit: str, title: str, done: int | float, stream: Any) -> Progress:
  from tqdm import tqdm

  count = "of {total:.6g} {unit}" if unit == "batch" else "{n:.6g}/{total:.6g} {unit}"
  form = "{desc}: {percentage:3.0f}%|{bar}| " + count + " [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
  bar = tqdm(total=total, initial=done, desc=title or unit, unit=unit, file=stream, dynamic_ncols=True, bar_format=form)

  def update(amount: int | float, values: Mapping[str, Any] | None = None) -> None:
    if values:
      bar.set_postfix(values, refresh=False)
    bar.update(amount)

  def say(line: str) -> None:
    bar.write(terminal.encodable(line, getattr(stream, "encoding", None) or "utf-8"), file=stream)

  return Progress(update, say, bar.close)


def _lines(
  total: int | float, unit: str, title: str, done: int | float, stream: Any, clock: Callable[[], float]
) -> Progress:
  start, first, shown, shown_at = clock(), done, done, clock()
  heading = f"{title}: " if title else ""

  def update(amount: int | float, values: Mapping[str, Any] | None = None) -> None:
    nonlocal done, shown, shown_at
    done += amount
    now = clock()
    finished = done >= total * (1 - 1e-9)
    due = now - shown_at >= LINE_SECONDS or done - shown >= LINE_SHARE * total * (1 - 1e-9)
    if not (due or (finished and done > shown)):
      return
    left = (now - start) / (done - first) * max(0.0, total - done) if done > first else 0.0
    numbers = "".join(f", {name} {value}" for name, value in (values or {}).items())
    ending = f"took {duration(now - start)}" if finished else f"{duration(left)} left"
    whole = f"{total:.6g} {plural(total, unit)}"
    share = f"{done / total:.0%}"  # alone where a part of a batch is done: such a number of batches says nothing
    amount_done = f"{done:.6g} of {whole} ({share})" if abs(done - round(done)) < _WHOLE else f"{share} of {whole}"
    say(f"{heading}{amount_done}{numbers}, {ending}")
    shown, shown_at = done, now

  def say(line: str) -> None:
    terminal.say(line, stream)

  return Progress(update, say, lambda: None)
