"""The server under load: nothing is lost, nothing hangs, memory stays bounded, whatever is asked and whoever goes."""

import http.client
import itertools
import json
import threading

import numpy as np
import pytest

from benchmarks.serving import at_even_times, resident
from catgen.serving.endpoints import MOST_BYTES
from catgen.serving.serve import serving_at

pytestmark = pytest.mark.slow
FAST = {"num_steps": 8}
LINES = ["the cat sat on a", "cat mat", "a"]
# What is asked for in turn, and the status that answers.
KINDS = (
  ("sample", {"num_samples": 1, **FAST}, 200),
  ("correct", {"example": "the cet"}, 200),
  ("score", {"examples": LINES, "num_draws": 1}, 200),
  ("sample", {"num_samples": 2, "model": "letters"}, 200),
  ("infill", {"example": "the #at", "hole": "#", **FAST}, 200),
  ("score", {"examples": ["a" * 17]}, 422),
  ("sample", {"temperature": 7}, 422),
  ("sample", b"{", 400),
  ("score", b" " * (MOST_BYTES + 1), 413),
  ("compare", {"examples": LINES, "num_draws": 1}, 200),
)


def left_alone(port, number):
  """Asks for samples and goes before they are there."""
  connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
  content = json.dumps({"num_samples": 16, "seed": number, "stream": True})
  connection.request("POST", "/api/sample", content, {"Content-Type": "application/json"})
  connection.getresponse().read(16)
  connection.close()


def status(port):
  connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
  connection.request("GET", "/api/status")
  found = json.loads(connection.getresponse().read())
  connection.close()
  return found


def test_five_hundred_requests_in_a_minute_beside_those_who_go(models):
  """Of ten kinds, wrong ones and ones far too large among them; meanwhile clients ask for long chains and leave."""

  def body(number):
    name, content, _ = KINDS[number % len(KINDS)]
    seeded = name == "sample" and isinstance(content, dict) and "seed" not in content
    return name, {**content, "seed": number} if seeded else content

  ended, going = threading.Event(), itertools.count()

  def come_and_go(port):
    while not ended.wait(0.5):
      left_alone(port, next(going))

  said = []
  with serving_at([models["text"], models["letters"]], queue=64, say=said.append) as port:
    visitor = threading.Thread(target=come_and_go, args=(port,))
    visitor.start()
    at_even_times(port, body, rate=600, minutes=0.5)  # compiles what is asked for, for groups of each size
    before = resident()
    found = at_even_times(port, body, rate=500, minutes=1)
    ended.set()
    visitor.join(60)
    assert not visitor.is_alive()
    for _ in range(600):
      state = status(port)
      if not state["at_work"] and not state["waiting"]:
        break
      threading.Event().wait(0.1)
    grown = resident() - before
  assert [each.status for each in found] == [KINDS[number % len(KINDS)][2] for number in range(500)]
  assert (state["at_work"], state["waiting"], state["alive"]) == (0, 0, True)  # what was left is not done for nobody
  assert next(going) > 50
  assert not said
  assert grown < 150 * 2**20
  seconds = [each.seconds for each in found if each.status == 200]
  assert np.percentile(seconds, 95) < 30


def test_two_users_at_once_get_what_each_gets_alone(models):
  """Beside each other, a hundred times, one who samples and one who corrects."""
  with serving_at([models["text"]], say=pytest.fail) as port:

    def ask(name, content):
      connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
      connection.request("POST", f"/api/{name}", json.dumps(content), {"Content-Type": "application/json"})
      found = json.loads(connection.getresponse().read())
      connection.close()
      return found

    samples = [ask("sample", {"num_samples": 1, "seed": seed, **FAST})["examples"] for seed in range(10)]
    corrected = ask("correct", {"example": "the cet"})["corrected"]
    wrong = []

    def draw():
      for seed in 5 * list(range(10)):
        if ask("sample", {"num_samples": 1, "seed": seed, **FAST})["examples"] != samples[seed]:
          wrong.append(seed)

    def correct():
      wrong.extend(["cet"] * sum(ask("correct", {"example": "the cet"})["corrected"] != corrected for _ in range(50)))

    users = [threading.Thread(target=each) for each in (draw, correct)]
    for user in users:
      user.start()
    for user in users:
      user.join(300)
    assert not any(user.is_alive() for user in users)
    assert not wrong


def test_a_thread_that_dies_ends_every_request(models, monkeypatch):
  """In a line, or by the end of the connection; nobody waits."""
  from catgen.serving import performing

  gate = threading.Event()

  def dies(*words, **options):
    gate.wait(60)
    raise SystemExit("by a library")
    yield

  monkeypatch.setattr(performing, "watch", dies)
  said = []
  with serving_at([models["text"]], say=said.append) as port:
    ends = []

    def ask(number):
      connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
      try:
        connection.request("POST", "/api/sample", json.dumps(FAST), {"Content-Type": "application/json"})
        ends.append(json.loads(connection.getresponse().read())["error"])
      except (OSError, http.client.HTTPException):
        ends.append("")
      finally:
        connection.close()

    users = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for user in users:
      user.start()
    while status(port)["at_work"] + status(port)["waiting"] < 6:
      pass
    gate.set()
    for user in users:
      user.join(30)
    assert not any(user.is_alive() for user in users)
  assert len(ends) == 6
  assert set(ends) <= {"the thread that does the work has ended; start the server again", ""}
  assert said == ["the thread that does the work has ended: SystemExit: by a library"]
