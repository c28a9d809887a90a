"""A run in a bucket of a local server that speaks S3, by the real commands: killed twice, and the same as on a disk."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import chex
import pytest

from catgen import paths, remote
from catgen.evaluation import results
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.restoring import restore_params
from tests import stores
from tests.addresses import free_address
from tests.compiling import cached, xla_flags
from tests.tiny_run import ROOT, SIZES, command, words

pytestmark = pytest.mark.slow

STEPS, EVERY = 60, 10
PATIENCE = 600.0  # seconds, for machines that do much else
RUN = "s3://bucket/runs/one"
CHANGES = {
  **SIZES,
  "training.num_steps": STEPS,
  "training.validate_every": STEPS // 2,
  "training.validation_examples": 16,
  "checkpoint.every": EVERY,
}


@pytest.fixture(scope="module")
def bucket():
  with stores.s3() as url:
    yield url


class Machine:
  """Processes with a folder, a home and a place for temporary files of their own."""

  def __init__(self, top):
    self.top, self.places = top, {"cwd": top / "cwd", "HOME": top / "home", "TMPDIR": top / "tmp"}
    for place in self.places.values():
      place.mkdir(parents=True)

  def start(self, script, *arguments, devices=2):
    variables = {
      **os.environ,
      "HOME": str(self.places["HOME"]),
      "TMPDIR": str(self.places["TMPDIR"]),
      "MPLCONFIGDIR": str(self.top / "fonts"),  # Matplotlib's own
      "PYTHONPATH": str(ROOT),
      "XLA_FLAGS": xla_flags(devices),
      **cached(),
    }
    return subprocess.Popen(
      command(script, *arguments),
      env=variables,
      cwd=self.places["cwd"],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )

  def left(self):
    """Returns the files that are on its disk."""
    return [str(path) for place in self.places.values() for path in place.rglob("*") if path.is_file()]


def training(data, workdir):
  settings = [f"--config.{key}={value}" for key, value in CHANGES.items()]
  return ["train", "--config=text_file", f"--config.data.path={data}", f"--workdir={workdir}", *settings]


def done(*processes):
  outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
  assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
  return outputs


def wait_for(there, *processes):
  """Waits until something is there; the processes must live until then."""
  deadline = time.monotonic() + PATIENCE
  while not there():
    assert all(process.poll() is None for process in processes), processes[0].communicate()[0]
    assert time.monotonic() < deadline
    time.sleep(0.02)


def kill(*processes):
  for process in processes:
    process.send_signal(signal.SIGKILL)
  for process in processes:
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_run_in_a_bucket_ends_as_one_on_a_disk_whatever_happens_to_it(bucket, tmp_path):
  """It is killed while it sends a checkpoint, goes on in two processes, is killed again, and goes on in one; a second
  process evaluates it meanwhile. Nothing of it touches a disk but the cache, which is empty at the end."""
  home, cluster = Machine(tmp_path / "home"), Machine(tmp_path / "cluster")
  text = words(tmp_path / "text.txt")
  remote.write("s3://bucket/text.txt", text.read_bytes())
  done(home.start(*training(text, tmp_path / "local")))

  first = cluster.start(*training("s3://bucket/text.txt", RUN))
  wait_for(lambda: paths.exists(f"{RUN}/checkpoints/20.upload-of-1"), first)
  kill(first)
  assert set(checkpoint_steps(RUN)) <= {10, 20}

  join = [f"--coordinator={free_address()}", "--num_processes=2"]
  words_of_two = training("s3://bucket/text.txt", RUN)
  two = [cluster.start(*words_of_two, *join, f"--process_id={i}", devices=1) for i in range(2)]
  reader = Machine(tmp_path / "reader")
  evaluation = reader.start("evaluate", f"--workdir={RUN}", "--step=latest", "--pictures=false")
  wait_for(lambda: paths.exists(f"{RUN}/checkpoints/40.upload-of-2"), *two)
  kill(*two)
  (told,) = done(evaluation)
  assert "written to s3://bucket/runs/one/results.json" in told

  second = cluster.start(*training("s3://bucket/text.txt", RUN))
  refused = cluster.start(*training("s3://bucket/text.txt", RUN))
  with ThreadPoolExecutor(2) as pool:
    outputs = list(pool.map(lambda process: process.communicate(timeout=PATIENCE)[0], (second, refused)))
  ends = {process.returncode: output for process, output in zip((second, refused), outputs, strict=True)}
  assert sorted(ends) == [0, 2], ends
  assert f"{RUN} is in use by process" in ends[2]
  done(reader.start("evaluate", f"--workdir={RUN}", "--step=latest", "--pictures=false"))
  done(home.start("evaluate", f"--workdir={tmp_path / 'local'}", "--step=latest", "--pictures=false"))

  there, here = (restore_params(workdir, "latest") for workdir in (RUN, tmp_path / "local"))
  assert there.step == here.step == STEPS
  chex.assert_trees_all_equal((there.params, there.ema), (here.params, here.ema))
  evaluated, expected = results.read_results(RUN)[-1], results.read_results(tmp_path / "local")[-1]
  assert (evaluated["step"], evaluated["value"]) == (STEPS, expected["value"])
  assert checkpoint_steps(RUN) == checkpoint_steps(tmp_path / "local")
  bits = [
    {line["step"]: line["train/bits"] for line in lines if "train/bits" in line}
    for lines in (
      lines_of(remote.read(f"{RUN}/metrics.jsonl")),
      lines_of((tmp_path / "local/metrics.jsonl").read_bytes()),
    )
  ]
  assert bits[0] == bits[1]
  assert cluster.left() == reader.left() == []


def lines_of(content):
  return [json.loads(line) for line in content.splitlines()]
