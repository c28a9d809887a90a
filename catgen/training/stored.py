"""What a checkpoint holds, read back: items of arrays, all of them or some parts, into any shardings, and verified."""

from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from catgen.interfaces import InputError, PyTree
from catgen.paths import join
from catgen.training import distributed, noise
from catgen.training.integrity import fingerprint, storage_problem

IDENTITY = "run"  # the item that says of which run a checkpoint is
_DAMAGED, _REFUSED = 1, 2  # what processes tell each other of their reading


def read(directory: str, step: int, items: dict[str, PyTree], unwanted: str = "") -> dict[str, PyTree] | str:
  """Returns the items in the shapes and shardings given, or in a few words how they are damaged.

  A part of the model may be unwanted. It is not read, unless the writer was an older version, which has left nothing
  to check the others by.
  """
  restored, problem = None, None
  try:
    restored = noise.quietly(lambda: _stored(directory, step, items, unwanted))
  except InputError as error:
    problem = error
  code = _REFUSED if problem is not None else _DAMAGED if restored is None else 0
  told = distributed.all_tell(f"{code} {_marks(restored or {})}")  # before anything that all must do together
  found = max(int(each.partition(" ")[0]) for each in told)
  if found == _REFUSED:
    raise problem or InputError(f"cannot read checkpoint {step} in {directory} on another process")
  if found == _DAMAGED:
    return "its files are damaged"
  assert restored is not None
  if other := next((number for number, each in enumerate(told) if each != told[0]), 0):
    raise InputError(
      f"checkpoint {step} is another one for process {other} than for process 0; all processes need the same work"
      " directory, on a shared disk or in a bucket"
    )
  if not all(map(_bits_are_those_written, restored.values())):
    return "its bits have changed"
  trees = {name: stored["tree"] for name, stored in restored.items()}
  if unwanted:
    trees["model"] = {name: part for name, part in trees["model"].items() if name != unwanted}
  return trees


def _marks(restored: dict[str, PyTree]) -> str:
  """Returns the fingerprints that this process has read, which tell checkpoints of one step apart."""
  return " ".join(str(int(np.asarray(each["fingerprint"].addressable_data(0)))) for each in restored.values())


def _bits_are_those_written(stored: dict[str, PyTree]) -> bool:
  """Returns whether fingerprints agree: that of the tree, or of each of its parts where these are not all there."""
  tree, parts = stored["tree"], stored.get("parts", {})
  if isinstance(tree, dict) and parts.keys() > tree.keys():
    return all(int(fingerprint({name: part})) == int(parts[name]) for name, part in tree.items())
  return int(fingerprint(tree)) == int(stored["fingerprint"])


def _stored(directory: str, step: int, items: dict[str, PyTree], unwanted: str) -> dict[str, dict[str, PyTree]] | None:
  """Returns the items and their fingerprints as they are stored, or None if unreadable."""
  number = jax.ShapeDtypeStruct((), "uint32", sharding=items["model"]["step"].sharding)
  restored = {}
  try:
    for name, item in items.items():
      target, parts = {"tree": item, "fingerprint": number}, _parts(directory, step, name)
      if parts:
        target["parts"] = dict.fromkeys(parts, number)
      if parts and unwanted:
        target["tree"] = {part: tree for part, tree in item.items() if part != unwanted}
      # A handler by itself: a manager would also raise here what went wrong in its last write, and of several processes
      # a checkpointer would leave the others waiting where one cannot read.
      found = ocp.checkpoint_utils.construct_restore_args(target)
      restored[name] = ocp.PyTreeCheckpointHandler().restore(
        epath.Path(_item(directory, step, name)),
        args=ocp.args.PyTreeRestore(item=target, restore_args=found, partial_restore=bool(parts and unwanted)),
      )
  except Exception as error:
    if reason := storage_problem(error):
      raise InputError(f"cannot read checkpoint {step} in {directory}: {reason}") from error
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
      raise
    return None
  return restored


def shapes(directory: str, step: int, name: str) -> PyTree | None:
  """Returns an item's stored arrays as shapes on one device, in nested dicts and lists; None if unreadable."""
  sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  tree = _description(directory, step, name).get("tree")
  if tree is None:
    return None
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _parts(directory: str, step: int, name: str) -> list[str]:
  """Returns the parts of an item that have a fingerprint of their own; none of what older versions wrote."""
  return [*_description(directory, step, name).get("parts", {})]


def _description(directory: str, step: int, name: str) -> dict[str, PyTree]:
  """Returns shapes and types of what is stored of an item; nothing if unreadable."""

  def described() -> dict[str, PyTree]:
    try:
      with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        return dict(reader.metadata(_item(directory, step, name)).item_metadata.tree)
    except Exception:
      return {}

  return noise.quietly(described) or {}


def identity_of(directory: str, step: int) -> dict[str, Any]:
  """Returns what a checkpoint says of its run: nothing where it says nothing, or in words that cannot be read."""
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
      found = reader.restore(_item(directory, step, IDENTITY))
    return found if isinstance(found, dict) else {}
  except (OSError, ValueError, RecursionError):
    return {}


def _item(directory: str, step: int, name: str) -> str:
  return join(directory, str(step), name)
