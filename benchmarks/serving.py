"""Serving under load: latencies and requests a second for numbers of clients, with and without batching.

  python -m benchmarks.serving --workdir=runs/quickstart
  python -m benchmarks.serving --workdir=runs/quickstart --endpoints=sample --clients=1,32 --requests=200
  python -m benchmarks.serving --workdir=pretrained/text-autoregressive --rate=500 --minutes=5

Each client sends its next request when its last one is answered, to a server of this process at 127.0.0.1. What is
refused because the queue is full counts as refused, and is sent again when the server has said. Programs are compiled
before the clock starts.

With --rate requests are sent at even times instead, whether the ones before are answered or not, the endpoints in turn;
latencies count from the time that a request was due. Memory is that of the process, clients included.
"""

import http.client
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

_BODIES: dict[str, dict[str, Any]] = {
  "sample": {"num_samples": 1},
  "correct": {"example": "the "},
  "score": {"examples": ["the "], "num_draws": 1},
}


_TIMES = ("median ms", "95 % ms", "most ms", "refused", "failed")


class Load(NamedTuple):
  """A table of loads, and what they were measured on."""

  rows: list[list[str]]
  heading: str
  header: tuple[str, ...] = ("endpoint", "batching", "clients", "requests", "requests/s", *_TIMES)


class Answered(NamedTuple):
  """What became of a request."""

  due: float  # seconds since the beginning
  seconds: float  # until it was answered
  status: int  # of HTTP; 0: the connection ended
  refused: int  # times that it was told to come again


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
  rate: int = 0,
  minutes: int = 1,
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
    rate: requests a minute, sent at even times, with batching; 0 = each client sends its next one when it is answered.
    minutes: so long, of requests at even times.
    say: receives a line for each row.
  """
  models, rows = load_models((workdir,), say=say), []
  bodies = bodies_for(models[0])
  endpoints = tuple(name for name in endpoints if name in bodies)
  if rate:
    with serving_at(models, queue=queue, say=say) as port:
      for name in endpoints:
        _compile(models, name, bodies[name], SIZES[-1])
      return _steady(port, {name: bodies[name] for name in endpoints}, rate, minutes, say)
  for together in {"both": (True, False), "on": (True,), "off": (False,)}[batching]:
    with serving_at(models, queue=queue, batching=together, say=say) as port:
      for name in endpoints:
        _compile(models, name, bodies[name], max(clients) if together else 1)
        for number in clients:
          rows.append([name, "on" if together else "off", *_row(port, name, bodies[name], number, requests)])
          say("  ".join(rows[-1]))
  return Load(rows, describe_machine())


def describe(load: Load) -> str:
  """Returns the table."""
  return f"{load.heading}\n{terminal.table(load.header, load.rows)}"


def _compile(models: Sequence[Served], name: str, body: Mapping[str, Any], most: int) -> None:
  """Has programs compiled for all sizes of groups of at most so many requests."""
  known = {model.name: model for model in models}
  values = checked(ENDPOINTS[name].takes or {}, body)
  for size in [each for each in SIZES if each < most] + [most]:
    jobs = [asked(name, known, values, lambda number, told: None).jobs[0] for _ in range(size)]
    for _ in jobs[0].perform(jobs):
      pass


def _steady(
  port: int, bodies: Mapping[str, Mapping[str, Any]], rate: int, minutes: int, say: Callable[[str], None]
) -> Load:
  """Returns a row for each minute."""
  rows, memory, names = [], [resident()], list(bodies)

  def body(number: int) -> tuple[str, Any]:
    name = names[number % len(names)]
    return name, _seeded(name, bodies[name], number)

  watching = threading.Event()
  watcher = threading.Thread(target=lambda: _watch(memory, watching), daemon=True)
  watcher.start()
  found = at_even_times(port, body, rate, minutes)
  watching.set()
  watcher.join()
  for minute in range(minutes):
    own = [each for each in found if 60 * minute <= each.due < 60 * (minute + 1)]
    most = max(memory[min(minute, len(memory) - 1) : minute + 2])
    rows.append([f"{minute + 1}", f"{len(own)}", *_times(own), f"{most / 2**20:,.0f}"])
    say("  ".join(rows[-1]))
  rows.append(["all", f"{len(found)}", *_times(found), f"{max(memory) / 2**20:,.0f}"])
  return Load(rows, describe_machine(), ("minute", "requests", *_TIMES, "MiB"))


def _watch(memory: list[int], ended: threading.Event) -> None:
  while not ended.wait(60):
    memory.append(resident())
  memory.append(resident())


def _times(found: Sequence[Answered]) -> list[str]:
  each = 1000 * np.array([one.seconds for one in found if one.status == 200] or [np.nan])
  shown = [f"{np.percentile(each, share):,.0f}" for share in (50, 95, 100)]
  return [*shown, f"{sum(one.refused for one in found)}", f"{sum(one.status != 200 for one in found)}"]


def resident() -> int:
  """Returns the bytes of memory that this process has, on Linux."""
  with open("/proc/self/statm") as file:
    return int(file.read().split()[1]) * resource.getpagesize()


def at_even_times(
  port: int, body: Callable[[int], tuple[str, Any]], rate: int, minutes: float, clients: int = 64
) -> list[Answered]:
  """Sends requests at even times and returns what became of each, in order.

  Args:
    port: of a server at 127.0.0.1.
    body: (number) -> name of the endpoint, and what is sent: an object, or bytes as they are.
    rate: requests a minute.
    minutes: so long; may be a fraction.
    clients: connections at most; a request that finds none free waits, which counts.
  """
  started = time.perf_counter()

  def ask(number: int, due: float) -> Answered:
    name, content = body(number)
    try:
      with _connection(port) as connection:  # a new one: of those that are idle the server closes some
        status, refused = _answer(connection, name, content)
    except (OSError, http.client.HTTPException):
      status, refused = 0, 0
    return Answered(due, time.perf_counter() - started - due, status, refused)

  waiting = []
  with ThreadPoolExecutor(clients) as pool:
    for number in range(round(rate * minutes)):
      due = 60 * number / rate
      time.sleep(max(0.0, started + due - time.perf_counter()))
      waiting.append(pool.submit(ask, number, due))
    return [each.result() for each in waiting]


def bodies_for(model: Served) -> dict[str, dict[str, Any]]:
  """Returns what is asked for by the names of endpoints, those that a model of text has."""
  found = dict(_BODIES)
  if model.run.model.denoise is None:
    del found["correct"]
  if model.run.model.denoise is not None and model.run.model.chain is not None:
    found["sample"] = {**found["sample"], "num_steps": 16}
  return found


def _seeded(name: str, body: Mapping[str, Any], number: int) -> dict[str, Any]:
  return {**body, **({"seed": number} if name == "sample" else {})}


def _answer(connection: http.client.HTTPConnection, name: str, content: Any) -> tuple[int, int]:
  """Returns the status of an answer, and how often the server said to come again before."""
  refused, sent = 0, content if isinstance(content, bytes) else json.dumps(content)
  while True:
    connection.request("POST", f"/api/{name}", sent, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 503:
      return answer.status, refused
    refused += 1
    time.sleep(min(1.0, float(answer.headers.get("retry-after", 1))))


def _row(port: int, name: str, body: Mapping[str, Any], clients: int, requests: int) -> list[str]:
  started = time.perf_counter()
  found = _load(port, name, body, clients, requests)
  seconds = time.perf_counter() - started
  each = 1000 * np.array([second for client in found for second in client.seconds])
  shown = [f"{len(each) / seconds:.1f}", *(f"{np.percentile(each, share):,.0f}" for share in (50, 95, 100))]
  return [f"{clients}", f"{len(each)}", *shown, *(f"{sum(c[i] for c in found)}" for i in (1, 2))]


def _load(port: int, name: str, body: Mapping[str, Any], clients: int, requests: int) -> list[_Client]:
  numbers, lock = iter(range(requests)), threading.Lock()

  def next_number() -> int | None:
    with lock:
      return next(numbers, None)

  with ThreadPoolExecutor(clients) as pool:
    return list(pool.map(lambda _: _ask(port, name, body, next_number), range(clients)))


def _ask(port: int, name: str, body: Mapping[str, Any], next_number: Callable[[], int | None]) -> _Client:
  seconds, refused, failed = [], 0, 0
  with _connection(port) as connection:
    while (number := next_number()) is not None:
      started = time.perf_counter()
      status, again = _answer(connection, name, _seeded(name, body, number))
      refused += again
      if status == 200:
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
