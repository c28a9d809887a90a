"""Clusters: which processes belong together, which GPUs of its host each takes, and what of the hosts is in use.

JAX knows Slurm, Open MPI, Cloud TPU and Kubernetes. Under Slurm and Open MPI it gives each process one GPU, whatever
was asked for; here the processes of a host share all that they may open.
"""

import os
import re
import socket
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from catgen.paths import names_in


class Cluster(NamedTuple):
  """How a process finds the others."""

  coordinator: str  # host:port of process 0
  num_processes: int
  process_id: int
  gpus: tuple[int, ...] | None  # which of those that it may open; None = all, or what JAX_LOCAL_DEVICE_IDS says


def detected(seconds: int, say: Callable[[str], None]) -> Cluster | None:
  """Returns what JAX detects, None where a process is alone: outside a cluster, or where that cannot be read.

  Args:
    seconds: that a host of the cluster may take to be found.
    say: receives a line where what looks like a cluster does not say enough to join its processes.
  """
  try:
    with warnings.catch_warnings(record=True) as told:
      warnings.simplefilter("always")
      coordinator, number, own = _asked(seconds)
  except Exception as error:  # of its environment, its metadata server, its API, or a package
    say(f"this looks like a cluster, but its processes cannot be joined ({_shown(error)}); this one works alone")
    return None
  if coordinator is None or number is None or own is None:
    if told and "JOB_COMPLETION_INDEX" in os.environ:
      say(
        "this looks like an indexed job of Kubernetes, whose processes are not joined; this one works alone: give"
        " --coordinator, --process_id and --num_processes, or pip install kubernetes"
      )
    return None
  gpus = own_gpus(os.environ, len(open_gpus(os.environ)))
  return Cluster(coordinator, int(number), int(own), gpus) if number > 1 else None


def _asked(seconds: int) -> tuple[str | None, int | None, int | None]:
  from jax._src import clusters  # the public way joins at once, and its errors do not say whether it has tried to

  found = clusters.ClusterEnv.auto_detect_unset_distributed_params(None, None, None, (), None, seconds)
  return found[0], found[1], found[2]


def _shown(error: Exception) -> str:
  return " ".join(repr(error).split())[:300]


def open_gpus(environment: Mapping[str, str]) -> list[str]:
  """Returns the GPUs of NVIDIA that a process may open: what CUDA_VISIBLE_DEVICES names, or all of this host."""
  named = environment.get("CUDA_VISIBLE_DEVICES")
  if named is None:
    return host_gpus()
  found: list[str] = []
  for name in map(str.strip, named.split(",")):  # CUDA stops at the first that is none
    if not name or name.startswith("-") or name == "NoDevFiles":
      break
    found.append(name)
  return found


def host_gpus() -> list[str]:
  """Returns the GPUs of NVIDIA that this host, or this container, has."""
  return sorted(name for name in device_files() if re.fullmatch(r"nvidia\d+", name))


def device_files() -> list[str]:
  """Returns the names of the files of devices of this host or container, none where they cannot be read."""
  try:
    return names_in("/dev")
  except OSError:
    return []


def own_gpus(environment: Mapping[str, str], number: int) -> tuple[int, ...] | None:
  """Returns which of the GPUs that it may open a process of Slurm or Open MPI takes.

  The processes of a host share them equally and in order. Where the batch system has given each its own, a process
  takes all that it may open, which is None.

  Args:
    environment: variables of the process.
    number: of GPUs that it may open.

  Example:
    >>> slurm = {"SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "2(x3)"}
    >>> own_gpus(slurm, 8)
    (4, 5, 6, 7)
    >>> own_gpus({**slurm, "SLURM_GPUS_PER_TASK": "4"}, 4) is None
    True
  """
  if number == 0 or "JAX_LOCAL_DEVICE_IDS" in environment:
    return None
  try:
    rank, processes = _place(environment)
  except (KeyError, ValueError, IndexError):
    return None
  if processes > number or _are_bound(environment):
    return None
  share = number // processes
  return tuple(range(rank * share, (rank + 1) * share))


def _place(environment: Mapping[str, str]) -> tuple[int, int]:
  """Returns the number of a process on its host, and how many there are."""
  if "SLURM_LOCALID" not in environment:
    return int(environment["OMPI_COMM_WORLD_LOCAL_RANK"]), int(environment["OMPI_COMM_WORLD_LOCAL_SIZE"])
  numbers: list[int] = []  # of the processes of each host; 2(x3),1 means 2, 2, 2, 1
  for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment["SLURM_STEP_TASKS_PER_NODE"]):
    numbers += [int(tasks)] * int(times or 1)
  return int(environment["SLURM_LOCALID"]), numbers[int(environment["SLURM_NODEID"])]


def _are_bound(environment: Mapping[str, str]) -> bool:
  """Returns whether Slurm has given each process its own GPUs."""
  if "gpu" in environment.get("SLURM_TRES_PER_TASK", "") or "SLURM_GPUS_PER_TASK" in environment:
    return True
  bound = environment.get("SLURM_GPU_BIND", environment.get("SLURM_TRES_BIND", ""))
  return bool(bound) and not bound.endswith("none")


class InUse(NamedTuple):
  """What of the hosts the processes of a command use."""

  devices: int
  kind: str  # as JAX names it, "NVIDIA H100 80GB HBM3"
  hosts: int
  processes: int
  idle: int  # GPUs that processes may open and none uses, of the host that has most of them
  usable: int  # by the processes of that host
  hidden: int  # GPUs of this host that CUDA_VISIBLE_DEVICES leaves out


def in_use() -> InUse:
  """Returns what is used; all processes call it together."""
  alone = jax.process_count() == 1
  platform = jax.local_devices()[0].platform
  visible = [] if platform == "tpu" or _chosen_away(os.environ) else open_gpus(os.environ)
  used = jax.local_device_count() if platform not in ("tpu", "cpu") else 0
  host = zlib.crc32(socket.gethostname().encode()) % 2**31
  mine = np.array([host, used, len(visible), int(_are_bound(os.environ))], np.int32)
  rows = mine[None] if alone else np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, len(mine))
  hidden = len(host_gpus()) - len(visible) if used and "CUDA_VISIBLE_DEVICES" in os.environ else 0
  kind = jax.devices()[0].device_kind
  idle, usable, hosts = idle_gpus(rows)
  return InUse(jax.device_count(), kind, hosts, jax.process_count(), idle, usable, max(0, hidden))


def idle_gpus(rows: np.ndarray) -> tuple[int, int, int]:
  """Returns the idle GPUs of the host that has most of them, how many it has, and the number of hosts.

  Args:
    rows: int [processes, 4]: host, GPUs in use, GPUs that may be opened, whether these are its own.
  """
  worst, hosts = (0, 0), np.unique(rows[:, 0])
  for host in hosts:
    _, used, visible, own = rows[rows[:, 0] == host].T
    usable = int(visible.sum() if own.all() or (visible < len(visible)).any() else visible.max())
    worst = max(worst, (usable - int(used.sum()), usable))
  return max(0, worst[0]), worst[1], len(hosts)


def _chosen_away(environment: Mapping[str, str]) -> bool:
  """Returns whether the user wants no GPU."""
  wanted = environment.get("JAX_PLATFORMS", "")
  return bool(wanted) and not re.search("cuda|gpu", wanted)


def described(use: InUse) -> str:
  """Returns how much is used, in words.

  >>> described(InUse(16, "NVIDIA H200", 2, 2, 0, 8, 0))
  '16 devices (NVIDIA H200) of 2 hosts, 2 processes'
  """
  where = "" if use.processes == 1 else f" of {_many(use.hosts, 'host')}, {_many(use.processes, 'process')}"
  beside = f"; CUDA_VISIBLE_DEVICES leaves out {use.hidden} more of this host" if use.hidden else ""
  return f"{_many(use.devices, 'device')} ({use.kind}){where}{beside}"


def warning_of(use: InUse) -> str | None:
  """Returns a line where GPUs stay idle, None where none does."""
  if not use.idle:
    return None
  remedy = "install catgen[cuda12] or catgen[cuda13]" if use.kind == "cpu" else "start one process for all of them, or"
  if use.kind != "cpu":
    remedy += " so many that they divide them; without JAX_LOCAL_DEVICE_IDS all are used"
  return f"warning: {use.idle} of the {use.usable} GPUs of a host stay idle: {remedy}"


def _many(number: int, what: str) -> str:
  return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"
