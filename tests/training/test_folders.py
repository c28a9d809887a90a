"""Work directories whose names Orbax and TensorStore would not take letter by letter."""

import os

import chex
import jax
import pytest

from catgen import remote
from catgen.interfaces import InputError
from catgen.training import folders, nonfinite, staging
from catgen.training.checkpoint import Checkpointer, checkpoint_steps, copy_checkpoint
from catgen.training.restoring import restore_params
from tests import toys
from tests.training.trainer import Setting, build, run_steps

PATTERNS = ["lr[0.1]", "a*", "a?"]


@pytest.fixture(scope="module")
def trainer():
  return build("denoiser", Setting(devices=1))


@pytest.fixture(scope="module")
def states(trainer):
  """States of steps 1 and 2."""
  first, _ = run_steps(trainer, 1)
  first = jax.device_get(first)
  return {1: first, 2: jax.device_get(run_steps(trainer, 1, first)[0])}


def save(workdir, states):
  with Checkpointer(workdir, identity={"a": 1}, say=pytest.fail) as checkpoints:
    for step, state in states.items():
      checkpoints.save(step, state)
      checkpoints.add_metrics(step, {"bits": float(step)})


def check(workdir, trainer, states):
  """Both checkpoints of a run are read as they were written, by itself and by readers."""
  with Checkpointer(workdir, say=pytest.fail) as checkpoints:
    chex.assert_trees_all_equal(jax.device_get(checkpoints.restore(trainer.target)), states[2])
    assert checkpoints.identity(1) == {"a": 1}
  for step, which in ((1, "best"), (2, "latest")):
    found = restore_params(workdir, which, say=pytest.fail)
    chex.assert_trees_all_equal(jax.device_get(found.params), states[step].params)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_folder_that_looks_like_a_pattern_is_a_folder(name, trainer, states, tmp_path):
  beside, workdir = str(tmp_path / "a1"), str(tmp_path / name)
  save(beside, {step + 10: state._replace(step=state.step + 10) for step, state in states.items()})
  save(workdir, states)
  check(workdir, trainer, states)
  assert checkpoint_steps(beside) == [11, 12]


def test_the_evidence_of_a_step_is_whole_there_too(trainer, states, tmp_path):
  folder = str(tmp_path / "run[1]" / "nonfinite" / "1")
  batch = next(toys.batches(0))
  nonfinite.keep(folder, 1, batch, jax.random.key(0), {"nats": 1.0, "grad_norm": 1.0}, states[1])
  found = restore_params(os.path.join(folder, "state"), say=pytest.fail)
  chex.assert_trees_all_equal(jax.device_get(found.params), states[1].params)


def test_the_cache_of_a_store_may_lie_in_such_a_folder(trainer, states, tmp_path, monkeypatch):
  (tmp_path / "tmp[1]").mkdir()
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp[1]"))
  try:
    save("memory://folders/run[1]", states)
    check("memory://folders/run[1]", trainer, states)
  finally:
    remote.remove_below("memory://folders")


def left_in_parts(workdir, states, monkeypatch):
  """What earlier versions have written: nothing that says which parts there are."""
  with monkeypatch.context() as earlier:
    earlier.setattr(folders, "is_pattern", lambda folder: False)
    save(workdir, states)
  model = f"{workdir}/checkpoints/2/model"
  assert "manifest.ocdbt" not in os.listdir(model)
  assert "ocdbt.process_0" in os.listdir(model)


def test_parts_that_earlier_versions_never_put_together_are_read(trainer, states, tmp_path, monkeypatch):
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
  workdir, copy, stored = str(tmp_path / "run[1]"), str(tmp_path / "copy"), "memory://folders/run"
  left_in_parts(workdir, states, monkeypatch)
  check(workdir, trainer, states)
  assert "manifest.ocdbt" not in os.listdir(f"{workdir}/checkpoints/2/model")  # whoever reads writes nothing there
  try:
    staging.send(f"{workdir}/checkpoints/2", f"{stored}/checkpoints", 2)  # as such a cache has sent it
    assert restore_params(stored, say=pytest.fail).step == 2
    os.makedirs(f"{copy}/checkpoints")
    copy_checkpoint(workdir, copy, 2)
    copy_checkpoint(workdir, "memory://folders/copy", 2)
    os.rename(workdir, tmp_path / "gone")
    for each in (copy, "memory://folders/copy"):
      assert restore_params(each, say=pytest.fail).step == 2
  finally:
    remote.remove_below("memory://folders")


@pytest.mark.parametrize("name", ["a\\b", "a\udcffb"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_written_or_moved(name, trainer, states, tmp_path):
  save(str(tmp_path / "run"), states)
  os.rename(tmp_path / "run", tmp_path / name)
  for use in (Checkpointer, restore_params, lambda workdir: copy_checkpoint(workdir, tmp_path / "copy", 2)):
    with pytest.raises(InputError, match=r"checkpoints cannot lie in .*; give the folder another name") as refused:
      use(str(tmp_path / name))
    assert "\n" not in str(refused.value)
  assert os.listdir(tmp_path) == [name]
  os.rename(tmp_path / name, tmp_path / "run")
  check(str(tmp_path / "run"), trainer, states)


def test_a_cache_that_cannot_be_is_not_taken_for_damage(trainer, states, tmp_path, monkeypatch):
  run = "memory://folders/run"
  try:
    save(run, states)
    (tmp_path / "a\\b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a\\b"))
    with pytest.raises(InputError, match="a backslash would be read as a slash; set TMPDIR to another folder"):
      Checkpointer(run)
    said = []
    with pytest.raises(InputError, match="no readable checkpoint"):
      restore_params(run, say=said.append)
    assert all("is not at hand (" in line and "set TMPDIR" in line for line in said)
    assert checkpoint_steps(run) == [1, 2]
  finally:
    remote.remove_below("memory://folders")
