"""Runs a training command and ends it at a chosen moment, for tests of what is left."""

import subprocess
import threading
from collections.abc import Sequence


def run(command: Sequence[str], timeout: float = 120.0) -> str:
  """Returns the output of a command that must succeed."""
  done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


def run_and_signal(
  command: Sequence[str], number: int, *, mark: str, delay: float = 0.0, timeout: float = 120.0
) -> tuple[int, str, str]:
  """Starts a command and sends it a signal `delay` seconds after it has printed a line that starts with `mark`.

  Returns the exit code (negative where a signal ended it), output and errors. A command that ends before gets none.
  """
  process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  watchdog = threading.Timer(timeout, process.kill)
  watchdog.start()
  lines, timer = [], None
  try:
    for line in process.stdout:
      lines.append(line)
      if timer is None and line.startswith(mark):
        timer = threading.Timer(delay, process.send_signal, (number,))
        timer.start()
    errors = process.stderr.read()
    return process.wait(), "".join(lines), errors
  finally:
    watchdog.cancel()
    if timer is not None:
      timer.join()
    process.kill()
    process.stderr.close()
