"""The lock of a work directory in an object store, by fsspec's memory://."""

import time

import pytest

from catgen import remote
from catgen.interfaces import InputError
from catgen.runs import lock, owners

RUN = "memory://locks/run"
PATH = f"{RUN}/lock.json"
FAR = {"host": "another", "boot": "another", "token": "another"}


def quiet(line):
  """Says nothing."""


@pytest.fixture(autouse=True)
def _empty():
  yield
  remote.remove_below("memory://locks")


def written(**changes):
  """Writes the lock that this process would write, with what is changed."""
  remote.write(PATH, owners.content_of(owners.this_process()._replace(**changes), 0))


def test_a_second_writer_is_refused_and_reading_needs_no_lock():
  with lock.held(RUN, pytest.fail) as mine:
    owner = lock.owner_of(RUN)
    assert owner == mine.owner
    for _ in range(2):
      with pytest.raises(InputError) as refused, lock.held(RUN, quiet):
        pass
      assert f"{RUN} is in use by {owner}: wait for it" in str(refused.value)
    mine.check()
  assert lock.owner_of(RUN) is None
  with lock.held(RUN, pytest.fail):
    assert lock.owner_of(RUN) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 3}'])
def test_a_lock_that_says_nothing_is_taken(content):
  remote.write(PATH, content)
  with lock.held(RUN, pytest.fail) as mine:
    mine.check()


def test_a_lock_of_the_dead_is_taken_with_a_line():
  written(born="1", token="another")
  said = []
  with lock.held(RUN, said.append) as mine:
    mine.check()
  assert [line.endswith("which is gone; going on") for line in said] == [True]


def test_a_lock_of_another_host_counts_until_a_minute_without_a_beat_by_the_stores_clock(monkeypatch):
  written(**FAR)
  now = remote.version(PATH).written
  monkeypatch.setattr(remote, "clock", lambda path: now + owners.STALE_SECONDS + 1)
  assert lock.owner_of(RUN) is None
  with lock.held(RUN, quiet) as mine:
    mine.check()


def test_a_lock_of_another_host_that_beats_is_left_to_it(monkeypatch):
  written(**FAR)
  monkeypatch.setattr(owners, "STALE_SECONDS", 0.5)
  beats = iter(range(1, 100))

  def sleep(seconds):
    remote.write(PATH, owners.content_of(owners.this_process()._replace(**FAR), next(beats)))

  monkeypatch.setattr("catgen.runs.store_lock.time.sleep", sleep)
  with pytest.raises(InputError, match=r"in use by process .* on another"), lock.held(RUN, quiet):
    pass


def test_a_lock_beats(monkeypatch):
  monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
  with lock.held(RUN, quiet) as mine:
    first = remote.version(PATH).mark
    deadline = time.monotonic() + 10
    while remote.version(PATH).mark == first and time.monotonic() < deadline:
      time.sleep(0.01)
    assert owners.parsed(remote.version(PATH).content) == mine.owner
    assert remote.version(PATH).mark != first


def test_a_beat_is_written_over_its_own_version_alone():
  with lock.held(RUN, quiet) as mine:
    written(**FAR)
    taken = remote.version(PATH)
    with pytest.raises(
      InputError, match=r"was taken over by process .* on another, since .*, since this process gave no sign"
    ):
      mine.check()
    mine._write_again()
    assert remote.version(PATH) == taken
  assert remote.version(PATH) == taken  # it was not this process's to let go of


def test_a_lock_that_another_has_held_and_let_go_of_is_lost():
  with lock.held(RUN, quiet) as mine:
    written(**FAR)
    remote.write(PATH, b"{}")
    with pytest.raises(InputError, match="was taken over by another process"):
      mine.check()


def test_a_lock_that_is_deleted_is_made_again():
  with lock.held(RUN, quiet) as mine:
    remote.remove(PATH)
    mine.check()
    assert lock.owner_of(RUN) == mine.owner


def test_an_answer_that_was_lost_costs_no_lock(monkeypatch):
  """The store has written, and the client, which has not heard of it, sends again and is refused."""
  replace, lost = remote.replace, [True, True]

  def losing(path, content, mark):
    written = replace(path, content, mark)
    return None if lost and lost.pop() else written

  monkeypatch.setattr(remote, "replace", losing)
  with lock.held(RUN, quiet) as mine:
    mine._write_again()
    mine._write_again()
    mine.check()
    assert lock.owner_of(RUN) == mine.owner


def test_one_of_many_that_start_together_holds_it(monkeypatch):
  from concurrent.futures import ThreadPoolExecutor

  def attempt(_):
    try:
      held = lock.held(RUN, quiet)
      held.__enter__()
      return held
    except InputError:
      return None

  with ThreadPoolExecutor(8) as pool:
    found = [each for each in pool.map(attempt, range(8)) if each is not None]
  assert len(found) == 1
  found[0].__exit__(None, None, None)
