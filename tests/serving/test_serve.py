"""`serve` from its first line to its last: address, token, warm-up, signals, and the ends of threads and processes."""

import http.client
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from catgen.interfaces import InputError
from catgen.serving import serve as module
from catgen.serving.serve import Ended, describe, serve
from catgen.serving.worker import Job
from tests.tiny_run import ROOT, command, environment

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'catgen[test]'")
SECONDS = 120


def asked(port, path, body=None, token=None, timeout=SECONDS):
  """Returns (status, content) of a request."""
  connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
  headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
  try:
    connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
  finally:
    connection.close()


@pytest.fixture
def served(models, monkeypatch):
  """Has `serve` take models that are there, and gives a function that runs it beside a visitor of its address."""
  monkeypatch.setattr(module, "load_models", lambda *_, **__: [models["text"]])
  monkeypatch.setattr(module, "keep_programs", lambda: None)

  def run(visit, **options):
    said, address, left = [], threading.Event(), []

    def say(line):
      said.append(line)
      if line.startswith("serving "):
        address.set()

    def visitor():
      try:
        assert address.wait(SECONDS)
        _, port, _, token = re.search(r"http://(\S+):(\d+)/(#token=(\S+))?", said[-1]).groups()
        left.append(visit(int(port), token))
      except BaseException as error:
        left.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=visitor)
    thread.start()
    try:
      ended = serve(workdir=("text",), port=0, say=say, **options)
    finally:
      thread.join()
      if isinstance(left[0], BaseException):
        raise left[0]
    return ended, said

  return run


def test_it_serves_with_a_token_until_a_signal(served):
  def visit(port, token):
    assert asked(port, "/api/models")[0] == 401
    status, found = asked(port, "/api/models", token=token)
    assert (status, [each["name"] for each in found["models"]]) == (200, ["text"])
    status, found = asked(port, "/api/sample", {"num_steps": 8}, token)
    assert (status, len(found["examples"])) == (200, 4)
    os.kill(os.getpid(), signal.SIGTERM)

  ended, said = served(visit, host="0.0.0.0")
  assert re.fullmatch(r"serving text at http://\S+:\d+/#token=[-\w]{32} \(Ctrl-C ends\)", said[0].split("; ")[0])
  assert len(said) == 1
  assert ended.requests >= 1
  assert re.fullmatch(r"ended after \d+ s and \d+ requests", describe(ended))


def test_what_the_page_asks_for_first_is_compiled_before_anybody_asks(served):
  def visit(port, token):
    assert token is None
    for _ in range(SECONDS * 20):
      state = asked(port, "/api/status")[1]
      if state["done"] >= 3 and not state["waiting"] and not state["at_work"]:
        break
      threading.Event().wait(0.05)
    os.kill(os.getpid(), signal.SIGINT)

  ended, _ = served(visit)
  assert ended == Ended(3, ended.seconds)  # samples, a correction, scores


def test_a_server_whose_thread_has_died_ends_in_a_line(served, monkeypatch):
  workers = []
  new_worker = module.new_worker
  monkeypatch.setattr(module, "new_worker", lambda **options: workers.append(new_worker(**options)) or workers[-1])

  def dies(jobs):
    raise SystemExit("by a library")
    yield

  def visit(port, token):
    workers[0].submit(Job("k", 1, None, dies, lambda told: None))
    workers[0].thread.join(SECONDS)
    try:
      status, found = asked(port, "/api/sample", {})
      assert (status, found) == (503, {"error": "the thread that does the work has ended; start the server again"})
    except OSError:  # the server has ended already
      pass

  with pytest.raises(InputError, match="the thread that does the work has ended; start the server again"):
    served(visit, warm=False)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGKILL", -9)])
def test_the_process_ends_by_a_signal_and_leaves_nobody_waiting(name, code, workdir):
  """SIGTERM: requests end in a line, exit code 0. SIGKILL: whoever waits gets the end of the connection."""
  words = command("serve", f"--workdir={workdir}", "--port=0", "--nowarm")
  process = subprocess.Popen(words, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
  try:
    line = next(line for line in process.stdout if line.startswith("serving "))
    port, ends = int(re.search(r":(\d+)/", line)[1]), []

    def ask():
      try:
        ends.append(asked(port, "/api/sample", {"num_samples": 16, "seed": len(ends)}))
      except (OSError, http.client.HTTPException) as error:
        ends.append((0, type(error).__name__))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
      thread.start()
    while not asked(port, "/api/status")[1]["at_work"]:
      pass
    process.send_signal(getattr(signal, name))
    assert process.wait(SECONDS) == code
    for thread in threads:
      thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert len(ends) == 4
    assert {status for status, _ in ends} <= ({200, 500, 503, 0} if code == 0 else {0, 200})
    if code == 0:
      assert "ended after" in process.stdout.read()
  finally:
    process.kill()
    process.wait()
    process.stdout.close()
