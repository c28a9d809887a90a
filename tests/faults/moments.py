"""When a fault comes: at any time, or just while something is under way that may not be torn apart."""

from collections.abc import Callable
from time import monotonic, sleep

from tests.faults.scene import Running, Scene


def starting(scene: Scene) -> Running:
  """Any time from the start of the process to its first steps: while it imports, reads, restores or compiles."""
  running = scene.training
  until = running.began_at + scene.rng.uniform(0.0, 5.0)
  while monotonic() < until and not running.ended:
    sleep(0.002)
  return running


def stepping(scene: Scene) -> Running:
  """Any time between steps, which may hit whatever else."""
  running = scene.stepping()
  sleep(scene.rng.uniform(0.0, 0.8))
  return running


def saving(scene: Scene) -> Running:
  """A checkpoint has a folder, and not its name yet."""
  running, folder = scene.stepping(), scene.workdir / "checkpoints"
  scene.until(lambda: any("tmp" in name for name in _names(folder)), running, 20.0)
  sleep(scene.rng.uniform(0.0, 0.03))
  return running


def deleting(scene: Scene) -> Running:
  """A checkpoint has its name, and old ones are being deleted."""
  running = scene.stepping()
  newest = scene.newest
  scene.until(lambda: scene.newest > newest, running, 20.0)
  sleep(scene.rng.uniform(0.0, 0.02))
  return running


def validating(scene: Scene) -> Running:
  """A checkpoint that is due for validation has no metrics yet."""
  running = scene.stepping()
  scene.until(lambda: _due(scene) and not _has_metrics(scene), running, 20.0)
  sleep(scene.rng.uniform(0.0, 0.1))
  return running


def validated(scene: Scene) -> Running:
  """A validation has just been recorded, or is being; where there are pictures, one is being drawn."""
  running = scene.stepping()
  scene.until(lambda: _due(scene) and _has_metrics(scene), running, 20.0)
  sleep(scene.rng.uniform(0.0, 0.3))
  return running


MOMENTS: tuple[Callable[[Scene], Running], ...] = (starting, stepping, saving, deleting, validating, validated)
UNDER_WAY = MOMENTS[1:]


def _due(scene: Scene) -> bool:
  return scene.newest > 0 and ("validation", scene.newest) in scene.subject.validations(scene.newest)


def _has_metrics(scene: Scene) -> bool:
  return (scene.workdir / "checkpoints" / str(scene.newest) / "metrics" / "metrics").exists()


def _names(folder) -> list[str]:
  return [path.name for path in folder.iterdir()] if folder.exists() else []
