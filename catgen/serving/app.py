"""The application: routes of the table, the page, and the guard before them. The door to Starlette."""

import asyncio
import importlib.resources
import mimetypes
from collections.abc import Iterable, Mapping
from typing import Any

from catgen.files import from_json
from catgen.interfaces import InputError
from catgen.serving.answers import Answer, Inbox, Json, refused
from catgen.serving.endpoints import ENDPOINTS, MOST_BYTES, Endpoint, offers, openapi
from catgen.serving.fields import checked
from catgen.serving.guard import App, Guard
from catgen.serving.requests import asked
from catgen.serving.served import Served, described
from catgen.serving.worker import FAILED, Full, Gone, Worker

_BODY_SECONDS = 15.0  # that a request may take to arrive
_MOST_FORGOTTEN = 16 * MOST_BYTES  # of a request that is refused for its size
_KINDS = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css", ".html": "text/html; charset=utf-8"}
_NOT_JSON = "the request is no JSON"


class TooMuch(Exception):  # noqa: N818 it is answered
  """A request that is not read: status and line."""


def application(
  models: Mapping[str, Served], worker: Worker, *, host: str, names: Iterable[str] = (), token: str | None = None
) -> App:
  """Returns the ASGI application.

  Args:
    models: by name, the first being the default.
    worker: that does the work.
    host: that the server listens at, see `guard.knows`.
    names: by which it is reached too.
    token: that endpoints ask for; None: none.
  """
  from starlette.applications import Starlette
  from starlette.routing import Route

  told = {
    "models": {"models": [described(model) for model in models.values()], "offers": offers()},
    "openapi": openapi(),
  }

  def route(name: str, endpoint: Endpoint) -> Any:
    async def get(request: Any) -> Any:
      return Json(worker.state() if name == "status" else told[name])

    async def post(request: Any) -> Any:
      return await _posted(name, endpoint, models, worker, request)

    return Route(endpoint.path, get if endpoint.method == "GET" else post, methods=[endpoint.method], name=name)

  routes = [route(name, endpoint) for name, endpoint in ENDPOINTS.items()]
  routes += [_static(Route, path, content, kind) for path, (content, kind) in page().items()]
  app = Starlette(routes=routes, exception_handlers={404: _missing, 405: _missing, Exception: _failed(worker)})
  return Guard(app, refused, host=host, names=names, token=token)


def page() -> dict[str, tuple[bytes, str]]:
  """Returns the files of the page by their paths, each with its content type."""
  found = {}
  for file in importlib.resources.files("catgen.serving").joinpath("page").iterdir():
    ending = f".{file.name.rpartition('.')[2]}"
    kind = _KINDS.get(ending) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    found["/" if file.name == "index.html" else f"/{file.name}"] = (file.read_bytes(), kind)
  return found


async def _posted(
  name: str, endpoint: Endpoint, models: Mapping[str, Served], worker: Worker, request: Any
) -> Json | Answer:
  """Returns the answer to a request for work: what does not fit is refused before it takes a place in the queue."""
  assert endpoint.takes is not None
  try:
    body = await asyncio.wait_for(_body(request), _BODY_SECONDS)
    values, inbox = checked(endpoint.takes, _parsed(body)), Inbox()
    work = await asyncio.to_thread(asked, name, models, values, inbox.tell)
    waiting = worker.state()["waiting"]
    worker.submit(*work.jobs)
  except TimeoutError:
    return refused(408, f"the request did not arrive within {_BODY_SECONDS:g} s", {"connection": "close"})
  except TooMuch as much:
    return refused(413, str(much), {"connection": "close"})
  except InputError as error:
    return refused(400 if str(error).startswith(_NOT_JSON) else 422, str(error))
  except Full as full:
    return refused(503, str(full), {"retry-after": str(full.seconds)})
  except Gone as gone:
    return refused(503, str(gone), {"connection": "close"})
  return Answer(worker, work, inbox, stream=values.get("stream", False), waiting=waiting)


async def _body(request: Any) -> bytes:
  """Returns what was sent. Raises TooMuch where it is more than it may be.

  Of what is too much some more is read and forgotten: a client that is still sending would miss the answer.
  """
  line = f"the request has more than {MOST_BYTES:,} bytes; send fewer or smaller examples"
  length = request.headers.get("content-length", "0")
  if length.isdigit() and int(length) > _MOST_FORGOTTEN:
    raise TooMuch(line)
  found, seen = bytearray(), 0
  async for part in request.stream():
    seen += len(part)
    if seen <= MOST_BYTES:
      found += part
    if seen > _MOST_FORGOTTEN:
      break
  if seen > MOST_BYTES:
    raise TooMuch(line)
  return bytes(found)


def _parsed(body: bytes) -> Any:
  try:
    return from_json(body)
  except ValueError as error:
    raise InputError(f"{_NOT_JSON}: {error}") from error


def _static(route: Any, path: str, content: bytes, kind: str) -> Any:
  from starlette.responses import Response

  async def get(request: Any) -> Any:
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

  return route(path, get, name=path)


async def _missing(request: Any, error: Any) -> Any:
  known = ", ".join(endpoint.path for endpoint in ENDPOINTS.values())
  if error.status_code == 404:
    return refused(404, f"there is nothing at {request.url.path[:100]!r}; the endpoints are {known}")
  return refused(405, f"{request.method} is not for {request.url.path[:100]!r}; see /openapi.json")


def _failed(worker: Worker) -> Any:
  async def answer(request: Any, error: Exception) -> Any:
    worker.say(f"a request failed: {type(error).__name__}: {error}")
    return refused(500, FAILED)

  return answer
