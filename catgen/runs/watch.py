"""Evaluations of a running job's checkpoints, as they appear."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from catgen.evaluation.results import read_results
from catgen.files import from_json
from catgen.interfaces import InputError
from catgen.paths import expanded
from catgen.reporting import terminal
from catgen.runs.evaluate import Evaluated, Kept, UnderWay, describe, evaluate
from catgen.runs.load import load
from catgen.runs.record import read_record
from catgen.training import distributed
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.restoring import Gone, Unreadable

_LOOKS = 5  # at a checkpoint that cannot be read
_LONGEST = 86400  # seconds between two looks


class Watched(NamedTuple):
  """The evaluations of a running job's checkpoints."""

  evaluations: tuple[Evaluated, ...]


def watch(
  workdir: str,
  *,
  watch_seconds: float = 10.0,
  again: bool = False,
  ema: bool = True,
  output: str | None = None,
  say: Callable[[str], None] = print,
  **options: Any,
) -> Watched:
  """Evaluates each checkpoint of a running job as it appears, until the run is finished.

  A checkpoint that is deleted before it was read is left out; so is one whose same evaluation another process has made,
  or makes still when all others are done. One that cannot be read is tried again at the next looks: it may be under way
  from another machine.

  Args:
    workdir: of the run.
    watch_seconds: seconds between two looks for a new checkpoint.
    again: with watch, evaluate also the checkpoints of which results.json has the same evaluation.
    ema: see `load`.
    output: see `evaluate`.
    say: receives each evaluation as text.
    options: of `evaluate`.

  Raises:
    InputError: as `evaluate`; or the last checkpoint cannot be read.
    Stopped: a signal ended it.
  """
  done: list[Evaluated] = []
  looks: Counter[int] = Counter()
  source = None
  later: list[int] = []  # whose evaluation another process makes, which may end without a result
  for step in itertools.chain(new_checkpoints(workdir, watch_seconds, again=looks), later):
    try:
      run = load(workdir, step=step, ema=ema, say=terminal.silent)
      source = source or run.source
      known = frozenset[str]() if again else _known(output or workdir)
      done.append(evaluate(run._replace(source=source), known=known, output=output, say=say, **options))
    except Gone:
      say(f"checkpoint {step} was deleted before it was read; left out")
    except UnderWay as error:
      say(f"checkpoint {step}: {error}; {'left out' if step in later else 'it is looked at again in the end'}")
      later += [] if step in later else [step]
    except Kept as error:
      say(f"checkpoint {step}: {error}; left out")
    except Unreadable as error:
      looks[step] += 1
      if looks[step] == 1:
        say(f"{error}; it is tried again at the next looks")
      if looks[step] == _LOOKS:
        del looks[step]
        say(f"checkpoint {step} could not be read {_LOOKS} times; left out")
      continue
    else:
      if told := describe(done[-1]):
        say(told)
    looks.pop(step, None)
  return Watched(tuple(done))


def _known(folder: str) -> frozenset[str]:
  """Returns the evaluations that a folder holds. Of several processes the first reads it and tells the others."""

  def look() -> bytes:
    return json.dumps([record.get("request") for record in read_results(expanded(folder))]).encode()

  return frozenset(from_json(distributed.first_tells(look)))


def new_checkpoints(workdir: str, seconds: float, again: Container[int] = ()) -> Iterator[int]:
  """Yields each checkpoint's step as it appears, until one of the run's last step was there.

  Of several processes all call it, and the first looks.

  Args:
    workdir: of the run.
    seconds: between two looks.
    again: steps that are to be yielded again.

  Raises:
    InputError: the run's record cannot be read, or `seconds` is no time to wait.
  """
  if not 0 <= seconds <= _LONGEST:
    raise InputError(f"watch_seconds is {seconds}; give a number of seconds from 0 to {_LONGEST}")
  seen: set[int] = set()

  def look() -> bytes:
    record = read_record(workdir)
    if record.exported is not None:
      raise InputError(f"{workdir} holds an exported model, to which no checkpoint is added; leave --watch out")
    last = record.config["training"]["num_steps"]
    return json.dumps([last, checkpoint_steps(workdir)]).encode()

  while True:
    last, there = from_json(distributed.first_tells(look))
    for step in there:
      if step not in seen or step in again:
        seen.add(step)
        yield step
    if max(seen, default=-1) >= last and not any(step in again for step in there):
      return
    time.sleep(seconds)


def describe_watched(watched: Watched) -> str:
  """Returns how many checkpoints were evaluated; each was told of when it was done."""
  return f"{terminal.counted(len(watched.evaluations), 'checkpoint')} evaluated"
