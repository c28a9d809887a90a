"""The queue and the thread: a bound, groups, turns, cancelling, failures, an end. Nothing here needs a device."""

import threading
import time

import pytest

from catgen.interfaces import InputError
from catgen.serving.worker import Full, Gone, Job, Worker

SECONDS = 10


class Bench:
  """A worker whose jobs wait at a gate, and what they told."""

  def __init__(self, **options):
    self.gate, self.told, self.lines, self.groups = threading.Semaphore(0), [], [], []
    self.worker = Worker(**{"most_waiting": 4, "most_rows": 8, "say": self.lines.append, **options})

  def job(self, name, key="k", rows=1, steps=1, error=None):
    def perform(jobs):
      self.groups.append([job.content for job in jobs])
      for _ in range(steps):
        assert self.gate.acquire(timeout=SECONDS)
        yield
      if error is not None:
        raise error
      for job in jobs:
        job.tell("done", job.content)

    return Job(key, rows, name, perform, lambda told: self.told.append((name, told.name, told.value)))

  def submit(self, *names, **options):
    jobs = [self.job(name, **options) for name in names]
    self.worker.submit(*jobs)
    return jobs

  def open(self, number):
    for _ in range(number):
      self.gate.release()

  def until(self, name, told="done"):
    ended = time.monotonic() + SECONDS
    while not any(entry[:2] == (name, told) for entry in self.told):
      assert time.monotonic() < ended, self.told
      time.sleep(0.002)

  def at_work(self, number):
    ended = time.monotonic() + SECONDS
    while self.worker.state()["at_work"] != number:
      assert time.monotonic() < ended, self.worker.state()
      time.sleep(0.002)


@pytest.fixture
def bench():
  made = []

  def make(**options):
    made.append(Bench(**options))
    return made[-1]

  yield make
  for each in made:
    each.open(1000)
    each.worker.close()


def test_jobs_of_a_kind_gather_behind_the_one_at_work(bench):
  it = bench()
  it.submit("a")
  it.at_work(1)
  it.submit("b", "c", rows=4)
  it.submit("d", rows=4)
  it.submit("e", key="other")
  it.open(20)
  for name in "abcde":
    it.until(name)
  assert it.groups[0] == ["a"]
  assert sorted(map(tuple, it.groups[1:])) == [("b", "c"), ("d",), ("e",)]  # eight rows together, and no more


def test_without_batching_each_is_done_alone(bench):
  it = bench(batching=False)
  it.submit("a", "b", "c")
  it.open(20)
  it.until("c")
  assert it.groups == [["a"], ["b"], ["c"]]


def test_a_full_queue_takes_no_more_and_says_when(bench):
  it = bench()
  it.submit("a")
  it.at_work(1)
  it.submit("b", "c", "d")
  with pytest.raises(Full) as full:
    it.submit("e", "f")  # both or none
  assert 1 <= full.value.seconds <= 120
  assert str(full.value) == f"too many requests are waiting; try again in {full.value.seconds} s"
  (kept,) = it.submit("e")
  it.worker.cancel(kept)
  it.submit("f")  # what was cancelled has left its place
  it.open(20)
  it.until("f")
  assert not [entry for entry in it.told if entry[0] == "e"]


def test_a_short_job_does_not_wait_for_the_end_of_a_long_one(bench):
  it = bench()
  it.submit("long", steps=50)
  it.at_work(1)
  it.submit("short", key="other")
  it.open(6)
  it.until("short")
  assert not [entry for entry in it.told if entry[:2] == ("long", "done")]
  it.open(60)
  it.until("long")


def test_what_nobody_wants_any_more_is_left(bench):
  it = bench()
  (job,) = it.submit("long", steps=1000)
  it.at_work(1)
  it.open(3)
  it.worker.cancel(job)
  it.open(1)  # the call that it is in ends, and no other begins
  it.at_work(0)
  it.submit("next")
  it.open(1)
  it.until("next")
  assert not [entry for entry in it.told if entry[0] == "long" and entry[1] != "started"]


def test_one_of_a_group_leaves_the_others(bench):
  it = bench()
  it.submit("a", key="first")
  it.at_work(1)
  b, _ = it.submit("b", "c")
  it.worker.cancel(b)
  it.open(9)
  it.until("c")
  assert not [entry for entry in it.told if entry[:2] == ("b", "done")]


def test_a_failure_is_told_in_a_line_and_ends_nothing_else(bench):
  it = bench()
  it.submit("a", error=RuntimeError("secret: a path"))
  it.submit("b", key="other", error=InputError("num_steps is 9"))
  it.submit("c", key="third", error=MemoryError())
  it.submit("d", key="fourth")
  it.open(20)
  it.until("d")
  it.until("a", "failed")
  it.until("b", "wrong")
  it.until("c", "wrong")
  values = {entry[0]: entry[2] for entry in it.told if entry[1] in ("failed", "wrong")}
  assert values["a"] == "the server could not do this; its own output says why"
  assert values["b"] == "num_steps is 9"
  assert values["c"].startswith("out of memory")
  assert it.lines == ["a request failed: RuntimeError: secret: a path"]


def test_at_the_end_what_is_left_fails_at_once(bench):
  it = bench()
  it.submit("a", steps=5)
  it.at_work(1)
  it.submit("b")
  it.worker.stop()
  assert {entry[0] for entry in it.told if entry[1:] == ("failed", "the server is stopping")} == {"a", "b"}
  with pytest.raises(Full):
    it.submit("c")
  it.open(1)
  it.worker.close()
  assert not it.worker.thread.is_alive()
  with pytest.raises(Gone, match="start the server again"):
    it.submit("d")


def test_a_thread_that_dies_says_so_and_leaves_nobody_waiting(bench):
  it = bench()
  it.submit("a", error=SystemExit("by a library"))
  it.at_work(1)
  it.submit("b")
  it.open(1)
  it.until("a", "failed")
  it.until("b", "failed")
  assert {entry[2] for entry in it.told if entry[1] == "failed"} == {str(Gone())}
  assert it.lines == ["the thread that does the work has ended: SystemExit: by a library"]
  with pytest.raises(Gone):
    it.submit("c")
  assert it.worker.state()["alive"] is False
