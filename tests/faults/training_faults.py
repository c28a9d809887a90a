"""Faults of a run that trains. Each returns in a few words what came of it, and raises Lost where something is lost."""

import contextlib
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable

from tests.faults import moments
from tests.faults.checks import no_traceback, nothing_lost
from tests.faults.scene import Lost, Running, Scene, by_name

Fault = Callable[..., str]  # of a scene
Moment = Callable[[Scene], Running]
_LAST_STEPS = 200  # in which a signal may come when all is done but the writing
NOT_HERE = "left out: "  # how the outcome begins of a fault that this machine does not allow


def kill(scene: Scene, moment: Moment | None = None) -> str:
  """SIGKILL, at a moment drawn from all unless it is given."""
  moment = moment or scene.rng.choice(moments.MOMENTS)
  running = moment(scene)
  _killed(scene, running)
  return f"ended while {moment.__name__}"


def told_to_stop(number: int) -> Fault:
  """Returns the fault that a process is told to stop by a signal."""

  def fault(scene: Scene) -> str:
    moment = scene.rng.choice(moments.MOMENTS)
    running, reached = moment(scene), scene.newest
    silent = not running.said  # nothing of catgen's has run yet
    running.send(number)
    code = running.wait()
    if not (silent and number == signal.SIGINT):
      no_traceback(running)
    nothing_lost(scene, reached)
    if silent and code != 0:  # as Python or a library then ends, by a crash of theirs too
      return f"ended while Python was loading, exit code {code}"
    if code == 0 and reached < scene.subject.num_steps - _LAST_STEPS:
      raise Lost(f"{by_name(number)} after step {reached} was not heard")
    if code == 0:
      return "came after the end"
    if code == 128 + number and running.has_begun:
      if not running.last_line.startswith(f"stopped; the same command goes on at step {scene.newest}"):
        raise Lost(f"the newest checkpoint is of step {scene.newest}, and it said: {running.last_line}")
      return f"saved and ended while {moment.__name__}"
    ended = scene.newest == scene.subject.num_steps
    early = not running.has_begun or all(step <= running.first_step for _, step in scene.lines())
    if code in (-number, 128 + number) and (ended or early):
      return f"ended {'after its last step' if ended else 'before its first step'}"
    raise Lost(f"exit code {code} after {by_name(number)}: {running.said[-2000:]}")

  return fault


def told_to_save(scene: Scene, moment: Moment | None = None) -> str:
  """SIGUSR1, at a moment drawn from all unless it is given."""
  moment = moment or scene.rng.choice(moments.MOMENTS)
  running, before = moment(scene), scene.newest
  silent = not running.said
  running.send(signal.SIGUSR1)
  if not scene.until(lambda: scene.newest > before, running, 30.0) and running.ended:
    if silent and running.wait() == -signal.SIGUSR1:
      return "ended while Python was loading"
    if running.wait() != 0:
      raise Lost(f"SIGUSR1 ended it with {running.wait()}: {running.said[-2000:]}")
  no_traceback(running)
  nothing_lost(scene, before)
  return f"went on while {moment.__name__}"


def full_disk(scene: Scene) -> str:
  """No room, or hardly any, for a while; then there is, or the process is killed meanwhile."""
  moment = scene.rng.choice(moments.UNDER_WAY)
  running, reached = moment(scene), scene.newest
  with scene.full_disk():
    killed = _bears(scene, running, reached)
  return _afterwards(scene, running, killed)


def read_only(scene: Scene) -> str:
  """The folder cannot be written for a while."""
  if not scene.can_be_read_only:
    return f"{NOT_HERE}root, who may write everywhere, may not mount here"
  moment = scene.rng.choice(moments.UNDER_WAY)
  running, reached = moment(scene), scene.newest
  with scene.read_only():
    killed = _bears(scene, running, reached)
  return _afterwards(scene, running, killed)


def started_without_room(scene: Scene) -> str:
  """It is started on a full disk, or in a read-only folder: one line, and nothing is changed."""
  _killed(scene, scene.stepping())
  before, blocked = scene.newest, scene.read_only if scene.can_be_read_only else scene.full_disk
  with scene.rng.choice([scene.full_disk, blocked])():
    running = scene.training
    deadline = time.monotonic() + scene.rng.uniform(4.0, 8.0)
    while not running.ended and time.monotonic() < deadline:
      time.sleep(0.05)
    ended = running.ended
    if ended:
      _refused(running)
  no_traceback(running)
  nothing_lost(scene, before)
  return "ended in one line" if ended else "went on"


def vanished(scene: Scene) -> str:
  """A file or folder of the work directory is deleted, while training or between two processes."""
  name = scene.rng.choice(["metrics.jsonl", "config.json", "newest checkpoint", "lock.json", "tensorboard"])
  running = scene.rng.choice(moments.UNDER_WAY)(scene)
  between = scene.rng.random() < 0.5
  if between:
    _killed(scene, running)
  path = scene.workdir / ("checkpoints" if name == "newest checkpoint" else name)
  path = path / str(scene.newest) if name == "newest checkpoint" else path
  if name == "metrics.jsonl":
    scene.excused |= set(scene.lines())
  with contextlib.suppress(FileNotFoundError):
    shutil.rmtree(path) if path.is_dir() else path.unlink()
  if not between:
    _goes_on(scene, running)
  return f"{name} {'between' if between else 'while training'}: went on"


def damaged(scene: Scene) -> str:
  """A file is cut short or overwritten between two processes."""
  _killed(scene, scene.rng.choice(moments.UNDER_WAY)(scene))
  name = scene.rng.choice(["metrics.jsonl", "config.json", "newest checkpoint", "lock.json"])
  path = _some_file(scene) if name == "newest checkpoint" else scene.workdir / name
  if path is None or not path.exists():
    return f"{name}: there was none"
  before = path.read_bytes()
  how = scene.rng.choice([_cut, _overwritten])
  lines = set(scene.lines())
  how(scene, path)
  if name == "metrics.jsonl":
    scene.excused |= lines - set(scene.lines())
  if name == "config.json" and path.read_bytes() != before:
    running = scene.training
    if running.wait() != 2 or "config.json" not in _refused(running):
      raise Lost(f"a damaged config.json: {running.said[-2000:]}")
    path.write_bytes(before)
  running = scene.stepping()
  _goes_on(scene, running)
  return f"{name} {how.__name__.removeprefix('_')}: went on"


def picture_is_a_folder(scene: Scene) -> str:
  """Where a picture belongs is a folder."""
  running = scene.rng.choice(moments.UNDER_WAY)(scene)
  path = scene.workdir / scene.rng.choice(["validation_samples.png", "loss_curve.png"])
  path.unlink(missing_ok=True)
  path.mkdir()
  (path / "in the way").touch()
  newest = scene.newest
  scene.until(lambda: scene.newest >= newest + 100, running, 30.0)
  _goes_on(scene, running)
  shutil.rmtree(path)
  return "went on"


def two_writers(scene: Scene) -> str:
  """A second process for the same folder: at once, or later; one goes on, the other ends in one line."""
  if scene.rng.random() < 0.5:
    _killed(scene, scene.stepping())
  first, reached = scene.training, scene.newest
  time.sleep(scene.rng.uniform(0.0, 1.0))
  second = scene.start(scene.subject.training(scene.workdir))
  scene.until(lambda: second.ended, first, 90.0)
  refused, other = (second, first) if second.ended else (first, second)
  if refused.wait(5.0) != 2 or "is in use by" not in _refused(refused):
    raise Lost(f"exit code {refused.wait()}: {refused.said[-2000:]}")
  scene.group = [other]
  _goes_on(scene, other)
  nothing_lost(scene, reached)
  return "the second was refused" if refused is second else "the first was refused"


def dead_peer(scene: Scene) -> str:
  """One process of several is killed: the others end; the same commands go on."""
  scene.rng.choice(moments.MOMENTS)(scene)
  reached, dead = scene.newest, scene.rng.randrange(len(scene.group))
  began = all(each.has_begun for each in scene.group)
  scene.group[dead].send(signal.SIGKILL)
  killed_at = time.monotonic()
  for number, each in enumerate(scene.group):
    code = each.wait(90.0 if began else 400.0)
    if code == 0 and number != dead and scene.newest < scene.subject.num_steps:
      raise Lost("the other went on alone")
  nothing_lost(scene, reached)
  return f"the other ended within {10 * (1 + int((time.monotonic() - killed_at) / 10))} s"


def _killed(scene: Scene, running: Running) -> None:
  """Kills a process, and checks what it leaves."""
  reached = scene.newest
  for each in scene.group:
    each.send(signal.SIGKILL)
  for each in scene.group:
    each.wait()
    no_traceback(each)
  nothing_lost(scene, reached)


def _bears(scene: Scene, running: Running, reached: int) -> bool:
  """Waits out a fault under which a process must live on, or, by chance, kills it meanwhile; returns whether it has."""
  seconds = scene.rng.uniform(0.2, 2.5)
  if scene.rng.random() < 0.3:
    time.sleep(seconds * scene.rng.random())
    _killed(scene, running)
    return True
  scene.until(lambda: False, running, seconds)
  if running.ended and running.wait() != 0:
    raise Lost(f"exit code {running.wait()}: {running.said[-3000:]}")
  no_traceback(running)
  if scene.newest < reached:
    raise Lost(f"the newest checkpoint is of step {scene.newest}, there was one of step {reached}")
  return False


def _afterwards(scene: Scene, running: Running, killed: bool) -> str:
  """Returns what came of a fault that has passed."""
  if not killed:
    _goes_on(scene, running)
  return "killed meanwhile" if killed else "went on"


def _goes_on(scene: Scene, running: Running) -> None:
  """Raises Lost unless a process makes checkpoints, or comes to its end."""
  newest = scene.newest
  scene.until(lambda: scene.newest > newest, running, 60.0)
  if running.ended and running.wait() not in (0, -signal.SIGKILL):
    raise Lost(f"exit code {running.wait()}: {running.said[-3000:]}")
  if not running.ended and scene.newest <= newest:
    raise Lost(f"it stands still at step {newest}: {running.said[-2000:]}")
  no_traceback(running)


def _refused(running: Running) -> str:
  """Returns the line that a process has ended with. Raises Lost where it is no such line."""
  if running.wait() != 2 or not running.last_line.startswith("error: ") or running.said.count("error: ") != 1:
    raise Lost(f"exit code {running.wait()}: {running.said[-3000:]}")
  return running.last_line


def _some_file(scene: Scene) -> pathlib.Path | None:
  folder = scene.workdir / "checkpoints" / str(scene.newest)
  files = sorted(path for path in folder.rglob("*") if path.is_file())
  return scene.rng.choice(files) if files else None


def _cut(scene: Scene, path: pathlib.Path) -> None:
  os.truncate(path, scene.rng.randrange(max(1, path.stat().st_size)))


def _overwritten(scene: Scene, path: pathlib.Path) -> None:
  size = path.stat().st_size
  with open(path, "r+b") as file:
    file.seek(scene.rng.randrange(max(1, size)))
    file.write(scene.rng.randbytes(40))
