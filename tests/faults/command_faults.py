"""Faults of a run that is evaluated, or sampled from."""

import contextlib
import hashlib
import signal
import time

from tests.faults.checks import no_traceback
from tests.faults.scene import Lost, Running, Scene, by_name
from tests.faults.training_faults import NOT_HERE, Fault
from tests.tiny_run import command

FOR_SAMPLES = ["--num_samples=96", "--batch_size=8", "--seed=3"]


def evaluating(scene: Scene) -> Running:
  """Starts an evaluation and waits for a random moment of it."""
  running = scene.start(command("evaluate", f"--workdir={scene.workdir}"))
  _random_moment(scene, running)
  return running


def sampling(scene: Scene) -> Running:
  """Starts to draw samples into a file and waits for a random moment of it."""
  output = scene.folder / ("samples.npy" if scene.subject.name == "maps" else "samples.txt")
  running = scene.start(command("sample", f"--workdir={scene.workdir}", f"--output={output}", *FOR_SAMPLES))
  _random_moment(scene, running)
  return running


def _random_moment(scene: Scene, running: Running) -> None:
  until = running.began_at + scene.rng.uniform(0.5, 5.0)
  while time.monotonic() < until and not running.ended:
    time.sleep(0.002)


def killed(begin) -> Fault:
  """Returns the fault that a command is killed."""

  def fault(scene: Scene) -> str:
    before = _content(scene)
    running = begin(scene)
    running.send(signal.SIGKILL)
    code = running.wait()
    no_traceback(running)
    _unharmed(scene, before)
    return f"ended while {begin.__name__}" if code else "came after the end"

  return fault


def stopped(begin) -> Fault:
  """Returns the fault that a command is told to stop, by one of the signals for it."""

  def fault(scene: Scene) -> str:
    before, number = _content(scene), scene.rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    running = begin(scene)
    silent, done = not running.said, running.ended or "written to" in running.said
    running.send(number)
    code = running.wait()
    if not (silent and number == signal.SIGINT):
      no_traceback(running)
    _unharmed(scene, before)
    if silent and code != 0:
      return f"ended while Python was loading, exit code {code}"
    if code == 0 and not done:
      raise Lost(f"{by_name(number)} was not heard: {running.said[-2000:]}")
    if code == 0:
      return "came after the end"
    if code not in (-number, 128 + number):
      raise Lost(f"exit code {code}: {running.said[-2000:]}")
    return f"kept what it had and ended while {begin.__name__}" if "stopped" in running.said else "ended"

  return fault


def without_room(begin) -> Fault:
  """Returns the fault that the disk is full, or read-only, while a command works."""

  def fault(scene: Scene) -> str:
    before = _content(scene)
    blocked = scene.rng.choice([scene.full_disk, scene.read_only])
    if blocked == scene.read_only and not scene.can_be_read_only:
      return f"{NOT_HERE}root, who may write everywhere, may not mount here"
    with contextlib.ExitStack() as stack:
      early = scene.rng.random() < 0.5
      if early:
        stack.enter_context(blocked())
      running = begin(scene)
      if not early:
        stack.enter_context(blocked())
      code = running.wait()
    no_traceback(running)
    _unharmed(scene, before)
    if code not in (0, 2):
      raise Lost(f"exit code {code}: {running.said[-2000:]}")
    return "shown" if code == 0 else "ended in one line"

  return fault


def _content(scene: Scene) -> dict[str, str]:
  """Returns what evaluation and sampling may not change: all but results, scores and pictures."""
  kept = [scene.workdir / "config.json", scene.workdir / "metrics.jsonl"]
  kept += [path for path in (scene.workdir / "checkpoints").rglob("*") if path.is_file()]
  return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def _unharmed(scene: Scene, before: dict[str, str]) -> None:
  if _content(scene) != before:
    raise Lost("the run's own files have changed")
