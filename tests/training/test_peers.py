"""Processes of a run: the end of one is told by the others, in one line, and at once."""

import os
import socket
import threading

import pytest

from catgen.training import peers


class Ended(Exception):
  """In place of the end of this process."""


@pytest.fixture
def pair(monkeypatch):
  """Two ends of a connection, and what a watch on one of them writes and ends with."""
  told = []

  def end(code):
    told.append(code)
    raise Ended

  monkeypatch.setattr(peers.os, "_exit", end)
  monkeypatch.setattr(peers.os, "write", lambda stream, line: told.append((stream, line.decode())))
  here, there = socket.socketpair()
  yield peers._Watch({3: here}, lambda: "the same command goes on from step 7"), there, told
  here.close()
  there.close()


def test_a6_a_process_that_is_gone_is_one_line_with_what_the_run_goes_on_from(pair):
  watch, there, told = pair
  there.close()
  with pytest.raises(Ended):
    watch.run()
  (stream, line), code = told
  assert (stream, code) == (2, peers.GONE)
  assert line.startswith("error: process 3 of the run has been gone since 20")
  assert line.endswith(" UTC; the same command goes on from step 7\n")
  assert line.count("\n") == 1


def test_a6_one_that_leaves_in_good_order_is_not_gone(pair):
  watch, there, told = pair
  there.sendall(peers._word(peers._BYE))
  watch.run()
  assert told == []
  there.close()


def test_a6_the_first_process_tells_the_others_which_one_is_gone(pair):
  watch, there, told = pair
  dead, other = socket.socketpair()
  watch.peers[5] = dead
  other.close()
  with pytest.raises(Ended):
    watch.run()
  assert there.recv(2) == (5).to_bytes(2, "big")
  assert "process 5 " in told[0][1]
  dead.close()


def test_a_process_that_failed_says_nothing_more_when_the_others_end(pair):
  watch, there, told = pair
  watch.leave(peers._FAILED)
  assert there.recv(2) == peers._word(peers._FAILED)
  there.close()
  with pytest.raises(Ended):
    watch.run()
  assert told == [peers.FAILED]


def test_the_error_of_another_process_leaves_time_for_ones_own(pair, monkeypatch):
  watch, there, told = pair
  done = threading.Event()
  monkeypatch.setattr(peers, "GRACE_SECONDS", 0.01)
  monkeypatch.setattr(watch, "end", lambda number: (told.append(number), done.set()))
  there.sendall(peers._word(peers._FAILED))
  watch.run()
  assert done.wait(5.0)
  assert told == [3]


def test_alone_nothing_is_watched():
  before = threading.active_count()
  with peers.watched(lambda: os.getcwd()):
    assert threading.active_count() == before
