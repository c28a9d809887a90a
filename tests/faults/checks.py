"""What must hold after a fault, and at the end."""

import collections
import functools
import json
import pathlib

import jax
import numpy as np

from catgen.config import load_config
from catgen.evaluation.results import read_results
from catgen.runs.experiment import make_experiment
from catgen.training.checkpoint import Checkpointer, checkpoint_steps
from tests.faults.scene import Lost, Running, Scene
from tests.faults.subjects import Subject


def nothing_lost(scene: Scene, reached: int) -> None:
  """Raises Lost unless a checkpoint of `reached` steps or more is there, with all that was measured on the way."""
  if scene.newest < reached:
    raise Lost(f"the newest checkpoint is of step {scene.newest}, there was one of step {reached}")
  twice_or_missing(scene, scene.subject.reports(scene.newest) | scene.subject.validations(scene.newest - 1))


def twice_or_missing(scene: Scene, due: set[tuple[str, int]]) -> None:
  """Raises Lost where metrics.jsonl has a report or validation twice, or lacks one that is due."""
  counted = collections.Counter(scene.lines())
  if twice := sorted(line for line, count in counted.items() if count > 1):
    raise Lost(f"metrics.jsonl has {twice} more than once")
  if missing := sorted(due - counted.keys() - scene.excused):
    raise Lost(f"metrics.jsonl lacks {missing}")


def no_traceback(running: Running) -> None:
  """Raises Lost where a process has told of a mistake of the program's."""
  if "Traceback" in running.said:
    raise Lost(running.said[-3000:])


def whole(scene: Scene, reference: pathlib.Path) -> None:
  """Raises Lost unless a run that has ended is, bit by bit, the one that nothing has disturbed."""
  steps = scene.subject.num_steps
  twice_or_missing(scene, scene.subject.reports(steps) | scene.subject.validations(steps))
  same_state(scene.subject, scene.workdir, reference)
  config, expected = (json.loads((folder / "config.json").read_text()) for folder in (scene.workdir, reference))
  if {**config, "code_version": ""} != {**expected, "code_version": ""}:
    raise Lost("config.json is not that of the undisturbed run")


def same_state(subject: Subject, workdir: pathlib.Path, reference: pathlib.Path) -> None:
  """Raises Lost unless parameters, their average, the model's state and the optimizer's have the same bits."""
  found, expected = ({jax.tree_util.keystr(k): v for k, v in _state(subject, each)} for each in (workdir, reference))
  if different := [name for name in {**found, **expected} if not _same(found.get(name), expected.get(name))]:
    raise Lost(f"{len(different)} arrays differ from those of the undisturbed run: {sorted(different)[:5]}")


def same_results(workdir: pathlib.Path, reference: pathlib.Path) -> None:
  """Raises Lost unless results.json and scores/ say what those of an undisturbed evaluation do."""
  found, expected = (read_results(folder) for folder in (workdir, reference))
  told = [[{key: value for key, value in each.items() if key != "code_version"} for each in records]
          for records in (found, expected)]  # fmt: skip
  if told[0] != told[1]:
    raise Lost(f"results.json has {told[0]}, the undisturbed one {told[1]}")
  names = [sorted(path.name for path in (folder / "scores").iterdir()) for folder in (workdir, reference)]
  if names[0] != names[1]:
    raise Lost(f"scores/ has {names[0]}, the undisturbed one {names[1]}")
  for name in names[0]:
    with np.load(workdir / "scores" / name) as left, np.load(reference / "scores" / name) as right:
      if not all(_same(left[key], right[key]) for key in {*left.files, *right.files}):
        raise Lost(f"scores/{name} differs")


def _same(left: np.ndarray | None, right: np.ndarray | None) -> bool:
  if left is None or right is None:
    return False
  return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


@functools.cache
def _target(config: str, data: pathlib.Path, settings: tuple[tuple[str, object], ...]):
  values = load_config(config, {"data.path": str(data), **dict(settings)}).values
  devices = jax.devices()[: values["mesh"]["data"] if values["mesh"]["data"] > 1 else 1]
  return make_experiment(values, devices=devices).target


def _state(subject: Subject, workdir: pathlib.Path):
  if checkpoint_steps(workdir)[-1:] != [subject.num_steps]:
    raise Lost(f"there are checkpoints of {checkpoint_steps(workdir)}, and none of step {subject.num_steps}")
  target = _target(subject.config, subject.data, tuple(subject.settings.items()))
  with Checkpointer(workdir) as checkpoints:
    state = checkpoints.restore(target)
  assert state is not None
  return jax.tree_util.tree_leaves_with_path(jax.device_get(state))
