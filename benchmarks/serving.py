"""Serving under load: latencies and requests a second for numbers of clients, with and without batching.

  python -m benchmarks.serving --workdir=runs/quickstart
  python -m benchmarks.serving --workdir=runs/quickstart --endpoints=sample --clients=1,32 --requests=200

Each client sends its next request when its last one is answered, to a server of this process at 127.0.0.1. What is
refused because the queue is full counts as refused, and is sent again when the server has said. Programs are compiled
before the clock starts.
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.subjects import describe_machine
from catgen.reporting import terminal
from catgen.runs.command import Command
from catgen.serving.endpoints import ENDPOINTS
from catgen.serving.fields import checked
from catgen.serving.performing import SIZES
from catgen.serving.requests import asked
from catgen.serving.serve import load_models, serving_at
from catgen.serving.served import Served
from launch import cli

_ASKED: dict[str, dict[str, Any]] = {
  "sample": {"num_samples": 1, "num_steps": 16},
  "correct": {"example": "the "},
  "score": {"examples": ["the "], "num_draws": 1},
}


class Load(NamedTuple):
  """A table of loads, and what they were measured on."""

  rows: list[list[str]]
  heading: str


class _Client(NamedTuple):
  seconds: list[float]  # of each request that was answered
  refused: int
  failed: int


def serving(
  *,
  workdir: str = "runs/quickstart",
  endpoints: tuple[str, ...] = ("correct", "score", "sample"),
  clients: tuple[int, ...] = (1, 4, 16),
  requests: int = 96,
  queue: int = 64,
  batching: Literal["both", "on", "off"] = "both",
  say: Callable[[str], None] = print,
) -> Load:
  """Measures a server of a model of text.

  Args:
    workdir: of the run.
    endpoints: what is asked for: sample, correct, score.
    clients: how many ask at the same time.
    requests: of all clients together, for each row.
    queue: requests that may wait.
    batching: do requests of the same shape in one call of the device, or not, or compare.
    say: receives a line for each row.
  """
  models, rows = load_models((workdir,), say=say), []
  for together in {"both": (True, False), "on": (True,), "off": (False,)}[batching]:
    with serving_at(models, queue=queue, batching=together, say=say) as port:
      for name in endpoints:
        _compile(models, name, max(clients) if together else 1)
        for number in clients:
          rows.append([name, "on" if together else "off", *_row(port, name, number, requests)])
          say("  ".join(rows[-1]))
  return Load(rows, describe_machine())


def describe(load: Load) -> str:
  """Returns the table."""
  header = ["endpoint", "batching", "clients", "requests", "requests/s", "median ms", "95 % ms", "most ms", "refused"]
  return f"{load.heading}\n{terminal.table([*header, 'failed'], load.rows)}"


def _compile(models: Sequence[Served], name: str, most: int) -> None:
  """Has programs compiled for all sizes of groups of at most so many requests."""
  known = {model.name: model for model in models}
  values = checked(ENDPOINTS[name].takes or {}, _ASKED[name])
  for size in [each for each in SIZES if each < most] + [most]:
    jobs = [asked(name, known, values, lambda number, told: None).jobs[0] for _ in range(size)]
    for _ in jobs[0].perform(jobs):
      pass


def _row(port: int, name: str, clients: int, requests: int) -> list[str]:
  started = time.perf_counter()
  found = _load(port, name, clients, requests)
  seconds = time.perf_counter() - started
  each = 1000 * np.array([second for client in found for second in client.seconds])
  shown = [f"{len(each) / seconds:.1f}", *(f"{np.percentile(each, share):,.0f}" for share in (50, 95, 100))]
  return [f"{clients}", f"{len(each)}", *shown, *(f"{sum(c[i] for c in found)}" for i in (1, 2))]


def _load(port: int, name: str, clients: int, requests: int) -> list[_Client]:
  numbers, lock = iter(range(requests)), threading.Lock()

  def next_number() -> int | None:
    with lock:
      return next(numbers, None)

  with ThreadPoolExecutor(clients) as pool:
    return list(pool.map(lambda _: _ask(port, name, next_number), range(clients)))


def _ask(port: int, name: str, next_number: Callable[[], int | None]) -> _Client:
  seconds, refused, failed = [], 0, 0
  with _connection(port) as connection:
    while (number := next_number()) is not None:
      seeded = {"seed": number} if name == "sample" else {}
      body, started = json.dumps({**_ASKED[name], **seeded}), time.perf_counter()
      while True:
        connection.request("POST", f"/api/{name}", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 503:
          break
        refused += 1
        time.sleep(min(1.0, float(answer.headers.get("retry-after", 1))))
      if answer.status == 200:
        seconds.append(time.perf_counter() - started)
      else:
        failed += 1
  return _Client(seconds, refused, failed)


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
  connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
  try:
    yield connection
  finally:
    connection.close()


def main(words: list[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(serving, describe))


if __name__ == "__main__":
  sys.exit(main())
