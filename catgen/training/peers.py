"""The processes of a run watch one another: where one ends before the others, these say so in one line and end too.

JAX notices by heartbeats, a minute or two later, and ends a process from within C++, with pages of messages. A
connection from each process to the first one is closed by the kernel in the moment in which a process ends, however it
ends. Where that connection cannot be made, JAX's own way remains.
"""

import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from catgen.interfaces import InputError

CONNECT_SECONDS = 5.0
VERDICT_SECONDS = 15.0  # that an error waits for the news that a process is gone, which explains it
GRACE_SECONDS = 5.0  # between the error of another process and the end of this one
GONE, FAILED = 1, 2  # exit codes: another process is gone; this one has failed
_watches: list["_Watch"] = []
_BYE, _FAILED = 0xFFFF, 0xFFFE


@contextlib.contextmanager
def watched(comfort: Callable[[], str]) -> Iterator[None]:
  """Watches the other processes during the block, which all of them enter and leave together.

  Args:
    comfort: returns what the same command will go on from, when a process is gone.
  """
  if jax.process_count() == 1:
    yield
    return
  watch = _connect(comfort)
  if watch is None:
    yield
    return
  _watches.append(watch)
  watch.start()
  word = _FAILED
  try:
    yield
    word = _BYE
  except InputError:
    raise
  except Exception:
    time.sleep(VERDICT_SECONDS)  # where another process is gone, which explains it, the watch ends this one
    raise
  finally:
    watch.leave(word)


class _Watch(threading.Thread):
  """Listens to the processes that this one is connected to: the first to all, the others to the first."""

  def __init__(self, peers: dict[int, socket.socket], comfort: Callable[[], str]):
    super().__init__(name="catgen peers", daemon=True)
    self.peers, self.comfort = peers, comfort
    self.failed = False  # this process has said its error, and only waits for the others
    self.connections = tuple(peers.values())  # kept open to the end of the process: closing one would say "gone"

  def run(self) -> None:
    """Waits for the end of a connection that was not announced."""
    while self.peers:
      ready, _, _ = select.select(list(self.peers.values()), [], [])
      for number, connection in list(self.peers.items()):
        if connection in ready:
          self.hear(number, connection)

  def hear(self, number: int, connection: socket.socket) -> None:
    """Takes what a process says: that it leaves, or that another is gone; its silence means that it is gone itself."""
    try:
      told = connection.recv(2)
    except OSError:
      told = b""
    if told == _word(_BYE):
      del self.peers[number]
    elif told == _word(_FAILED):
      del self.peers[number]
      timer = threading.Timer(GRACE_SECONDS, self.end, (number,))  # time to meet the same mistake, and to say so
      timer.daemon = True
      timer.start()
    elif len(told) == 2:
      self.end(int.from_bytes(told, "big"))
    else:
      self.end(number)

  def end(self, number: int) -> None:
    """Tells the others, and the user, and ends this process without asking anything of what is gone."""
    if self.failed:
      os._exit(FAILED)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    for other, connection in self.peers.items():
      if other != number:
        with contextlib.suppress(OSError):
          connection.sendall(_word(number))
    line = f"error: process {number} of the run has been gone since {when} UTC; {self.comfort()}\n"
    with contextlib.suppress(OSError):
      sys.stdout.flush()
    os.write(2, line.encode())
    os._exit(GONE)

  def leave(self, word: int) -> None:
    """Tells that this process leaves, in good order or with an error of its own."""
    self.failed = word == _FAILED
    for connection in self.connections:
      with contextlib.suppress(OSError):
        connection.sendall(_word(word))


def _connect(comfort: Callable[[], str]) -> _Watch | None:
  """Connects all processes to the first; None, on all of them, where one could not be reached."""
  first = jax.process_index() == 0
  listener = socket.create_server(("", 0), backlog=jax.process_count()) if first else None
  port = int(_told_by_first(listener.getsockname()[1] if listener else 0))
  peers: dict[int, socket.socket] = {}
  with contextlib.suppress(OSError):
    peers = _accepted(listener) if listener else {0: _dialed(port)}
  complete = len(peers) == (jax.process_count() - 1 if first else 1)
  everywhere = np.asarray(multihost_utils.process_allgather(np.int32(complete))).all()
  if listener:
    listener.close()
  return _Watch(peers, comfort) if everywhere else None


def _accepted(listener: socket.socket) -> dict[int, socket.socket]:
  peers: dict[int, socket.socket] = {}
  listener.settimeout(CONNECT_SECONDS)
  while len(peers) < jax.process_count() - 1:
    connection, _ = listener.accept()
    connection.settimeout(CONNECT_SECONDS)
    peers[int.from_bytes(connection.recv(2), "big")] = _kept_alive(connection)
  return peers


def _dialed(port: int) -> socket.socket:
  host = _coordinator().rsplit(":", 1)[0]
  connection = _kept_alive(socket.create_connection((host, port), timeout=CONNECT_SECONDS))
  connection.sendall(_word(jax.process_index()))
  return connection


def _kept_alive(connection: socket.socket) -> socket.socket:
  """Returns a connection that also ends, some seconds later, where the other machine or the network is gone."""
  connection.settimeout(None)
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
  for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
    if hasattr(socket, name):
      connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
  return connection


def _told_by_first(number: int) -> Any:
  return multihost_utils.broadcast_one_to_all(np.int32(number))


def _coordinator() -> str:
  from jax._src import distributed  # there is no public way to know the address that was detected

  return distributed.global_state.coordinator_address or ""


def _word(number: int) -> bytes:
  return number.to_bytes(2, "big")
