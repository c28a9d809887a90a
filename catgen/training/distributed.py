"""Several processes: joining them, and agreeing on when to stop."""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from catgen.interfaces import InputError
from catgen.training import clusters
from catgen.training.sharding import batch_sharding

_MESSAGE = 4096  # bytes, at least, of what one process tells the others
_DAY = 86_400  # seconds
_NOT_MET = 1  # exit code of a process whose others are not there, as where one is gone: the same command may go on
HEARTBEAT_SECONDS, JOIN_SECONDS = 100, 300  # as JAX has them
_SLACK_SECONDS = 30  # that JAX waits longer than this does: it ends a process by pages of messages


def initialize(
  coordinator: str | None = None,
  process_id: int | None = None,
  num_processes: int | None = None,
  *,
  heartbeat_seconds: int = HEARTBEAT_SECONDS,
  join_seconds: int = JOIN_SECONDS,
  say: Callable[[str], None] = print,
) -> None:
  """Joins the processes of a run; call it before anything uses a device.

  Without the first three, processes are joined where JAX detects a cluster (Slurm, Cloud TPU, Open MPI, Kubernetes);
  elsewhere this process stays alone, and so does one that has used a device before, as in a notebook.

  A SIGTERM is left to this process: JAX's preemption service would swallow those that come before the first step.

  Args:
    coordinator: "host:port" of process 0.
    process_id: of this process, in [0, num_processes).
    num_processes: of all.
    heartbeat_seconds: a process silent for so many seconds counts as dead, and the others end; see `peers` for what
      notices an end at once.
    join_seconds: so long the processes may take to find one another. Then this one ends, with exit code 1.
    say: receives a line where what looks like a cluster does not say enough to join its processes.

  Raises:
    InputError: some of the three are given and others are not, or a number is out of range; or something else listens
      where process 0 was to.
  """
  for name, seconds in (("heartbeat_seconds", heartbeat_seconds), ("join_seconds", join_seconds)):
    if not 1 <= seconds <= _DAY:
      raise InputError(f"{name} is {seconds}; give 1 to {_DAY:,}")
  if coordinator is None and process_id is None and num_processes is None:
    cluster = clusters.detected(join_seconds, say)
  elif coordinator is None or process_id is None or num_processes is None:
    raise InputError("give all of coordinator, process_id and num_processes, or none of them")
  else:
    cluster = clusters.Cluster(coordinator, num_processes, process_id, None)
    _check(cluster)
  if cluster is None:
    return
  _check_port(cluster)
  jax.config.update("jax_enable_preemption_service", False)
  try:
    with _ended_after(join_seconds, cluster):
      jax.distributed.initialize(
        cluster.coordinator,
        cluster.num_processes,
        cluster.process_id,
        local_device_ids=cluster.gpus,
        cluster_detection_method="deactivate",
        initialization_timeout=join_seconds + _SLACK_SECONDS,
        heartbeat_timeout_seconds=heartbeat_seconds,
      )
  except RuntimeError as error:
    if coordinator is not None or "must be called before" not in str(error):
      raise


def _check(cluster: clusters.Cluster) -> None:
  """Raises InputError where what a user gives cannot be."""
  number, own = cluster.num_processes, cluster.process_id
  if number < 1:
    raise InputError(f"num_processes is {number}; give 1 or more")
  if not 0 <= own < number:
    raise InputError(f"process_id is {own}; with num_processes = {number} give 0 to {number - 1}")
  host, _, port = cluster.coordinator.rpartition(":")
  if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
    raise InputError(f'coordinator is {cluster.coordinator!r}; give "host:port" of process 0')


def _check_port(cluster: clusters.Cluster) -> None:
  """Raises InputError where process 0 cannot listen, which JAX would answer with a traceback, or a crash at the end."""
  if cluster.process_id or "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
    return
  both = socket.has_dualstack_ipv6()
  try:
    with socket.socket(socket.AF_INET6 if both else socket.AF_INET) as probe:
      probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      if both:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
      probe.bind(("", int(cluster.coordinator.rpartition(":")[2])))
  except OSError as error:
    raise InputError(
      f"process 0 cannot listen at {cluster.coordinator} ({error.strerror}): choose another port"
    ) from error


@contextlib.contextmanager
def _ended_after(seconds: int, cluster: clusters.Cluster) -> Iterator[None]:
  """Ends the process, with a line, where the block takes longer: what JAX does in C++ cannot be left otherwise."""

  def end() -> None:
    line = (
      f"error: process {cluster.process_id} of {cluster.num_processes} has not found the others at"
      f" {cluster.coordinator} within {seconds} s: start the command on all of them, and see that this address can be"
      " reached; --join_seconds waits longer\n"
    )
    os.write(2, line.encode())
    os._exit(_NOT_MET)

  timer = threading.Timer(seconds, end)
  timer.daemon = True
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


def first_does(action: Callable[[], object]) -> None:
  """Runs something on the first process alone. All processes must call it; what goes wrong there is raised on all.

  Raises:
    InputError: as the action did.
  """

  def silently() -> bytes:
    action()
    return b""

  first_tells(silently)


def first_tells(find: Callable[[], bytes]) -> bytes:
  """Returns on all processes what the first one finds: of files that may change, or that only it can see.

  Raises:
    InputError: as `find` did there; on the others also for any other error.
  """
  if jax.process_count() == 1:
    return find()
  found, problem = b"", None
  if jax.process_index() == 0:
    try:
      found = find()
    except Exception as error:  # the others wait for word of it
      found, problem = str(error).encode(), error
  header = np.array([len(found), problem is not None], np.int32)
  length, failed = np.asarray(multihost_utils.broadcast_one_to_all(header)).tolist()
  told = b""
  if length:
    room = _room(length)
    message = np.frombuffer(found.ljust(room, b"\0")[:room], np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(message)).tobytes()[:length]
  if problem is not None:
    raise problem
  if failed:
    raise InputError(told.decode("utf-8", "replace"))
  return told


def all_tell(text: str) -> list[str]:
  """Returns what each process says, by its number; all must call it. Where all say the same, one exchange is enough."""
  if jax.process_count() == 1:
    return [text]
  own = text.encode()
  header = np.frombuffer(hashlib.sha256(own).digest() + len(own).to_bytes(4, "little"), np.int32)
  headers = np.asarray(multihost_utils.process_allgather(header)).reshape(-1, len(header))
  if (headers == headers[0]).all():
    return [text] * len(headers)
  lengths = headers[:, -1].tolist()
  message = np.frombuffer(own.ljust(_room(max(lengths)), b"\0"), np.uint8)
  messages = np.asarray(multihost_utils.process_allgather(message)).reshape(-1, len(message))
  return [row.tobytes()[:length].decode() for row, length in zip(messages, lengths, strict=True)]


def _room(length: int) -> int:
  """Returns how long a message is made, at least as long as it is: of few sizes, so that few programs are compiled."""
  return max(_MESSAGE, 1 << (length - 1).bit_length())


def worst(code: int) -> int:
  """Returns the largest of the numbers that all processes call this with: 0 where it went well on all."""
  if jax.process_count() == 1:
    return code
  return int(np.asarray(multihost_utils.process_allgather(np.int32(code))).max())


def make_agreement(mesh: Mesh) -> Callable[[int], jax.Array | int]:
  """Returns a function of this process's number (>= 0) giving the largest of all processes, read by `int(...)`.

  All processes of the mesh must call it equally often. It starts a reduction and does not wait for it, so that
  reading the answer one step later costs nothing.
  """
  if jax.process_count() == 1:
    return lambda number: number
  spread = batch_sharding(mesh)
  largest = jax.jit(lambda x: x.max(), out_shardings=NamedSharding(mesh, PartitionSpec()))

  def agree(number: int) -> jax.Array:
    mine = np.full(len(mesh.local_devices), number, np.int32)
    return largest(jax.make_array_from_process_local_data(spread, mine))

  return agree


class Stop:
  """What any of the processes was asked for, the same on all of them: called, it gives the largest number so far.

  All processes must call it equally often. Of several what one is asked for is known at the call after: reading it then
  keeps no device waiting.
  """

  number = 0  # of the signal, or 0 while there was none, as of the last call

  def __init__(self, mesh: Mesh | None, asked: Callable[[], int]):
    """Listens.

    Args:
      mesh: of all processes; None where there is one.
      asked: () -> what this process was asked for, a signal's number, or 0.
    """
    self._asked = asked
    self._agree = None if mesh is None or jax.process_count() == 1 else make_agreement(mesh)
    self._before: Any = 0

  def __call__(self) -> int:
    """Returns the number."""
    if self._agree is None:
      heard = self._asked()
    else:
      heard, self._before = int(self._before), self._agree(self._asked())
    self.number = max(self.number, heard)
    return self.number

  @property
  def exit_code(self) -> int:
    """128 + the number of the signal; 0 where there was none."""
    return 128 + self.number if self.number else 0
