"""Checkpoints: asynchronous, complete, verified on reading; the newest, the best and every M-th are kept.

A checkpoint is a folder `checkpoints/<step>` of a work directory with the items "model" (step, parameters, moving
average, model state), "optimizer", "memory" (where one is carried from step to step), "run" (JSON: of which run it is)
and, once it is validated, "metrics" (JSON). The model can be read without knowing the others, and the average without
the parameters. Each tree carries a fingerprint of its bits, since a flipped bit in a file would otherwise pass
unnoticed, and the model one of each of its parts.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import jax
import orbax.checkpoint as ocp

from catgen import remote
from catgen.interfaces import InputError, PyTree
from catgen.paths import absolute, is_folder, join, move_folder, parent_of
from catgen.training import folders, managers, noise, ranking, staging, stored
from catgen.training.integrity import fingerprint, fingerprint_of_parts, storage_problem, tree_difference
from catgen.training.state import TrainState
from catgen.trees import leaves

FOLDER = "checkpoints"


noise.hush()


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
      identity: what each checkpoint says of its run, as JSON; see `restoring.Restored`.
      say: receives one line where something unusual was done.

    Raises:
      InputError: the directory cannot be written, or checkpoints cannot lie in one of its name.
    """
    check_kept(keep_latest)
    self.directory, self._say, self._identity = directory_of(workdir), say, dict(identity or {})
    folders.check(self.directory)
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
    with fetched(self.directory, step, [stored.IDENTITY]) as place:
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

    Where a checkpoint cannot be read, or its bits are not those that were written, the one before is tried. If that can
    be read, the damaged ones are renamed to `<step>.corrupt`, and one line says so for each; if none can, all stay,
    since others may read the model of one whose optimizer is damaged.

    Args:
      target: from `abstract_state`: shapes and shardings of this run, which may have other devices than the writer.

    Raises:
      InputError: the checkpoint is of another model or optimizer, or none of those present can be read.
    """
    self.wait()
    damaged, items = dict[int, str](), _items(target)
    for step in reversed(self.steps()):
      with fetched(self.directory, step, list(items)) as place:
        clipped = self._check_same(place, step, items)
        wanted = {**items, "optimizer": (None, items["optimizer"])} if clipped else items
        restored = stored.read(place, step, wanted)
      if isinstance(restored, dict):
        for each, reason in damaged.items():
          self._set_aside(each, reason)
        model, optimizer = restored["model"], restored["optimizer"][1] if clipped else restored["optimizer"]
        memory = restored.get("memory")
        return TrainState(model["step"], model["params"], model.get("ema"), optimizer, model["model_state"], memory)
      damaged[step] = restored
    if damaged:
      newest = next(iter(damaged))
      raise InputError(
        f"none of the checkpoints in {self.directory} can be read whole (that of step {newest}: {damaged[newest]}); "
        "all are left as they are; use another work directory, which may begin from the parameters of one whose "
        f"optimizer alone is damaged: --init_from={parent_of(self.directory)}@{newest}"
      )
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
    self._say(f"checkpoint {step} is corrupt ({reason}); moved it to {aside} and fall back to one before")

  @contextmanager
  def _writing(self, step: int | None) -> Iterator[None]:
    what = "a checkpoint" if step is None else f"the checkpoint of step {step}"
    try:
      refused = f"cannot write {what} to {self.directory}"
      with _storage_errors(refused, "earlier checkpoints are intact", writing=True):
        yield
    except InputError:
      # What failed lingers in the manager's threads and would fail again under another name. A store that refuses once
      # more must not hide the line above it: what is left there goes when the next run opens it.
      known = self.steps() if remote.is_remote(self.directory) else None
      with suppress(Exception):
        self._manager.close()
      with suppress(OSError):
        managers.remove_unfinished(self.directory)
      self._manager = self._open(known=known)
      raise


def check_kept(keep_latest: int) -> None:
  """Raises InputError where no checkpoint would be kept."""
  if keep_latest < 1:
    raise InputError(f"keep_latest is {keep_latest}; keep at least 1 checkpoint")


def checkpoint_steps(workdir: str | os.PathLike) -> list[int]:
  """Returns the steps of the finished checkpoints of a work directory, in order; empty where there are none."""
  directory = directory_of(workdir)
  try:
    return staging.steps_in(directory)
  except OSError as error:
    if remote.is_remote(directory):  # what is there must not be taken for missing
      raise InputError(f"cannot look for checkpoints in {directory}: {error}") from error
    return []


def copy_checkpoint(workdir: str | os.PathLike, target: str | os.PathLike, step: int) -> None:
  """Copies a checkpoint to another work directory, whole or not at all. Raises OSError where it cannot."""
  staging.copy_step(directory_of(workdir), directory_of(target), step)


def directory_of(workdir: str | os.PathLike) -> str:
  """Returns the folder of the checkpoints of a work directory."""
  return join(absolute(workdir), FOLDER)


@contextmanager
def fetched(directory: str, step: int, items: list[str]) -> Iterator[str]:
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
  memory = {} if state.memory is None else {"memory": state.memory}
  return {"model": model, "optimizer": state.opt_state, **memory}


def _save_args(state: TrainState, identity: dict[str, Any]) -> ocp.args.Composite:
  items = {name: {"tree": item, "fingerprint": fingerprint(item)} for name, item in _items(state).items()}
  total, parts = fingerprint_of_parts(items["model"]["tree"])
  items["model"] |= {"fingerprint": total, "parts": parts}
  trees = {name: ocp.args.StandardSave(item) for name, item in items.items()}
  return ocp.args.Composite(**trees, **{stored.IDENTITY: ocp.args.JsonSave(identity)})


def _described(tree: PyTree) -> dict[str, tuple]:
  return {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in leaves(tree)}


@contextmanager
def _storage_errors(what: str, comfort: str = "", *, writing: bool = False) -> Iterator[None]:
  """Turns a disk's refusal into one line; other errors pass."""
  try:
    yield
  except Exception as error:
    if reason := storage_problem(error, writing=writing):
      remedy = "free space there or choose another work directory"
      raise InputError("; ".join(filter(None, (f"{what}: {reason}", remedy, comfort)))) from error
    raise
