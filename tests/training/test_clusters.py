"""What batch systems say to a process, and what is made of it."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.training import clusters, distributed
from tests.addresses import free_address
from tests.tiny_run import ROOT, environment

SLURM = {
  "SLURM_JOB_ID": "4711",
  "SLURM_STEP_NODELIST": "node[07-08]",
  "SLURM_NTASKS": "16",
  "SLURM_PROCID": "11",
  "SLURM_LOCALID": "3",
  "SLURM_NODEID": "1",
  "SLURM_STEP_TASKS_PER_NODE": "8(x2)",
}
MPI = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911", "OMPI_COMM_WORLD_SIZE": "4"}
RANK = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}


@pytest.fixture
def joined(monkeypatch):
  """The processes that JAX was asked to join; nothing is joined."""
  calls = []
  monkeypatch.setattr(jax.distributed, "initialize", lambda *words, **named: calls.append((words, named)))
  monkeypatch.setattr(jax.config, "update", lambda *words: None)
  for name in list(os.environ):
    if name.startswith(("SLURM", "OMPI", "KUBERNETES", "JOB_COMPLETION", "CUDA_VISIBLE", "JAX_LOCAL", "JAX_COORD")):
      monkeypatch.delenv(name)
  return calls


def join(monkeypatch, environment):
  said = []
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  distributed.initialize(say=said.append)
  return said


def test_a_task_of_slurm_joins_and_takes_its_part_of_the_gpus_of_its_host(monkeypatch, joined):
  gpus = ",".join(map(str, range(8)))
  assert join(monkeypatch, {**SLURM, "CUDA_VISIBLE_DEVICES": gpus}) == []
  (words, named) = joined[0]
  assert words == (f"node07:{4711 % 4096 + 61440}", 16, 11)
  assert named["local_device_ids"] == (3,)
  assert (named["heartbeat_timeout_seconds"], named["cluster_detection_method"]) == (100, "deactivate")
  assert named["initialization_timeout"] > 300


def test_processes_of_open_mpi_share_the_gpus_of_their_host(monkeypatch, joined):
  assert join(monkeypatch, {**MPI, **RANK, "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c,GPU-d"}) == []
  assert joined[0][1]["local_device_ids"] == (2, 3)


@pytest.mark.parametrize(
  ("changes", "lines"),
  [
    (dict.fromkeys(SLURM), 0),  # no cluster
    ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, 0),  # one task: nobody to join, and all GPUs are its own
    ({"SLURM_STEP_NODELIST": None, "SLURM_PROCID": None, "SLURM_LOCALID": None}, 0),  # salloc without srun
    ({"SLURM_JOB_ID": "a", "SLURM_NTASKS": "2"}, 1),
    ({"SLURM_NTASKS": ""}, 1),
    ({**dict.fromkeys(SLURM), **MPI}, 1),  # a KeyError in JAX
    ({**dict.fromkeys(SLURM), **MPI, **RANK, "OMPI_MCA_orte_hnp_uri": "0.0;unix://x"}, 1),  # a RuntimeError
    ({**dict.fromkeys(SLURM), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 0),  # one pod, such as a notebook
    ({**dict.fromkeys(SLURM), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}, 1),
  ],
)
def test_where_there_is_no_cluster_to_join_a_process_stays_alone(monkeypatch, joined, changes, lines):
  found = {name: value for name, value in {**SLURM, **changes}.items() if value is not None}
  said = join(monkeypatch, found)
  assert (len(said), joined) == (lines, [])
  assert all("\n" not in line and "works alone" in line for line in said)


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("metadata"), NotImplementedError(), ValueError()])
def test_any_error_of_detection_leaves_a_process_alone(monkeypatch, joined, error):
  def detect(seconds):
    raise error

  monkeypatch.setattr(clusters, "_asked", detect)
  assert len(join(monkeypatch, {})) == 1
  assert joined == []


def test_jax_still_detects_clusters_by_the_function_that_is_asked(monkeypatch, joined):
  for name, value in SLURM.items():
    monkeypatch.setenv(name, value)
  assert clusters._asked(1)[1:] == (16, 11)


@pytest.mark.parametrize(
  ("message", "raises"), [("initialize() must be called before any JAX calls", False), ("DEADLINE", True)]
)
def test_a_notebook_that_has_used_a_device_stays_alone_and_others_get_the_error(monkeypatch, joined, message, raises):
  def fail(*words, **named):
    raise RuntimeError(message)

  monkeypatch.setattr(jax.distributed, "initialize", fail)
  if not raises:
    assert join(monkeypatch, SLURM) == []
    return
  with pytest.raises(RuntimeError, match=message):
    join(monkeypatch, SLURM)


@pytest.mark.parametrize("name", ["heartbeat_seconds", "join_seconds"])
def test_times_are_positive(name):
  with pytest.raises(InputError, match=f"{name} is 0"):
    distributed.initialize(**{name: 0})


@pytest.mark.parametrize(
  ("visible", "number"),
  [("", 0), ("0", 1), ("3,1", 2), ("-1", 0), ("0,-1,2", 1), ("NoDevFiles", 0), ("MIG-a, MIG-b", 2)],
)
def test_what_cuda_shows_is_counted_as_cuda_counts(visible, number):
  assert len(clusters.open_gpus({"CUDA_VISIBLE_DEVICES": visible})) == number


@pytest.mark.parametrize(
  ("tasks", "node", "number", "changes", "shares"),
  [
    ("1(x4)", 3, 8, {}, [tuple(range(8))]),  # one task of a host takes all
    ("2,4", 1, 8, {}, [(0, 1), (2, 3), (4, 5), (6, 7)]),
    ("3", 0, 8, {}, [(0, 1), (2, 3), (4, 5)]),  # two stay idle, of which there is a warning
    ("4", 0, 1, {}, [None] * 4),  # each sees its own
    ("2", 0, 4, {"SLURM_GPUS_PER_TASK": "4"}, [None, None]),
    ("2", 0, 4, {"SLURM_TRES_PER_TASK": "cpu:8,gres/gpu:4"}, [None, None]),
    ("2", 0, 4, {"SLURM_TRES_BIND": "gres/gpu:none"}, [(0, 1), (2, 3)]),
    ("2", 0, 4, {"JAX_LOCAL_DEVICE_IDS": "1"}, [None, None]),
    ("2", 0, 0, {}, [None, None]),
    ("", 0, 4, {}, [None]),
  ],
)
def test_processes_of_a_host_share_its_gpus(tasks, node, number, changes, shares):
  for rank, share in enumerate(shares):
    found = {"SLURM_LOCALID": str(rank), "SLURM_NODEID": str(node), "SLURM_STEP_TASKS_PER_NODE": tasks, **changes}
    assert clusters.own_gpus(found, number) == share


@pytest.mark.parametrize(
  ("rows", "idle"),
  [
    ([[7, 8, 8, 0]], (0, 8, 1)),
    ([[7, 1, 8, 0]], (7, 8, 1)),
    ([[7, 0, 0, 0]], (0, 0, 1)),  # a machine without GPUs
    ([[7, 4, 8, 0], [7, 4, 8, 0], [9, 4, 8, 0], [9, 2, 8, 0]], (2, 8, 2)),
    ([[7, 1, 1, 1], [7, 1, 1, 1], [9, 1, 1, 1], [9, 1, 1, 1]], (0, 2, 2)),
    ([[7, 1, 4, 1], [7, 4, 4, 1]], (3, 8, 1)),
  ],
)
def test_idle_gpus_are_those_of_the_host_that_has_most(rows, idle):
  assert clusters.idle_gpus(np.array(rows, np.int32)) == idle


def test_a_machine_without_gpus_has_no_warning_and_one_whose_gpus_jax_cannot_use_has():
  use = clusters.in_use()
  assert (use.devices, use.hosts, use.processes, use.hidden) == (8, 1, 1, 0)
  assert clusters.described(use) == "8 devices (cpu)"
  assert clusters.warning_of(use._replace(idle=0, usable=0)) is None
  assert "install catgen[cuda12]" in clusters.warning_of(use._replace(idle=8, usable=8))
  some = clusters.InUse(5, "NVIDIA H200", 1, 1, 3, 8, 0)
  assert clusters.warning_of(some).startswith("warning: 3 of the 8 GPUs of a host stay idle")


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_whose_others_do_not_come_ends_in_one_line(number):
  """Without this JAX ends it from C++, with pages."""
  words = [f"--coordinator={free_address()}", f"--process_id={number}", "--num_processes=2", "--join_seconds=3"]
  started = time.monotonic()
  ended = subprocess.run(
    [sys.executable, "-m", "launch.check", *words], cwd=ROOT, env=environment(), capture_output=True, text=True
  )
  assert time.monotonic() - started < 60
  assert (ended.returncode, ended.stdout) == (2, "")
  assert ended.stderr.startswith(f"error: process {number} of 2 has not found the others")
  assert ended.stderr.count("\n") == 1


def two_processes(program):
  """Starts a program in two processes that have joined; its `rank` is 0 or 1."""
  address = free_address()
  begin = (
    "import os, signal, sys\n"
    "from catgen.training.distributed import initialize\n"
    "rank = int(sys.argv[2])\n"
    "initialize(sys.argv[1], rank, 2)\n"
  )
  return [
    subprocess.Popen(
      [sys.executable, "-c", begin + program, address, str(number)],
      cwd=ROOT,
      env={**environment(), "PYTHONPATH": str(ROOT)},
      stdin=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in (0, 1)
  ]


@pytest.mark.slow
def test_a_signal_before_the_first_step_ends_one_of_several_processes():
  """JAX's preemption service would take it and say nothing."""
  running = two_processes("if rank: os.kill(os.getpid(), signal.SIGTERM)\nos.read(0, 1)\n")
  try:
    assert running[1].wait(timeout=60) == -signal.SIGTERM
  finally:
    for process in running:
      process.kill()
      process.communicate()


@pytest.mark.slow
def test_a_process_that_is_killed_is_noticed_long_before_its_heartbeat_is_missed():
  running = two_processes(
    "from catgen.training import peers\n"
    "with peers.watched(lambda: 'the same command goes on'):\n"
    "  print('watched', file=sys.stderr, flush=True)\n"
    "  os.read(0, 1)\n"
  )
  try:
    for process in running:
      assert any("watched" in line for line in process.stderr)
    started = time.monotonic()
    running[1].kill()
    assert running[0].wait(timeout=60) == 1
    assert time.monotonic() - started < 10
    last = running[0].stderr.read().splitlines()[-1]
    assert last.startswith("error: process 1 of the run has been gone since")
  finally:
    for process in running:
      process.kill()
      process.communicate()
