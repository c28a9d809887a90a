import asyncio
import errno
import os
import shutil
import time

import chex
import jax
import numpy as np
import pytest
from orbax.checkpoint.path import atomicity

from catgen.interfaces import InputError
from catgen.training import stored
from catgen.training.checkpoint import Checkpointer, checkpoint_steps
from catgen.training.restoring import Gone, restore_params
from tests.training.trainer import Setting, build, run_steps

ONE = Setting(devices=1)


@pytest.fixture(scope="module")
def trainer():
  return build("denoiser", ONE)


@pytest.fixture(scope="module")
def written(trainer, tmp_path_factory):
  """Checkpoints of steps 2, 4 and 6, the best by its metrics at 2; copied by those who damage it."""
  workdir = tmp_path_factory.mktemp("written")
  state, saved = None, {}
  with Checkpointer(workdir, keep_latest=2) as checkpoints:
    for step, bits in ((1, 5.0), (2, 1.0), (3, None), (4, 3.0), (6, 2.0)):
      state, _ = run_steps(trainer, step - (0 if state is None else int(state.step)), state)
      saved[step] = jax.device_get(state)
      checkpoints.save(step, state)
      if bits is not None:
        checkpoints.add_metrics(step, {"bits": bits})
  return workdir, saved


@pytest.fixture
def copied(written, tmp_path):
  shutil.copytree(written[0], tmp_path / "run")
  return tmp_path / "run", written[1]


def files(workdir, step):
  for folder, _, names in os.walk(workdir / "checkpoints" / str(step)):
    yield from (os.path.join(folder, name) for name in names)


def flip(path, position=0.5):
  with open(path, "r+b") as file:
    data = bytearray(file.read())
    data[int(len(data) * position)] ^= 1
    file.seek(0)
    file.write(data)


def array_file(workdir, step, item="model"):
  return max((f for f in files(workdir, step) if f"/{item}/d/" in f), key=os.path.getsize)


def test_the_latest_and_the_best_are_kept_also_after_a_restart(copied, trainer):
  workdir, _ = copied
  assert checkpoint_steps(workdir) == [2, 4, 6]
  with Checkpointer(workdir, keep_latest=1) as checkpoints:
    state, _ = run_steps(trainer, 1, checkpoints.restore(trainer.target))
    checkpoints.save(7, state)
    checkpoints.add_metrics(7, {"bits": 4.0})
  assert checkpoint_steps(workdir) == [2, 7]
  assert restore_params(workdir, "best").step == 2


def test_every_m_th_is_kept_where_asked(trainer, tmp_path):
  state, _ = run_steps(trainer, 1)
  with Checkpointer(tmp_path, keep_latest=1, keep_every=3) as checkpoints:
    for step in range(1, 8):
      checkpoints.save(step, state)
  assert checkpoint_steps(tmp_path) == [3, 6, 7]


def test_a_state_comes_back_bit_for_bit(written, trainer):
  workdir, saved = written
  with Checkpointer(workdir) as checkpoints:
    restored = checkpoints.restore(trainer.target)
  chex.assert_trees_all_equal(jax.device_get(restored), saved[6])
  jax.tree.map(lambda x, t: chex.assert_equal(x.sharding, t.sharding), restored, trainer.target)


def test_resumed_is_uninterrupted_bit_for_bit(written, trainer):
  with Checkpointer(written[0]) as checkpoints:
    restored = checkpoints.restore(trainer.target)
  resumed, later = run_steps(trainer, 4, restored)
  straight, metrics = run_steps(trainer, 10)
  chex.assert_trees_all_equal(jax.device_get(resumed), jax.device_get(straight))
  chex.assert_trees_all_equal(later, metrics[6:])


def test_a_run_stopped_on_eight_devices_goes_on_on_one(trainer, tmp_path):
  eight = build("denoiser", Setting(fsdp=8))
  state, _ = run_steps(eight, 3)
  with Checkpointer(tmp_path) as checkpoints:
    checkpoints.save(3, state)
    checkpoints.wait()
    resumed, metrics = run_steps(trainer, 3, checkpoints.restore(trainer.target))
  _, straight = run_steps(trainer, 6)
  assert jax.tree.leaves(resumed.params)[0].devices() == {jax.devices()[0]}
  chex.assert_trees_all_close(metrics, straight[3:], rtol=2e-4, atol=1e-4)


def test_parameters_are_read_without_the_optimizer(written):
  workdir, saved = written
  for step, found in (("latest", 6), ("best", 2), (4, 4)):
    restored = restore_params(workdir, step)
    assert restored.step == found
    for name in ("params", "ema", "model_state"):
      chex.assert_trees_all_equal(jax.device_get(getattr(restored, name)), getattr(saved[found], name))
  assert restore_params(workdir, "best", criterion="bits").step == 2


def test_missing_checkpoints_are_named(written, tmp_path):
  with pytest.raises(InputError, match="no checkpoint in"):
    restore_params(tmp_path)
  with pytest.raises(InputError, match=r"step 5 .* there are 2, 4, 6"):
    restore_params(written[0], 5)


def test_lists_of_layers_have_integer_keys(trainer, tmp_path):
  state, _ = run_steps(trainer, 1)
  layers = {number: {"kernel": np.full((2, 2), number, np.float32)} for number in range(12)}
  with Checkpointer(tmp_path) as checkpoints:
    checkpoints.save(1, state._replace(params={"layers": layers}))
  chex.assert_trees_all_equal(restore_params(tmp_path).params, {"layers": layers})


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_passed_over(copied, monkeypatch):
  workdir, _ = copied
  read, said = stored.read, []

  def read_late(directory, step, *rest):
    if step == 6:
      shutil.rmtree(os.path.join(directory, "6"))
    return read(directory, step, *rest)

  monkeypatch.setattr(stored, "read", read_late)
  restored = restore_params(workdir, say=said.append)
  assert restored.step == 4
  assert [line.partition(" in ")[0] for line in said] == ["checkpoint 6"]
  assert said[0].endswith("was deleted meanwhile")
  with pytest.raises(Gone, match=r"step 6 .* there are 2, 4"):
    restore_params(workdir, 6)


def damage(workdir, how):
  path = array_file(workdir, 6)
  if how == "flipped bit":
    flip(path)
  elif how == "flipped bit of the optimizer":
    flip(array_file(workdir, 6, "optimizer"))
  elif how == "truncated":
    os.truncate(path, os.path.getsize(path) // 2)
  elif how == "no description":
    for name in files(workdir, 6):
      if name.endswith("_METADATA"):
        os.truncate(name, 7)
  else:
    shutil.rmtree(workdir / "checkpoints" / "6" / "model")


@pytest.mark.parametrize(
  "how",
  [
    *(pytest.param(how, marks=pytest.mark.slow) for how in ("flipped bit of the optimizer", "removed")),
    *("flipped bit", "truncated", "no description"),
  ],
)
def test_a_corrupt_newest_checkpoint_falls_back_and_says_so(copied, trainer, how, capfd):
  workdir, saved = copied
  damage(workdir, how)
  said = []
  with Checkpointer(workdir, say=said.append) as checkpoints:
    restored = checkpoints.restore(trainer.target)
    chex.assert_trees_all_equal(jax.device_get(restored), saved[4])
    assert len(said) == 1
    assert "checkpoint 6 is corrupt" in said[0]
    assert os.path.isdir(workdir / "checkpoints" / "6.corrupt")
    state, _ = run_steps(trainer, 2, restored)
    checkpoints.save(6, state)
  assert checkpoint_steps(workdir) == [2, 4, 6]
  assert capfd.readouterr() == ("", "")


def test_a_flipped_bit_within_an_array_is_noticed(trainer, tmp_path):
  """The format's own checks cover its index and its compressed frames, not the bits of incompressible arrays."""
  state, _ = run_steps(trainer, 1)
  noise = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
  with Checkpointer(tmp_path, say=lambda _: None) as checkpoints:
    for step in (1, 2):
      checkpoints.save(step, state._replace(params={"kernel": noise * step}))
  data = max(files(tmp_path, 2), key=os.path.getsize)
  assert os.path.getsize(data) > 8000
  flip(data)
  said = []
  np.testing.assert_array_equal(restore_params(tmp_path, say=said.append).params["kernel"], noise)
  assert "its bits have changed" in said[0]


def test_damaged_metrics_cost_a_checkpoint_its_rank_alone(copied, trainer):
  workdir, saved = copied
  os.truncate(workdir / "checkpoints" / "2" / "metrics" / "metrics", 3)
  assert restore_params(workdir, "best").step == 6
  said = []
  with Checkpointer(workdir, say=said.append) as checkpoints:
    chex.assert_trees_all_equal(jax.device_get(checkpoints.restore(trainer.target)), saved[6])
  assert len(said) == 1
  assert "metrics of checkpoint 2" in said[0]
  assert restore_params(workdir, 2).step == 2


def test_reading_parameters_falls_back_too_and_moves_nothing(copied):
  workdir, _ = copied
  damage(workdir, "flipped bit")
  said = []
  assert restore_params(workdir, say=said.append).step == 4
  assert "checkpoint 6" in said[0]
  assert checkpoint_steps(workdir) == [2, 4, 6]
  with pytest.raises(InputError, match=r"no readable checkpoint 6 .*; choose another by --step, .*: 2, 4$"):
    restore_params(workdir, 6, say=said.append)


@pytest.mark.parametrize("item", ["model", "optimizer"])
def test_if_none_can_be_read_nothing_is_started_over_or_moved(copied, trainer, item):
  workdir, saved = copied
  for step in (2, 4, 6):
    flip(array_file(workdir, step, item))
  for _ in range(2):
    with Checkpointer(workdir, say=pytest.fail) as checkpoints, pytest.raises(InputError, match="none of the"):
      checkpoints.restore(trainer.target)
  assert checkpoint_steps(workdir) == [2, 4, 6]
  if item == "optimizer":  # whoever needs none can read all else
    chex.assert_trees_all_equal(jax.device_get(restore_params(workdir, "best").params), saved[2].params)


@pytest.mark.parametrize(
  ("other", "named"), [(("markov", ONE), "model"), (("denoiser", ONE._replace(optimizer="adam")), "optimizer")]
)
def test_a_checkpoint_of_another_run_is_refused_in_one_line_and_left_alone(written, other, named):
  with Checkpointer(written[0]) as checkpoints, pytest.raises(InputError, match=f"of another {named}") as caught:
    checkpoints.restore(build(*other).target)
  assert "\n" not in str(caught.value)
  assert checkpoint_steps(written[0]) == [2, 4, 6]


def test_an_empty_work_directory_has_nothing_to_restore(trainer, tmp_path):
  with Checkpointer(tmp_path / "new") as checkpoints:
    assert checkpoints.restore(trainer.target) is None


def test_what_an_interrupted_write_left_is_cleared(copied):
  workdir, _ = copied
  left = workdir / "checkpoints" / "8.orbax-checkpoint-tmp"
  shutil.copytree(workdir / "checkpoints" / "6", left)
  with Checkpointer(workdir) as checkpoints:
    assert checkpoints.steps() == [2, 4, 6]
  assert not left.exists()


def test_a_directory_that_cannot_be_written_is_named(tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match=r"cannot write to .*Not a directory"):
    Checkpointer(tmp_path / "file")

  def refuse(*_, **__):
    raise OSError(errno.EROFS, "Read-only file system")

  monkeypatch.setattr(os, "makedirs", refuse)
  with pytest.raises(InputError, match=r"cannot write to .*Read-only file system"):
    Checkpointer(tmp_path / "other")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EEXIST])
def test_a_full_disk_is_one_line_and_leaves_the_earlier_checkpoint(copied, trainer, monkeypatch, number):
  workdir, saved = copied
  checkpoints = Checkpointer(workdir)
  state, _ = run_steps(trainer, 1, checkpoints.restore(trainer.target))

  def full(*_, **__):
    raise OSError(number, os.strerror(number))

  async def slowly(self, *arguments, make=atomicity.AtomicRenameTemporaryPath.create, **keywords):
    await asyncio.sleep(0.2)
    return await make(self, *arguments, **keywords)

  with monkeypatch.context() as patched:
    patched.setattr("orbax.checkpoint.StandardCheckpointHandler.async_save", full)
    patched.setattr(atomicity.AtomicRenameTemporaryPath, "create", slowly)
    with pytest.raises(InputError, match=os.strerror(number)) as caught:
      checkpoints.save(7, state)
  assert "earlier checkpoints are intact" in str(caught.value)
  assert "\n" not in str(caught.value)
  chex.assert_trees_all_equal(jax.device_get(checkpoints.restore(trainer.target)), saved[6])
  time.sleep(0.5)
  assert not [name for name in os.listdir(workdir / "checkpoints") if "tmp" in name]  # nor is one made late
  checkpoints.close()
