"""Names of the server, the token, other sites, headers; and a client that goes away."""

import asyncio
import json

import pytest

from catgen.serving.guard import Guard, is_loopback, knows

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'catgen[test]'")

NAMES = {
  "its address": ("127.0.0.1", "127.0.0.1:8765", True),
  "without a port": ("127.0.0.1", "127.0.0.1", True),
  "localhost": ("127.0.0.1", "LocalHost:8765", True),
  "of six": ("127.0.0.1", "[::1]:8765", True),
  "a site that points here": ("127.0.0.1", "evil.example:8765", False),
  "a site that begins so": ("127.0.0.1", "127.0.0.1.evil.example", False),
  "another address": ("127.0.0.1", "192.168.0.3:8765", False),
  "nothing": ("127.0.0.1", "", False),
  "nothing but a port": ("127.0.0.1", ":8765", False),
  "any address of a machine that listens at all": ("0.0.0.0", "192.168.0.3:8765", True),
  "a site where all are listened at": ("0.0.0.0", "evil.example", False),
  "a name that was told": ("0.0.0.0", "Models.Example:443", True),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_server_knows_its_names(name):
  host, header, known = NAMES[name]
  assert knows(host, ["models.example"], header) is known


def test_loopback_is_told_from_the_rest():
  assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
  assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.3", "models.example", "")))


@pytest.fixture(scope="module")
def guarded(models, worker):
  """Returns a client of a server that asks for a token."""
  from starlette.testclient import TestClient

  from catgen.serving.app import application

  app = application(models, worker, host="0.0.0.0", token="sesame")
  return TestClient(app, base_url="http://192.168.0.3:8765", raise_server_exceptions=False)


def test_endpoints_ask_for_the_token(guarded):
  for wrong in (None, "sesame", "Bearer sesam", "Bearer sesame2", "bearer sesame"):
    headers = {} if wrong is None else {"authorization": wrong}
    assert guarded.get("/api/models", headers=headers).status_code == 401
    answer = guarded.post("/api/sample", json={}, headers=headers)
    assert answer.status_code == 401
    assert "give the token" in answer.json()["error"]
  assert guarded.get("/api/models", headers={"authorization": "Bearer sesame"}).status_code == 200
  assert guarded.get("/").status_code == 200  # the page asks for the token itself
  assert "sesame" not in guarded.get("/").text


def test_other_sites_are_refused(client, worker):
  done = worker.state()["done"]
  for header in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}):
    answer = client.post("/api/sample", json={}, headers=header)
    assert answer.status_code == 403
    assert client.get("/", headers=header).status_code == 403
  assert worker.state()["done"] == done
  assert client.get("/api/status", headers={"origin": "http://127.0.0.1:8765"}).status_code == 200


def test_every_answer_tells_browsers_to_take_nothing_from_elsewhere(client):
  for path in ("/", "/app.js", "/api/models", "/nothing"):
    headers = client.get(path).headers
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_the_page_takes_nothing_from_elsewhere():
  from catgen.serving.app import page

  files = page()
  assert {"/", "/app.js", "/style.css", "/icon.svg"} <= set(files)
  for path, (content, _) in files.items():
    text = content.decode().replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text, path
    assert "https://" not in text, path
    assert "innerHTML" not in text, path  # what a model writes is text, and never markup
    assert " style=" not in text, path  # the policy above forbids it


def test_failures_tell_no_client_what_is_inside(models, worker, monkeypatch):
  from starlette.testclient import TestClient

  from catgen.serving import app

  lines = []
  monkeypatch.setattr(worker, "say", lines.append)
  monkeypatch.setattr(app, "asked", lambda *_: 1 / 0)
  client = TestClient(app.application(models, worker, host="localhost"), "http://localhost", False)
  answer = client.post("/api/sample", json={})
  assert (answer.status_code, answer.json()) == (
    500,
    {"error": "the server could not do this; its own output says why"},
  )
  assert lines == ["a request failed: ZeroDivisionError: division by zero"]


def asking(app, body, *, leave_after):
  """Sends a request and closes the connection after so many events; returns what was received by then."""

  async def run():
    received, gone = [], asyncio.Event()
    sent = iter([{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}])

    async def receive():
      message = next(sent, None)
      if message is None:
        await gone.wait()
        return {"type": "http.disconnect"}
      return message

    async def send(message):
      received.append(message.get("body", b"").decode())
      if sum("event: " in each for each in received) >= leave_after:
        gone.set()

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/sample", "headers": headers, "query_string": b""}
    scope |= {"scheme": "http", "root_path": "", "http_version": "1.1", "client": ("127.0.0.1", 1)}
    await asyncio.wait_for(app({**scope, "server": ("127.0.0.1", 8765)}, receive, send), 60)
    return received

  return asyncio.run(run())


def test_a_client_that_goes_leaves_its_work(client, worker, monkeypatch):
  """Between two calls of the device; what waits in the queue leaves at once."""
  import threading

  from catgen.serving import performing

  original, gate, calls = performing.watch, threading.Semaphore(0), []

  def slow(*words, **options):
    for state in original(*words, **options):
      calls.append(state.moves)
      yield state
      assert gate.acquire(timeout=60)

  monkeypatch.setattr(performing, "watch", slow)
  body = {"stream": True, "num_steps": 8, "num_states": 8}
  received = asking(client.app, body, leave_after=3)
  assert "event: done" not in "".join(received)
  for _ in range(20):
    gate.release()
  deadline = 200
  while worker.state()["at_work"] and (deadline := deadline - 1):
    threading.Event().wait(0.02)
  assert worker.state()["at_work"] == 0
  assert calls[-1] < 8  # the chain was left on the way


def test_a_full_queue_says_when_to_come_again(client, worker, monkeypatch):
  from catgen.serving.worker import Full

  def full(*jobs):
    raise Full(7)

  monkeypatch.setattr(worker, "submit", full)
  answer = client.post("/api/sample", json={})
  assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
  assert answer.json() == {"error": "too many requests are waiting; try again in 7 s"}


def test_a_guard_lets_other_protocols_through():
  seen = []

  async def app(scope, receive, send):
    seen.append(scope["type"])

  asyncio.run(Guard(app, lambda *_: app, host="127.0.0.1")({"type": "lifespan"}, None, None))
  assert seen == ["lifespan"]
