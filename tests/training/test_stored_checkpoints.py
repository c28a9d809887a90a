"""Checkpoints in an object store, by fsspec's memory://: whole or not there, and as on a disk."""

import pathlib

import chex
import jax
import pytest

from catgen import paths, remote
from catgen.interfaces import InputError
from catgen.training import staging
from catgen.training.checkpoint import Checkpointer, checkpoint_steps, copy_checkpoint
from catgen.training.restoring import restore_params
from tests.training.trainer import Setting, build, run_steps

RUN = "memory://checkpoints/run"
FOLDER = f"{RUN}/checkpoints"


@pytest.fixture(scope="module")
def trainer():
  return build("denoiser", Setting(devices=1))


@pytest.fixture(scope="module")
def states(trainer):
  """States of steps 1, 2, 3 and 4."""
  found, state = {}, None
  for step in (1, 2, 3, 4):
    state, _ = run_steps(trainer, 1, state)
    found[step] = jax.device_get(state)
  return found


@pytest.fixture(scope="module")
def kept(states):
  """A run with checkpoints of steps 1, 2 and 3, the best by its metrics at 1; do not change it."""
  with Checkpointer("memory://kept/run", identity={"a": 1}) as checkpoints:
    for step, bits in ((1, 1.0), (2, 3.0), (3, 2.0)):
      checkpoints.save(step, states[step])
      checkpoints.add_metrics(step, {"bits": bits})
  yield "memory://kept/run"
  remote.remove_below("memory://kept")


@pytest.fixture
def written(kept, states, tmp_path, monkeypatch):
  """The states that a copy of that run holds, and one more."""
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
  remote.copy(kept, RUN)
  yield states
  remote.remove_below("memory://checkpoints")
  assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # the cache is empty


def restored(trainer, said=None):
  with Checkpointer(RUN, say=pytest.fail if said is None else said.append) as checkpoints:
    return jax.device_get(checkpoints.restore(trainer.target))


def test_what_was_saved_is_read_bit_by_bit_by_a_run_and_by_readers(trainer, written):
  chex.assert_trees_all_equal(restored(trainer), written[3])
  newest, best = restore_params(RUN, "latest"), restore_params(RUN, "best")
  chex.assert_trees_all_equal(newest.params, written[3].params)
  assert (newest.step, best.step, newest.identity) == (3, 1, {"a": 1})
  with Checkpointer(RUN) as checkpoints:
    assert checkpoints.metrics(2) == {"bits": 3.0}
    assert checkpoints.identity(2) == {"a": 1}


def test_the_newest_and_the_best_are_kept(written):
  with Checkpointer(RUN, keep_latest=1) as checkpoints:
    checkpoints.save(4, written[4])
  assert checkpoint_steps(RUN) == [1, 4]
  assert {name.split(".")[0] for name in paths.names_in(FOLDER)} == {"1", "4"}


@pytest.mark.parametrize("missing", ["3.part-0-of-1", "3.part-1-of-2"])
def test_a_killed_upload_is_never_taken_for_a_checkpoint(trainer, written, missing):
  if missing.endswith("2"):  # a process of two has sent its part, the other has not
    remote.remove(f"{FOLDER}/3.upload-of-1")
    remote.remove(f"{FOLDER}/3.part-0-of-1")
    remote.write(f"{FOLDER}/3.upload-of-2", b"")
    remote.write(f"{FOLDER}/3.part-0-of-2", b"")
  else:
    remote.remove(f"{FOLDER}/{missing}")
  assert checkpoint_steps(RUN) == [1, 2]
  assert restore_params(RUN, "latest").step == 2
  chex.assert_trees_all_equal(restored(trainer), written[2])
  assert not [name for name in paths.names_in(FOLDER) if name.startswith("3")]  # the writer has cleared it


def test_a_removal_that_was_killed_leaves_no_half_checkpoint(written, monkeypatch):
  def killed(path):
    raise KeyboardInterrupt

  with monkeypatch.context() as killing:
    killing.setattr(remote, "remove_below", killed)
    with pytest.raises(KeyboardInterrupt):
      staging.remove_step(FOLDER, 3)
  assert checkpoint_steps(RUN) == [1, 2]
  assert paths.is_folder(f"{FOLDER}/3")


def test_a_run_that_was_copied_to_a_store_has_its_checkpoints(trainer, written, tmp_path):
  """As by `gsutil cp -r`: without the marks of an upload."""
  for step in (1, 2, 3):
    for mark in (f"{step}.upload-of-1", f"{step}.part-0-of-1"):
      remote.remove(f"{FOLDER}/{mark}")
  assert checkpoint_steps(RUN) == [1, 2, 3]
  chex.assert_trees_all_equal(restored(trainer), written[3])
  staging.remove_step(FOLDER, 1)
  assert checkpoint_steps(RUN) == [2, 3]
  assert not [name for name in paths.names_in(FOLDER) if name.startswith("1")]


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(trainer, written, damage):
  sizes = {name: size for name, size in paths.sizes_below(f"{FOLDER}/3/model").items() if "/d/" in f"/{name}"}
  largest = f"{FOLDER}/3/model/{max(sizes, key=lambda name: sizes[name])}"
  content = bytearray(remote.read(largest))
  content[len(content) // 2] ^= 1
  remote.remove(largest)
  if damage == "changed":
    remote.write(largest, bytes(content))
  said = []
  chex.assert_trees_all_equal(restored(trainer, said), written[2])
  assert [line.startswith("checkpoint 3 is corrupt") for line in said] == [True]
  assert checkpoint_steps(RUN) == [1, 2]
  assert paths.is_folder(f"{FOLDER}/3.corrupt")


def test_an_upload_that_fails_is_one_line_and_leaves_the_earlier_checkpoints(written, monkeypatch):
  def refuse(*_):
    raise remote.StoreError("SlowDown")

  with Checkpointer(RUN) as checkpoints:
    with monkeypatch.context() as refusing:
      refusing.setattr(remote, "upload", refuse)
      checkpoints.save(4, written[4])
      with pytest.raises(
        InputError, match=r"cannot write a checkpoint to .*: SlowDown; .*earlier checkpoints are intact"
      ):
        checkpoints.wait()
    assert checkpoint_steps(RUN) == [1, 2, 3]
    checkpoints.save(4, written[4])
  assert checkpoint_steps(RUN) == [1, 3, 4]


def test_a_store_that_goes_on_refusing_is_one_line_and_the_run_goes_on(written, monkeypatch):
  def refuse(*_, **__):
    raise remote.StoreError("SlowDown")

  with Checkpointer(RUN) as checkpoints:
    with monkeypatch.context() as refusing:
      for name in ("upload", "write", "names", "remove", "remove_below"):
        refusing.setattr(remote, name, refuse)
      checkpoints.save(4, written[4])
      for _ in range(2):
        with pytest.raises(InputError, match=r"cannot write a checkpoint to .*: SlowDown; .*are intact"):
          checkpoints.add_metrics(4, {"bits": 1.0})
        assert checkpoints.steps() == [1, 2, 3]
        checkpoints.save(4, written[4])
      with pytest.raises(InputError, match="SlowDown"):
        checkpoints.wait()
    checkpoints.save(4, written[4])
  assert checkpoint_steps(RUN) == [1, 3, 4]


def test_the_parts_of_two_processes_are_one_checkpoint(written, tmp_path):
  with staging.at_hand(FOLDER, 3) as place:
    whole = paths.sizes_below(f"{place}/3")
    for number in (0, 1):
      part = tmp_path / str(number)
      for name in list(whole)[number::2]:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(pathlib.Path(place, "3", name).read_bytes())
      staging.send(str(part), FOLDER, 9, number, 2)
      paths.remove_folder(part)
      assert (9 in checkpoint_steps(RUN)) == (number == 1)
  chex.assert_trees_all_equal(restore_params(RUN, 9).params, written[3].params)


def test_checkpoints_are_copied_between_disks_and_stores(written, tmp_path):
  disk = tmp_path / "disk"
  (disk / "checkpoints").mkdir(parents=True)
  copy_checkpoint(RUN, disk, 3)
  copy_checkpoint(disk, "memory://checkpoints/other", 3)
  for workdir in (disk, "memory://checkpoints/other"):
    assert checkpoint_steps(workdir) == [3]
    chex.assert_trees_all_equal(restore_params(workdir, "latest").params, written[3].params)
  paths.remove_folder(disk)


def test_a_store_that_cannot_be_reached_is_not_taken_for_empty(written, trainer, monkeypatch):
  def unreachable(*_, **__):
    raise ConnectionError("no route to host")

  with monkeypatch.context() as broken:
    broken.setattr("fsspec.implementations.memory.MemoryFileSystem.ls", unreachable)
    for use in (lambda: Checkpointer(RUN), lambda: checkpoint_steps(RUN)):
      with pytest.raises(InputError, match="no route to host"):
        use()
