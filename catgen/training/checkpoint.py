"""Checkpoints: asynchronous, complete, verified on reading; the newest, the best and every M-th are kept.

A checkpoint is a folder `checkpoints/<step>` of a work directory with the items "model" (step, parameters, moving
average, model state), "optimizer", "run" (JSON: of which run it is) and, once it is validated, "metrics" (JSON). The
model can be read without knowing the optimizer. Each tree carries a fingerprint of its bits, since a flipped bit in a
file would otherwise pass unnoticed.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from catgen import remote
from catgen.interfaces import InputError, PyTree
from catgen.paths import absolute, is_folder, join, move_folder
from catgen.training import managers, noise, ranking, staging
from catgen.training.integrity import fingerprint, storage_problem, tree_difference
from catgen.training.state import TrainState
from catgen.trees import leaves

FOLDER = "checkpoints"
_IDENTITY = "run"  # the item that says of which run a checkpoint is

noise.hush()


class Restored(NamedTuple):
  """The model of a checkpoint, without its optimizer, on one device."""

  params: PyTree
  ema: PyTree  # None where the run keeps no moving average
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
    self._open = functools.partial(managers.open_manager, self.directory, kept, _IDENTITY)
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
    with _fetched(self.directory, step, [_IDENTITY]) as place:
      return _identity_of(place, step)

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
        restored = _read(place, step, {**items, "optimizer": (None, items["optimizer"])} if clipped else items)
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
      there = _shapes(place, step, name)
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
  workdir: str | os.PathLike, step: str | int = "latest", *, criterion: str = "bits", say: Callable[[str], None] = print
) -> Restored:
  """Returns the model of a checkpoint without needing the model's code, the optimizer or the writer's devices.

  Dictionaries whose keys are all numbers, as those of a list of layers, have integer keys.

  Args:
    workdir: the run's folder.
    step: "latest" (falls back, and says so, if the newest is corrupt), "best" by the criterion (the newest, and says
      so, where nothing was validated), or a number.
    criterion: name of the validation metric, lower = better.
    say: receives one line on a fall back.

  Raises:
    InputError: there is no such checkpoint, or it cannot be read.
  """
  directory, there = _directory(workdir), checkpoint_steps(workdir)
  if not there:
    raise InputError(f"no checkpoint in {directory}; train first, or name another work directory")
  candidates = list(reversed(there))
  if step != "latest":
    wanted = ranking.best_step(directory, there, criterion) if step == "best" else int(step)
    if wanted is None:
      say(f"no checkpoint in {directory} has a validation result; taking the newest, of step {there[-1]}")
    elif wanted not in there:
      raise InputError(f"no checkpoint of step {wanted} in {directory}; there are {', '.join(map(str, there))}")
    candidates = candidates if wanted is None else [wanted]
  for candidate in candidates:
    with _fetched(directory, candidate, ["model", _IDENTITY]) as place:
      shapes, identity = _shapes(place, candidate, "model"), _identity_of(place, candidate)
      restored = "its description is damaged" if shapes is None else _read(place, candidate, {"model": shapes})
    if isinstance(restored, dict):
      model = _number_keys(restored["model"])
      state = model.get("model_state", {})
      return Restored(model["params"], model.get("ema"), state, int(model["step"]), identity)
    say(f"checkpoint {candidate} in {directory} is corrupt ({restored})")
  raise InputError(f"no readable checkpoint {step} in {directory}; there are {', '.join(map(str, there))}")


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
  trees = {name: ocp.args.StandardSave(item) for name, item in items.items()}
  return ocp.args.Composite(**trees, **{_IDENTITY: ocp.args.JsonSave(identity)})


def _identity_of(directory: str, step: int) -> dict[str, Any]:
  """Returns what a checkpoint says of its run: nothing where it says nothing, or in words that cannot be read."""
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
      found = reader.restore(_item(directory, step, _IDENTITY))
    return found if isinstance(found, dict) else {}
  except (OSError, ValueError, RecursionError):
    return {}


def _read(directory: str, step: int, items: dict[str, PyTree]) -> dict[str, PyTree] | str:
  """Returns the items in the shapes and shardings given, or in a few words how they are damaged."""
  restored = noise.quietly(lambda: _stored(directory, step, items))
  if restored is None:
    return "its files are damaged"
  if any(int(fingerprint(stored["tree"])) != int(stored["fingerprint"]) for stored in restored.values()):
    return "its bits have changed"
  return {name: stored["tree"] for name, stored in restored.items()}


def _stored(directory: str, step: int, items: dict[str, PyTree]) -> dict[str, dict[str, PyTree]] | None:
  """Returns the items and their fingerprints as they are stored, or None if unreadable."""
  number = jax.ShapeDtypeStruct((), "uint32", sharding=items["model"]["step"].sharding)
  restored = {}
  try:
    # A reader of its own: a manager would also raise here what went wrong in its last write.
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
      for name, item in items.items():
        target = {"tree": item, "fingerprint": number}
        restored[name] = reader.restore(_item(directory, step, name), args=ocp.args.StandardRestore(target))
  except Exception as error:
    if reason := storage_problem(error):
      raise InputError(f"cannot read checkpoint {step} in {directory}: {reason}") from error
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
      raise
    return None
  return restored


def _shapes(directory: str, step: int, name: str) -> PyTree | None:
  """Returns an item's stored arrays as shapes on one device, in nested dicts and lists; None if unreadable."""
  sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def described() -> PyTree | None:
    try:
      with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        tree = reader.metadata(_item(directory, step, name)).item_metadata.tree["tree"]
      return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
    except Exception:
      return None

  return noise.quietly(described)


def _item(directory: str, step: int, name: str) -> str:
  return join(directory, str(step), name)


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
