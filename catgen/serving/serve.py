"""A server of trained models: a page to play with, and endpoints that take and give JSON."""

import asyncio
import contextlib
import importlib.util
import secrets
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen.interfaces import InputError
from catgen.runs.compiling import keep_programs
from catgen.runs.load import load
from catgen.serving.endpoints import ENDPOINTS, MOST_LINES, MOST_SAMPLES
from catgen.serving.fields import checked
from catgen.serving.guard import App, is_loopback
from catgen.serving.requests import asked
from catgen.serving.served import Served, defaults, names_of, served
from catgen.serving.worker import Full, Gone, Told, Worker
from catgen.training.signals import Request, catch_signals

_NEEDED = ("starlette", "uvicorn")
_MOST_CONNECTIONS = 256
_LOOK_SECONDS = 0.1  # between two looks at signals


class Ended(NamedTuple):
  """What a server did until it was told to end."""

  requests: int
  seconds: float


def serve(
  *,
  workdir: tuple[str, ...] = (),
  step: str = "best",
  ema: bool = True,
  host: str = "127.0.0.1",
  port: int = 8765,
  names: tuple[str, ...] = (),
  token: str | None = None,
  queue: int = 64,
  batching: bool = True,
  warm: bool = True,
  say: Callable[[str], None] = print,
) -> Ended:
  """Serves trained models until Ctrl-C or SIGTERM.

  Args:
    workdir: folders of the runs, separated by commas; two can be compared.
    step: checkpoint: best (by validation), latest, or a number.
    ema: take the moving average of the parameters where the run kept one.
    host: address to listen at; any but one of this machine's own alone asks clients for a token.
    port: to listen at; 0: any that is free.
    names: by which the server is reached besides, separated by commas, such as that of a proxy.
    token: that endpoints ask for; default: made at random where one is needed.
    queue: how many requests may wait, where a comparison counts as two; others are refused with the word to try later.
    batching: do requests of the same shape in one call of the device.
    warm: compile what the page asks for first before anybody does.
    say: receives the address, and lines about what fails.

  Raises:
    InputError: a package is missing, a folder holds no run, the address cannot be had, or the thread that does the
      work has ended.
  """
  check_packages()
  if not workdir:
    raise InputError("--workdir is not set; give the folder of the run, for example --workdir=runs/quickstart")
  if not 2 <= queue <= 10_000:
    raise InputError(f"--queue is {queue}; give 2 to 10,000 requests, since a comparison takes two places")
  keep_programs()
  models = load_models(workdir, step=step, ema=ema, say=say)
  if token is None and not is_loopback(host):
    token = secrets.token_urlsafe(24)
  listening = _listening(host, port)
  worker = new_worker(queue=queue, batching=batching, say=say)
  from catgen.serving.app import application  # the door to Starlette

  app = application({model.name: model for model in models}, worker, host=host, names=names, token=token)
  say(f"serving {', '.join(model.name for model in models)} at {_address(listening, host, token)} (Ctrl-C ends)")
  if warm:
    warm_up(models, worker)
  started = time.monotonic()
  with catch_signals() as request:
    asyncio.run(run_until(app, listening, worker, request))
  worker.close()
  if worker.died:
    raise InputError(str(Gone()))
  return Ended(worker.done, time.monotonic() - started)


def describe(ended: Ended) -> str:
  """Returns what was done, as a line."""
  return f"ended after {ended.seconds:,.0f} s and {ended.requests:,} requests"


def check_packages() -> None:
  """Raises InputError where what serving needs is not installed."""
  missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
  if missing:
    raise InputError(f"serving needs the package {' and '.join(missing)}: pip install 'catgen[serve]'")


def load_models(
  workdirs: tuple[str, ...], *, step: str = "best", ema: bool = True, say: Callable[[str], None] = print
) -> list[Served]:
  """Returns the runs of folders, on the first device."""
  device = jax.devices()[:1]
  runs = [load(workdir, device, step=step, ema=ema, say=say) for workdir in workdirs]
  return [served(name, run) for name, run in zip(names_of(workdirs), runs, strict=True)]


def new_worker(*, queue: int = 64, batching: bool = True, say: Callable[[str], None] = print) -> Worker:
  """Returns the worker of a server, at work."""
  return Worker(most_waiting=queue, most_rows=max(MOST_SAMPLES, MOST_LINES), batching=batching, say=say)


def warm_up(models: Sequence[Served], worker: Worker) -> None:
  """Hands jobs to the worker, one at a time, that compile what the page asks for first; others take turns with them."""
  known, left = {model.name: model for model in models}, deque[tuple[str, dict[str, Any]]]()
  for model in models:
    left.append(("sample", {"model": model.name, **defaults(model.run), "temperature": 1}))
    if model.kind == "text":
      word = model.run.decode(np.zeros(1, np.int32))
      left.append(("correct", {"model": model.name, "example": word}))
      left.append(("score", {"model": model.name, "examples": [word] * 4}))

  def go_on(number: int, told: Told) -> None:
    while told.last and left and not worker.closing:
      name, content = left.popleft()
      with contextlib.suppress(InputError, Full):  # what a model cannot do needs no program
        worker.submit(*asked(name, known, checked(ENDPOINTS[name].takes or {}, content), go_on).jobs)
        return

  go_on(0, Told("done", None))


@contextlib.contextmanager
def serving_at(
  models: Sequence[Served],
  *,
  queue: int = 64,
  batching: bool = True,
  token: str | None = None,
  say: Callable[[str], None] = print,
) -> Iterator[int]:
  """Serves models in a thread, at a free port of 127.0.0.1, which is yielded: for measures and tests."""
  check_packages()
  from catgen.serving.app import application

  worker, listening, request = (
    new_worker(queue=queue, batching=batching, say=say),
    _listening("127.0.0.1", 0),
    Request(),
  )
  app = application({model.name: model for model in models}, worker, host="127.0.0.1", token=token)
  thread = threading.Thread(target=lambda: asyncio.run(run_until(app, listening, worker, request)), daemon=True)
  thread.start()
  try:
    yield listening.getsockname()[1]
  finally:
    request.signal = signal.SIGINT
    thread.join()
    worker.close()


async def run_until(app: App, listening: socket.socket, worker: Worker, request: Request) -> None:
  """Answers requests at a socket until a signal asks to stop, or nobody is left who does the work.

  Work that is left then fails in a line.
  """
  import uvicorn

  class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
      """Leaves signals to `catch_signals`."""
      yield

  server = Server(
    uvicorn.Config(
      app,
      log_config=None,
      log_level="critical",
      access_log=False,
      lifespan="off",
      server_header=False,
      proxy_headers=False,
      ws="none",
      http="h11",
      loop="asyncio",
      limit_concurrency=_MOST_CONNECTIONS,
      timeout_graceful_shutdown=3,
    )
  )
  running = asyncio.ensure_future(server.serve([listening]))
  while not request.stopping() and not running.done() and worker.alive():
    await asyncio.sleep(_LOOK_SECONDS)
  worker.stop()
  server.should_exit = True
  await running


def _listening(host: str, port: int) -> socket.socket:
  if not 0 <= port < 2**16:
    raise InputError(f"--port is {port}; give 1 to 65535, or 0 for any that is free")
  try:
    family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(address)
    found.listen(128)
  except (OSError, UnicodeError) as error:
    reason = getattr(error, "strerror", None) or error
    raise InputError(f"cannot listen at {host}:{port} ({reason}); give another --port, or 0 for a free one") from error
  return found


def _address(listening: socket.socket, host: str, token: str | None) -> str:
  """Returns what to open in a browser; the token is behind a #, which browsers send to nobody."""
  port: Any = listening.getsockname()[1]
  name = host if host not in ("", "0.0.0.0", "::") else socket.gethostname()
  shown = f"[{name}]" if ":" in name else name
  return f"http://{shown}:{port}/" + (f"#token={token}" if token is not None else "")
