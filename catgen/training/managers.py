"""What writes checkpoints: Orbax's manager to a disk, and to an object store its writer and `staging`."""

import os

import jax
import orbax.checkpoint as ocp

from catgen import remote
from catgen.paths import join, names_in, remove_folder
from catgen.training import ranking, staging


def open_manager(
  directory: str, kept: ranking.Preservation, identity: str
) -> ocp.CheckpointManager | staging.StoreManager:
  """Returns what saves, counts and removes the checkpoints of a folder.

  Args:
    directory: of the checkpoints, on a disk or the URL of a store.
    kept: says which of them stay.
    identity: the name of the item that is JSON.
  """
  # Else a write that fails while its folder is being made leaves that folder, and holds the end of the process for
  # five minutes, in which a thread waits for it.
  asynchronous = ocp.AsyncOptions(create_directories_asynchronously=False)
  if remote.is_remote(directory):
    return staging.StoreManager(directory, lambda: _cache_writer(identity, asynchronous), kept.kept)
  options = ocp.CheckpointManagerOptions(
    preservation_policy=kept, async_options=asynchronous, cleanup_tmp_directories=True
  )
  return ocp.CheckpointManager(directory, options=options)


def _cache_writer(identity: str, asynchronous: ocp.AsyncOptions) -> ocp.AsyncCheckpointer:
  """Returns what writes this process's part of checkpoints to a folder of its own.

  Of several processes each writes whole files, whose union is the checkpoint: OCDBT, with fewer files, would have to
  merge them in a folder that all share. It is for one checkpoint: every handler of Orbax, also one that reads, decides
  for all which process makes folders, and the others would wait for ever for one that is elsewhere.
  """
  alone = ocp.options.MultiprocessingOptions(primary_host=None)
  few_files = jax.process_count() == 1
  handlers = {
    name: ocp.StandardCheckpointHandler(multiprocessing_options=alone, use_ocdbt=few_files)
    for name in ("model", "optimizer", "memory")
  }
  handlers[identity] = ocp.JsonCheckpointHandler(multiprocessing_options=alone)
  options = ocp.CompositeOptions(multiprocessing_options=alone, async_options=asynchronous)
  return ocp.AsyncCheckpointer(
    ocp.CompositeCheckpointHandler(composite_options=options, **handlers),
    multiprocessing_options=alone,
    async_options=asynchronous,
  )


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
