"""Answers to requests whose work is done elsewhere: as JSON, or by server-sent events; left when the client goes."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from catgen.serving.guard import Receive, Scope, Send
from catgen.serving.requests import Asked
from catgen.serving.worker import Told, Worker

_SILENCE = 10.0  # seconds after which a stream says that it is still there
_STATUS = {"wrong": 422, "failed": 500}


class Json:
  """An ASGI application that answers so and no more."""

  def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Answers `content`, what JSON has, with a status and further headers."""
    self.body = json.dumps(content, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")
    self.status, self.headers = status, {"content-type": "application/json", "cache-control": "no-store"}
    self.headers |= headers or {}

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request."""
    await _start(send, self.status, {**self.headers, "content-length": str(len(self.body))})
    await send({"type": "http.response.body", "body": self.body if scope["method"] != "HEAD" else b""})


def refused(status: int, line: str, headers: Mapping[str, str] | None = None) -> Json:
  """Returns the answer to a request that is not done, in one line."""
  return Json({"error": line}, status, headers)


class Inbox:
  """What jobs tell, from the thread of the worker to the event loop."""

  def __init__(self) -> None:
    """Belongs to the event loop that runs."""
    self.loop, self.told = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Told]]()

  def tell(self, number: int, told: Told) -> None:
    """Takes what a job tells, from any thread; nothing once the loop has ended."""
    if not self.loop.is_closed():
      self.loop.call_soon_threadsafe(self.told.put_nowait, (number, told))


class Answer:
  """An ASGI application that answers by what jobs tell, and leaves them when the client goes."""

  def __init__(self, worker: Worker, asked: Asked, inbox: Inbox, *, stream: bool, waiting: int) -> None:
    """Answers a request whose jobs are in the queue; waiting: jobs that were before them."""
    self.worker, self.asked, self.inbox, self.stream, self.waiting = worker, asked, inbox, stream, waiting

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the request."""
    gone = asyncio.ensure_future(_left(receive))
    try:
      await (self._events(scope, receive, send, gone) if self.stream else self._json(scope, receive, send, gone))
    except OSError:  # the client went while something was sent
      pass
    finally:
      gone.cancel()
      for job in self.asked.jobs:
        self.worker.cancel(job)

  async def _json(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Future) -> None:
    found = await self._result(gone, None)
    if found is not None:
      status, content = found
      await Json(content, status)(scope, receive, send)

  async def _events(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Future) -> None:
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
    await _start(send, 200, {**headers, "x-accel-buffering": "no"})

    async def event(name: str, content: Any) -> None:
      data = json.dumps(content, allow_nan=False, ensure_ascii=False)
      body = f"event: {name}\ndata: {data}\n\n" if name else ": still there\n\n"
      await send({"type": "http.response.body", "body": body.encode("utf-8", "replace"), "more_body": True})

    await event("queued", {"waiting": self.waiting})
    found = await self._result(gone, event)
    if found is not None:
      status, content = found
      await event("done" if status == 200 else "error", content)
      await send({"type": "http.response.body", "body": b"", "more_body": False})

  async def _result(self, gone: asyncio.Future, event: Callable[[str, Any], Any] | None) -> tuple[int, Any] | None:
    """Returns status and content once all jobs are done, or None where the client has gone before."""
    last: dict[int, Any] = {}
    while len(last) < len(self.asked.jobs):
      told = await _first(self.inbox.told, gone)
      if told is None:
        if gone.done():
          return None
        if event is not None:
          await event("", None)
        continue
      number, news = told
      if news.name in _STATUS:
        return _STATUS[news.name], {"error": news.value}
      if news.name == "done":
        last[number] = news.value
      elif event is not None:
        await event(news.name, news.value)
    return 200, self.asked.answer([last[number] for number in sorted(last)])


async def _first(inbox: asyncio.Queue, gone: asyncio.Future) -> Any:
  """Returns what comes next, or None where the client has gone, or nothing has come for a while."""
  getting = asyncio.ensure_future(inbox.get())
  try:
    await asyncio.wait((getting, gone), timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
    return getting.result() if getting.done() and not gone.done() else None
  finally:
    getting.cancel()


async def _left(receive: Receive) -> None:
  """Returns when the client has closed the connection."""
  while (await receive())["type"] != "http.disconnect":
    pass


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
  fields: Sequence[tuple[bytes, bytes]] = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
  await send({"type": "http.response.start", "status": status, "headers": fields})
