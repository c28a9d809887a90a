"""What writes checkpoints: Orbax's manager to a disk, and to an object store its writer and `staging`."""

import os
from collections.abc import Sequence

import jax
import orbax.checkpoint as ocp

from catgen import remote
from catgen.paths import join, names_in, remove_folder
from catgen.training import folders, ranking, staging


def open_manager(
  directory: str, kept: ranking.Preservation, identity: str, known: Sequence[int] | None = None
) -> ocp.CheckpointManager | staging.StoreManager:
  """Returns what saves, counts and removes the checkpoints of a folder.

  Args:
    directory: of the checkpoints, on a disk or the URL of a store.
    kept: says which of them stay.
    identity: the name of the item that is JSON.
    known: see `staging.StoreManager`.
  """
  # Else a write that fails while its folder is being made leaves that folder, and holds the end of the process for
  # five minutes, in which a thread waits for it.
  asynchronous = ocp.AsyncOptions(create_directories_asynchronously=False)
  if remote.is_remote(directory):
    return staging.StoreManager(directory, lambda cache: _cache_writer(cache, identity, asynchronous), kept.kept, known)
  options = ocp.CheckpointManagerOptions(
    preservation_policy=kept, async_options=asynchronous, cleanup_tmp_directories=True
  )
  handlers = None  # Orbax's own
  if folders.is_pattern(directory):
    handlers = _handlers(identity, ocp.options.MultiprocessingOptions(), few_files=False)
  return ocp.CheckpointManager(directory, options=options, item_handlers=handlers)


def _cache_writer(cache: str, identity: str, asynchronous: ocp.AsyncOptions) -> ocp.AsyncCheckpointer:
  """Returns what writes this process's part of checkpoints to a folder of its own.

  Of several processes each writes whole files, whose union is the checkpoint: OCDBT, with fewer files, would have to
  merge them in a folder that all share. It is for one checkpoint: every handler of Orbax, also one that reads, decides
  for all which process makes folders, and the others would wait for ever for one that is elsewhere.
  """
  alone = ocp.options.MultiprocessingOptions(primary_host=None)
  few_files = jax.process_count() == 1 and not folders.is_pattern(cache)
  handlers = _handlers(identity, alone, few_files=few_files)
  options = ocp.CompositeOptions(multiprocessing_options=alone, async_options=asynchronous)
  return ocp.AsyncCheckpointer(
    ocp.CompositeCheckpointHandler(composite_options=options, **handlers),
    multiprocessing_options=alone,
    async_options=asynchronous,
  )


def _handlers(
  identity: str, processes: ocp.options.MultiprocessingOptions, *, few_files: bool
) -> dict[str, ocp.CheckpointHandler]:
  """Returns what writes each item; with few files by OCDBT, whose parts a folder that is a pattern would lose."""
  handlers: dict[str, ocp.CheckpointHandler] = {
    name: ocp.StandardCheckpointHandler(multiprocessing_options=processes, use_ocdbt=few_files)
    for name in ("model", "optimizer", "memory")
  }
  return {**handlers, identity: ocp.JsonCheckpointHandler(multiprocessing_options=processes)}


def check_writable(directory: str) -> None:
  """Raises an error where nothing can be written into a folder, which is made where there is none."""
  path = join(directory, f".probe-{jax.process_index()}")
  if remote.is_remote(path):
    remote.clock(path)
    return
  os.makedirs(directory, exist_ok=True)
  with open(path, "w") as file:
    file.write("x")
  os.remove(path)


def remove_unfinished(directory: str) -> None:
  """Removes what writes that were ended have left in a folder."""
  if jax.process_index() == 0:
    if remote.is_remote(directory):
      staging.remove_unfinished(directory)
    for name in names_in(directory):
      if name.endswith(".orbax-checkpoint-tmp"):
        remove_folder(join(directory, name))
