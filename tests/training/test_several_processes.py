"""Two real processes that talk over the network, against one."""

import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import chex
import jax
import pytest

from catgen.bounds import bits_per_position
from catgen.interfaces import InputError
from catgen.training.checkpoint import Checkpointer, checkpoint_steps
from catgen.training.distributed import initialize
from tests.addresses import free_address
from tests.killing import run_and_signal
from tests.training.trainer import Setting, build, run_steps

SCRIPT = os.path.join(os.path.dirname(__file__), "toy_run.py")
NUM_STEPS = 200


def test_two_processes_train_as_one_and_stop_together_and_one_goes_on(tmp_path):
  """Parameters are spread over both processes; only the second one is told to stop."""
  address = free_address()

  def start(process):
    command = [sys.executable, SCRIPT, f"--workdir={tmp_path}", f"--num_steps={NUM_STEPS}", "--devices=2", "--fsdp=4"]
    command += [
      f"--coordinator={address}",
      "--num_processes=2",
      f"--process_id={process}",
      "--step_seconds=0.05",
    ]
    return run_and_signal(command, signal.SIGTERM if process else 0, mark="step 6 ")

  with ThreadPoolExecutor(2) as pool:
    ends = list(pool.map(start, (0, 1)))
  stopped = checkpoint_steps(tmp_path)[-1]
  assert 6 <= stopped < NUM_STEPS
  for code, output, errors in ends:
    assert code == 143, output + errors
    assert output.splitlines()[-1] == f"end {stopped}"

  one = build("denoiser", Setting(devices=1))
  state, metrics = run_steps(one, stopped)
  expected = [bits_per_position(-float(step["nats"]), int(step["positions"])) for step in metrics]
  for _, output, _ in ends:
    bits = [float(line.split()[2]) for line in output.splitlines() if line.startswith("step ")]
    assert bits == pytest.approx(expected, rel=2e-4)
  with Checkpointer(tmp_path) as checkpoints:
    restored = checkpoints.restore(one.target)
  chex.assert_trees_all_close(jax.device_get(restored), jax.device_get(state), rtol=5e-3, atol=2e-4)
  _, resumed = run_steps(one, 2, restored)
  _, straight = run_steps(one, 2, state)
  chex.assert_trees_all_close(resumed, straight, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (("localhost:1", None, None), "give all of"),
    ((None, 0, 2), "give all of"),
    (("localhost:1", 2, 2), "give 0 to 1"),
    (("localhost:1", 0, 0), "num_processes is 0"),
    *(((address, 0, 2), '"host:port"') for address in ("localhost", "localhost:", ":1", "a:port", "a:0", "a:99999")),
  ],
)
def test_incomplete_or_impossible_addresses_are_refused(arguments, said):
  with pytest.raises(InputError, match=said):
    initialize(*arguments)


def test_a_port_that_is_taken_is_refused():
  with socket.create_server(("127.0.0.1", 0)) as other:
    address = f"localhost:{other.getsockname()[1]}"
    with pytest.raises(InputError, match=f"process 0 cannot listen at {address} .*: choose another port"):
      initialize(address, 0, 2)
