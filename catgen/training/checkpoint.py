"""Checkpoints: asynchronous, complete, verified on reading; the newest, the best and every M-th are kept.

A checkpoint is a folder `checkpoints/<step>` of a work directory with the items "model" (step, parameters, moving
average, model state), "optimizer", "run" (JSON: of which run it is) and, once it is validated, "metrics" (JSON). The
model can be read without knowing the optimizer, and the average without the parameters. Each tree carries a fingerprint
of its bits, since a flipped bit in a file would otherwise pass unnoticed, and the model one of each of its parts.
"""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import orbax.checkpoint as ocp

from catgen import remote
from catgen.interfaces import InputError, PyTree
from catgen.paths import absolute, is_folder, join, move_folder
from catgen.training import distributed, managers, noise, ranking, staging, stored
from catgen.training.integrity import fingerprint, fingerprint_of_parts, storage_problem, tree_difference
from catgen.training.state import TrainState
from catgen.trees import leaves

FOLDER = "checkpoints"
_LOOKS, _LOOK_SECONDS = 5, 0.2  # at a checkpoint that cannot be read, which may be about to be deleted

Wanted = Literal["all", "params", "average"]  # the average: where there is one, else the parameters

noise.hush()


class Unreadable(InputError):  # noqa: N818 as InputError, it is told and not traced
  """A checkpoint is damaged, or not all there yet."""


class Gone(Unreadable):
  """There is no such checkpoint, or no more: a running job deletes those that it does not keep."""


class Restored(NamedTuple):
  """The model of a checkpoint, without its optimizer."""

  params: PyTree  # None where the moving average was wanted, and is there
  ema: PyTree  # None where the run keeps no moving average, or it was not wanted
  model_state: PyTree
  step: int
  identity: Mapping[str, Any] = MappingProxyType({})  # what the writer said of its run; nothing by older versions


class Checkpointer:
  """Writes and reads the checkpoints of one work directory. Close it, or use it as a context manager."""

  def __init__(
    self,
    workdir: str | os.PathLike,
    *,
    keep_latest: int = 2,
    keep_every: int = 0,
    criterion: str = "bits",
    identity: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
  ):
    """Opens the work directory, creating it where needed, and clears what interrupted writes have left.

    Args:
      workdir: the run's folder.
      keep_latest: how many of the newest to keep, >= 1; from 2 on there is one to fall back to.
      keep_every: also keep every checkpoint whose step is a multiple; 0 = none.
      criterion: the metric, lower = better, whose best checkpoint is kept.
      identity: what each checkpoint says of its run, as JSON; see `Restored.identity`.
      say: receives one line where something unusual was done.

    Raises:
      InputError: the directory cannot be written.
    """
    check_kept(keep_latest)
    self.directory, self._say, self._identity = _directory(workdir), say, dict(identity or {})
    with _storage_errors(f"cannot write to {self.directory}"):
      managers.check_writable(self.directory)
      managers.remove_unfinished(self.directory)
      if jax.process_index() == 0:
        ranking.set_aside_broken(self.directory, checkpoint_steps(workdir), say)
      ocp.multihost.sync_global_processes("catgen:open")
    kept = ranking.Preservation(self.directory, criterion, keep_latest, keep_every)
    self._open = functools.partial(managers.open_manager, self.directory, kept, stored.IDENTITY)
    with _storage_errors(f"cannot read {self.directory}"):
      self._manager = self._open()

  def __enter__(self) -> "Checkpointer":
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def steps(self) -> list[int]:
    """Returns the steps that have a checkpoint, in order."""
    return sorted(self._manager.all_steps())

  def save(self, step: int, state: TrainState) -> None:
    """Starts writing a checkpoint and returns once the arrays are copied; a step already there is left alone.

    Args:
      step: equal to `state.step`.
      state: may be consumed by the next training step at once.

    Raises:
      InputError: the disk is full or cannot be written, now or in the write that was still going on.
    """
    if step in self._manager.all_steps():
      return
    with self._writing(step):
      self._manager.save(step, args=_save_args(state, self._identity))

  def add_metrics(self, step: int, metrics: dict[str, float]) -> None:
    """Waits until a checkpoint is written and puts a validation's numbers beside it, with the criterion among them.

    Where the checkpoint could not be written, or has been deleted, there is nothing that they belong to.

    Raises:
      InputError: the checkpoint or the numbers could not be written.
    """
    self.wait()
    if jax.process_index() == 0 and is_folder(join(self.directory, str(step))):
      ranking.write_metrics(self.directory, step, metrics)

  def metrics(self, step: int) -> dict[str, float] | None:
    """Returns the validation's numbers of a checkpoint; None where there are none."""
    with suppress(ValueError):
      return ranking.read_metrics(self.directory, step)
    return None

  def identity(self, step: int) -> dict[str, Any]:
    """Returns what the writer of a checkpoint said of its run; nothing by older versions."""
    with _fetched(self.directory, step, [stored.IDENTITY]) as place:
      return stored.identity_of(place, step)

  def wait(self) -> None:
    """Waits for the write that is going on. Raises InputError if it failed."""
    with self._writing(None):
      self._manager.wait_until_finished()
      self._manager.check_for_errors()

  def close(self) -> None:
    """Waits, then frees the threads."""
    try:
      self.wait()
    finally:
      self._manager.close()

  def restore(self, target: TrainState) -> TrainState | None:
    """Returns the newest whole state, or None where there is no checkpoint.

    A checkpoint that cannot be read, or whose bits are not those that were written, is renamed to
    `<step>.corrupt`, one line says so, and the one before is tried.

    Args:
      target: from `abstract_state`: shapes and shardings of this run, which may have other devices than the writer.

    Raises:
      InputError: the checkpoint is of another model or optimizer, or none of those present can be read.
    """
    self.wait()
    found, items = self.steps(), _items(target)
    for step in reversed(found):
      with _fetched(self.directory, step, list(items)) as place:
        clipped = self._check_same(place, step, items)
        wanted = {**items, "optimizer": (None, items["optimizer"])} if clipped else items
        restored = stored.read(place, step, wanted)
      if isinstance(restored, dict):
        model, optimizer = restored["model"], restored["optimizer"][1] if clipped else restored["optimizer"]
        return TrainState(model["step"], model["params"], model.get("ema"), optimizer, model["model_state"])
      self._set_aside(step, restored)
    if found:
      raise InputError(f"none of the checkpoints in {self.directory} can be read; use another work directory")
    return None

  def _check_same(self, place: str, step: int, items: dict[str, PyTree]) -> bool:
    """Refuses a checkpoint of another model or optimizer; returns whether the state of clipping, which has none, stands
    before the optimizer's, as it did in format 2."""
    clipped = False
    for name, item in items.items():
      there = stored.shapes(place, step, name)
      if name == "optimizer" and isinstance(there, list) and len(there) == 2 and there[0] is None:
        there, clipped = there[1], True
      if there is not None and (difference := tree_difference(_described(there), _described(item))):
        raise InputError(
          f"checkpoint {step} in {self.directory} is of another {name}: {difference}; use another work directory, "
          "which may begin from this one's parameters: --init_from"
        )
    return clipped

  def _set_aside(self, step: int, reason: str) -> None:
    path = join(self.directory, str(step))
    aside = f"{path}.corrupt"
    if jax.process_index() == 0:
      with _storage_errors(f"cannot rename {path}"):
        if remote.is_remote(path):
          staging.set_aside(self.directory, step, aside)
        else:
          move_folder(path, aside)
    ocp.multihost.sync_global_processes("catgen:set_aside")
    self._manager.reload()
    self._say(f"checkpoint {step} is corrupt ({reason}); moved it to {aside} and fall back to the one before")

  @contextmanager
  def _writing(self, step: int | None) -> Iterator[None]:
    what = "a checkpoint" if step is None else f"the checkpoint of step {step}"
    try:
      with _storage_errors(f"cannot write {what} to {self.directory}", "earlier checkpoints are intact"):
        yield
    except InputError:
      # What failed lingers in the manager's threads and would fail again under another name.
      with suppress(Exception):
        self._manager.close()
      managers.remove_unfinished(self.directory)
      self._manager = self._open()
      raise


def check_kept(keep_latest: int) -> None:
  """Raises InputError where no checkpoint would be kept."""
  if keep_latest < 1:
    raise InputError(f"keep_latest is {keep_latest}; keep at least 1 checkpoint")


def checkpoint_steps(workdir: str | os.PathLike) -> list[int]:
  """Returns the steps of the finished checkpoints of a work directory, in order; empty where there are none."""
  directory = _directory(workdir)
  try:
    return staging.steps_in(directory)
  except OSError as error:
    if remote.is_remote(directory):  # what is there must not be taken for missing
      raise InputError(f"cannot look for checkpoints in {directory}: {error}") from error
    return []


def copy_checkpoint(workdir: str | os.PathLike, target: str | os.PathLike, step: int) -> None:
  """Copies a checkpoint to another work directory, whole or not at all. Raises OSError where it cannot."""
  staging.copy_step(_directory(workdir), _directory(target), step)


def restore_params(
  workdir: str | os.PathLike,
  step: str | int = "latest",
  *,
  wanted: Wanted = "all",
  layout: Callable[[PyTree], PyTree] = lambda item: item,
  criterion: str = "bits",
  say: Callable[[str], None] = print,
) -> Restored:
  """Returns the model of a checkpoint without needing the model's code, the optimizer or the writer's devices.

  Dictionaries whose keys are all numbers, as those of a list of layers, have integer keys. Of several processes all
  call it, and the first decides which checkpoint is read.

  Args:
    workdir: the run's folder.
    step: "latest" (falls back, and says so, if the newest is corrupt), "best" by the criterion (the newest, and says
      so, where nothing was validated), or a number.
    wanted: what is read of the parameters and their average; what is not never leaves the disk.
    layout: gives the stored arrays, as `jax.ShapeDtypeStruct`s {"params", "ema", "model_state", "step"}, the shardings
      that they are read into; default: one device.
    criterion: name of the validation metric, lower = better.
    say: receives one line on a fall back.

  Raises:
    Gone: there is no such checkpoint, or no more.
    Unreadable: it cannot be read.
  """
  directory = _directory(workdir)
  tried: set[int] = set()
  while True:
    find = functools.partial(_candidates, workdir, step, criterion, say if not tried else _quiet)
    candidates, problem = json.loads(distributed.first_tells(find))
    if problem and not tried:
      raise Gone(problem)
    for candidate in [each for each in candidates if each not in tried]:
      tried.add(candidate)
      restored = _model(directory, candidate, wanted, layout)
      if isinstance(restored, Restored):
        return restored
      gone = bool(distributed.first_tells(functools.partial(_is_gone, directory, candidate)))
      if gone and isinstance(step, int):
        raise Gone(f"checkpoint {step} in {directory} was deleted before it was read")
      say(f"checkpoint {candidate} in {directory} " + ("was deleted meanwhile" if gone else f"is corrupt ({restored})"))
      if gone:
        break  # and what is there now may be newer
    else:
      there = ", ".join(map(str, checkpoint_steps(workdir)))
      raise Unreadable(f"no readable checkpoint {step} in {directory}; there are {there}")


def _candidates(workdir: str | os.PathLike, step: str | int, criterion: str, say: Callable[[str], None]) -> bytes:
  """Returns the steps that may be read, the first of them first, and why there are none, as JSON."""
  directory, there = _directory(workdir), checkpoint_steps(workdir)
  candidates, problem = list(reversed(there)), ""
  if not there:
    problem = f"no checkpoint in {directory}; train first, or name another work directory"
  elif step != "latest":
    wanted = ranking.best_step(directory, there, criterion) if step == "best" else int(step)
    if wanted is None:
      say(f"no checkpoint in {directory} has a validation result; taking the newest, of step {there[-1]}")
    elif wanted not in there:
      problem = f"no checkpoint of step {wanted} in {directory}; there are {', '.join(map(str, there))}"
    candidates = candidates if wanted is None else [wanted] if wanted in there else []
  return json.dumps([candidates, problem]).encode()


def _model(directory: str, step: int, wanted: Wanted, layout: Callable[[PyTree], PyTree]) -> Restored | str:
  """Returns what is wanted of a checkpoint's model, or in a few words how it is damaged."""
  with _fetched(directory, step, ["model", stored.IDENTITY]) as place:
    return _model_at(place, step, wanted, layout)


def _model_at(place: str, step: int, wanted: Wanted, layout: Callable[[PyTree], PyTree]) -> Restored | str:
  shapes = stored.shapes(place, step, "model")
  if distributed.worst(int(shapes is None)):
    return "its description is damaged"
  assert shapes is not None
  unwanted = {"average": "params" if "ema" in shapes else "", "params": "ema", "all": ""}[wanted]
  restored = stored.read(place, step, {"model": layout(shapes)}, unwanted)
  if isinstance(restored, str):
    return restored
  model = _number_keys(restored["model"])
  identity = stored.identity_of(place, step)
  return Restored(model.get("params"), model.get("ema"), model.get("model_state", {}), int(model["step"]), identity)


def _is_gone(directory: str, step: int) -> bytes:
  """Returns some bytes where a checkpoint is deleted, or about to be, and none otherwise."""
  for _ in range(_LOOKS):
    if not is_folder(join(directory, str(step))):
      return b"gone"
    time.sleep(_LOOK_SECONDS)
  return b""


def _directory(workdir: str | os.PathLike) -> str:
  return join(absolute(workdir), FOLDER)


@contextmanager
def _fetched(directory: str, step: int, items: list[str]) -> Iterator[str]:
  """Gives a local folder with items of a checkpoint. Raises InputError where a store refuses them."""
  with ExitStack() as stack:
    with _storage_errors(f"cannot read checkpoint {step} in {directory}"):
      place = stack.enter_context(staging.at_hand(directory, step, items))
    yield place


def _items(state: TrainState) -> dict[str, PyTree]:
  """Returns the items of a checkpoint; NamedTuples only within the optimizer."""
  model = {"step": state.step, "params": state.params, "model_state": state.model_state}
  if state.ema is not None:
    model["ema"] = state.ema
  return {"model": model, "optimizer": state.opt_state}


def _save_args(state: TrainState, identity: dict[str, Any]) -> ocp.args.Composite:
  items = {name: {"tree": item, "fingerprint": fingerprint(item)} for name, item in _items(state).items()}
  total, parts = fingerprint_of_parts(items["model"]["tree"])
  items["model"] |= {"fingerprint": total, "parts": parts}
  trees = {name: ocp.args.StandardSave(item) for name, item in items.items()}
  return ocp.args.Composite(**trees, **{stored.IDENTITY: ocp.args.JsonSave(identity)})


def _described(tree: PyTree) -> dict[str, tuple]:
  return {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in leaves(tree)}


def _number_keys(tree: PyTree) -> PyTree:
  """Orbax gives back the keys of a dictionary as strings unless it is shown the tree."""
  if not isinstance(tree, dict):
    return tree
  numbers = all(isinstance(key, str) and key.isdigit() for key in tree)
  return {int(key) if numbers else key: _number_keys(value) for key, value in tree.items()}


@contextmanager
def _storage_errors(what: str, comfort: str = "") -> Iterator[None]:
  """Turns a disk's refusal into one line; other errors pass."""
  try:
    yield
  except Exception as error:
    if reason := storage_problem(error):
      remedy = "free space there or choose another work directory"
      raise InputError("; ".join(filter(None, (f"{what}: {reason}", remedy, comfort)))) from error
    raise


def _quiet(line: str) -> None:
  """Says nothing."""
