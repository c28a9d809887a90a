"""Work that was lost to a stop, a full disk, a picture or another process; `tests.faults` does it to processes."""

import errno
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.reporting import writers
from catgen.runs import evaluate, lock, owners
from catgen.runs.correct import correct
from catgen.runs.experiment import make_experiment
from catgen.runs.infill import infill
from catgen.runs.sample import describe, sample
from catgen.runs.score import score
from catgen.runs.train import train
from catgen.runs.validation import make_validation
from catgen.training.checkpoint import Checkpointer, checkpoint_steps
from catgen.training.loop import Periods
from catgen.training.restoring import restore_params
from catgen.training.signals import Stopped, catch_signals, saving_ends_nothing
from tests.tiny_run import plain_config, quiet, tiny_map_config
from tests.training.test_loop import run


def no_room(*_, **__):
  raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def uneven(maps, tmp_path_factory):
  """The config and work directory of a run on three devices, with a folder where a picture belongs, and its lines."""
  folder, said = tmp_path_factory.mktemp("uneven"), []
  for name in ("validation_samples.png", "loss_curve.png"):
    (folder / name / "in the way").mkdir(parents=True)
  sizes = {"training.batch_size": 9, "training.num_steps": 4, "training.validate_every": 2, "training.report_every": 2}
  config = tiny_map_config(maps, **sizes, **{"evaluation.batch_size": 32, "sampling.num_steps": 2})
  ended = train(config, str(folder), devices=jax.devices()[:3], say=said.append)
  assert (ended.step, ended.exit_code) == (4, 0)
  return config, folder, said


def validations(folder):
  lines = writers.read_metrics(folder / "metrics.jsonl")
  return {line["step"]: line["validation/bits"] for line in lines if "validation/bits" in line}


def test_a1_validation_on_devices_that_do_not_divide_a_batch_is_that_on_one(text, plain_workdir):
  read = restore_params(plain_workdir)
  config, found = plain_config(text, **{"training.batch_size": 9, "evaluation.batch_size": 32}), []
  for devices in (3, 1):
    validate = make_validation(make_experiment(config, devices=jax.devices()[:devices]))
    found.append(validate(jax.device_get(read.params), jax.device_get(read.model_state), 0, lambda: None))
  assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.slow
def test_a1_three_devices_train_and_validate(uneven):
  _, folder, _ = uneven
  assert checkpoint_steps(folder) == [2, 4]
  assert list(validations(folder)) == [2, 4]
  assert all(0 < bits < 3 for bits in validations(folder).values())


def test_a1_what_devices_cannot_share_is_said_before_the_first_step(maps, tmp_path):
  config = tiny_map_config(maps, **{"training.batch_size": 8})
  with pytest.raises(InputError, match=r"batch_size.* 8.*3|3.*batch_size.* 8"):
    train(config, str(tmp_path / "run"), devices=jax.devices()[:3], say=quiet)
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a2_a_picture_that_cannot_be_drawn_is_one_line(uneven):
  _, folder, said = uneven
  warnings = [line for line in said if line.startswith("warning: ")]
  assert [line.split()[2] for line in warnings] == ["validation_samples.png:", "loss_curve.png:"]
  assert all(line.endswith("the work goes on without") for line in warnings)
  *lines, last = writers.read_metrics(folder / "metrics.jsonl")
  assert [line["step"] for line in lines] == [2, 2, 4, 4]
  assert "time/goodput" in last


def test_a2_a_validation_that_dies_is_made_when_the_run_goes_on(tmp_path):
  validated = []

  def dies(params, model_state, step, check):
    raise SystemExit  # what no one catches

  def validate(params, model_state, step, check):
    validated.append(step)
    return {"bits": 1.0 / step}

  with Checkpointer(tmp_path) as checkpoints:
    with pytest.raises(SystemExit):
      run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5), validate=dies)
    assert checkpoints.steps() == [5]
    run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5), validate=validate)
    run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5), validate=validate)
  assert validated == [5, 10, 12]
  assert restore_params(tmp_path, "best").step == 12


def test_a2_a_disk_without_room_for_the_numbers_costs_neither_steps_nor_the_best_checkpoint(tmp_path, monkeypatch):
  said, asked = [], []
  with Checkpointer(tmp_path) as checkpoints:
    add = checkpoints.add_metrics

    def add_later(step, metrics):
      asked.append(step)
      if len(asked) < 3:
        raise InputError("no room")
      add(step, metrics)

    monkeypatch.setattr(checkpoints, "add_metrics", add_later)
    ended = run(
      tmp_path,
      checkpoints=checkpoints,
      periods=Periods(validate=5),
      validate=lambda params, model_state, step, check: {"bits": float(step)},
      say=said.append,
    )
  assert (ended.step, ended.exit_code) == (12, 0)
  assert asked == [5, 5, 5, 10, 12]
  assert said == ["warning: no room; training goes on"] * 2
  assert restore_params(tmp_path, "best").step == 5


def test_a2_numbers_of_a_checkpoint_that_is_gone_make_none(tmp_path):
  with Checkpointer(tmp_path) as checkpoints:
    checkpoints.add_metrics(7, {"bits": 1.0})
  assert checkpoint_steps(tmp_path) == []


@pytest.mark.parametrize("blocked", ["results.json", "scores"])
def test_a3_an_evaluation_that_cannot_be_written_is_refused_before_the_work(text_run, here, tmp_path, blocked):
  (tmp_path / "results.json").mkdir() if blocked == "results.json" else (tmp_path / "scores").write_text("a file")
  said = []
  with pytest.raises(InputError, match=blocked):
    evaluate.evaluate(here(text_run), max_examples=8, say=said.append)
  assert said == []


def test_a3_a_number_is_shown_before_it_is_written_and_kept_until_it_is(text_run, here, tmp_path, monkeypatch):
  said, scored = [], []

  def opened(total, *, done, **_):
    scored.append((done, total))
    return type("Bar", (), {"update": lambda *_: None, "close": lambda *_: None})()

  def evaluated():
    return evaluate.evaluate(here(text_run), max_examples=16, pictures=False, say=said.append, progress=opened)

  monkeypatch.setattr("catgen.runs.partial.EVERY_SECONDS", 0.0)
  with monkeypatch.context() as full:
    full.setattr(results, "add_results", no_room)
    first = evaluated()
  assert first.path is None
  assert f"{first.result['value']:.4f}" in said[0]
  assert said[1] == "warning: no results: OSError: [Errno 28] No space left on device; the work goes on without"
  second = evaluated()
  assert scored == [(0, 2), (2, 2)]  # what was scored is not scored again
  assert second.result["value"] == first.result["value"]
  assert results.read_results(tmp_path) == [second.result]
  assert [path.name.startswith("unfinished") for path in (tmp_path / "scores").iterdir()] == [False]


def lock_of(folder, **changes):
  """Returns the path of a lock file as this process would write it, with what is changed."""
  path = pathlib.Path(folder) / lock.FILE_NAME
  path.write_text(json.dumps({**owners.this_process()._asdict(), **changes}))
  return path


def test_a4_a_second_writer_is_refused_by_host_process_and_start(tmp_path):
  with lock.held(tmp_path, quiet):
    owner = lock.owner_of(tmp_path)
    assert owner.pid == os.getpid()
    for _ in range(2):
      with pytest.raises(InputError) as refused, lock.held(tmp_path, quiet):
        pass
    expected = f"is in use by process {os.getpid()} on {owner.host}, since {owner.started} UTC: wait for it"
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
  assert lock.owner_of(tmp_path) is None
  assert list(tmp_path.iterdir()) == []


def test_a4_a_lock_that_finds_no_room_is_not_left_there(tmp_path, monkeypatch):
  monkeypatch.setattr(os, "fsync", no_room)
  with pytest.raises(InputError, match=r"lock\.json: No space left on device; free space"), lock.held(tmp_path, quiet):
    pass
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"host": 3}'])
def test_a4_a_lock_of_the_dead_is_recognized(tmp_path, damage):
  path = lock_of(tmp_path, born="1", token="another")
  if damage is not None:
    path.write_text(damage)
  said = []
  with lock.held(tmp_path, said.append) as mine:
    mine.check()
  assert [re.search("which is gone; going on", line) is not None for line in said] == [True] * (damage is None)


@pytest.mark.parametrize(("lives", "ahead"), [(False, 0.0), (False, 3600.0), (True, 0.0)])
def test_a4_a_lock_of_another_host_counts_while_it_is_written_again(tmp_path, monkeypatch, lives, ahead):
  path = lock_of(tmp_path, host="another", boot="another", token="another")
  os.utime(path, (time.time() + ahead,) * 2)  # as before a clock was set back
  monkeypatch.setattr(owners, "STALE_SECONDS", 0.4)
  if lives:
    times = itertools.count(1)
    monkeypatch.setattr(lock, "_beaten", lambda path: time.time() + next(times) / 1000)
    with pytest.raises(InputError, match="on another, since"), lock.held(tmp_path, quiet):
      pass
    assert json.loads(path.read_text())["token"] == "another"
  else:
    with lock.held(tmp_path, quiet):
      assert lock.owner_of(tmp_path).pid == os.getpid()


def test_a4_a_lock_that_is_deleted_is_made_again_and_one_that_was_lost_ends_the_run(tmp_path):
  with lock.held(tmp_path, quiet) as mine:
    mine.path.unlink()
    mine.check()
    with pytest.raises(InputError, match="in use by"), lock.held(tmp_path, quiet):
      pass
    mine.path.unlink()
    with lock.held(tmp_path, quiet) as other:
      with pytest.raises(InputError, match="was taken over by"):
        mine.check()
      mine.release()
      assert other.path.exists()  # it is the other's
      mine._file = os.open(os.devnull, os.O_RDONLY)  # the block closes it once more
      other.check()


def test_a4_a_folder_that_vanishes_is_let_go_of(tmp_path):
  with lock.held(tmp_path / "run", quiet) as mine:
    shutil.rmtree(tmp_path / "run")
    mine.check()
  assert not (tmp_path / "run").exists()


def test_a5_a_signal_leaves_a_validation_at_the_next_batch(tmp_path):
  batches, validated = [], []

  def long(params, model_state, step, check):
    for number in range(1000):
      batches.append(number)
      if number == 3:
        os.kill(os.getpid(), signal.SIGTERM)
      check()
    return {"bits": 1.0}

  def validate(params, model_state, step, check):
    validated.append(step)
    return {"bits": 1.0}

  with Checkpointer(tmp_path) as checkpoints:
    ended = run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5), validate=long)
    assert (ended.step, ended.interrupted, ended.exit_code, batches[-1]) == (5, True, 143, 3)
    assert checkpoints.steps() == [5]
    run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5), validate=validate)
  assert validated == [5, 10, 12]


def test_a5_a_signal_leaves_an_evaluation_which_goes_on(text_run, here, monkeypatch):
  found = []

  class Bar:
    def update(self, share):
      found.append(share)
      if len(found) == 20:  # each batch takes 16 calls: four draws in each of four replicates
        os.kill(os.getpid(), signal.SIGINT)

    def close(self):
      pass

  def evaluated():
    return evaluate.evaluate(
      here(text_run), max_examples=16, pictures=False, say=quiet, progress=lambda *_, **__: Bar()
    )

  with pytest.raises(Stopped, match="stopped after 1 of 2 batches; the same command goes on") as stopped:
    evaluated()
  assert stopped.value.code == 130
  result = evaluated().result
  assert len(found) == 20 + 16  # the first batch is not scored again
  assert (
    result["value"] == evaluate.evaluate(here(text_run), max_examples=16, pictures=False, say=quiet).result["value"]
  )


def press_twice():
  with catch_signals() as request:
    os.kill(os.getpid(), signal.SIGINT)
    assert request.signal == signal.SIGINT
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1.0)  # never so long


def test_a5_a_second_ctrl_c_keeps_an_interactive_python(monkeypatch):
  monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyboardInterrupt):
    press_twice()
  assert signal.getsignal(signal.SIGINT) == before


def test_a5_the_signal_to_save_ends_nothing_where_nothing_is_to_be_saved():
  before = signal.getsignal(signal.SIGUSR1)
  with saving_ends_nothing():
    os.kill(os.getpid(), signal.SIGUSR1)
    with catch_signals() as request:
      os.kill(os.getpid(), signal.SIGUSR1)
    assert request.save
    os.kill(os.getpid(), signal.SIGUSR1)
  assert signal.getsignal(signal.SIGUSR1) == before


def test_a5_the_signal_to_save_ends_no_command_that_is_still_importing():
  program = "import launch, os, signal; os.kill(os.getpid(), signal.SIGUSR1); print('goes on')"
  assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"goes on\n"


@pytest.fixture
def unwritable(tmp_path):
  """Returns a run as if its work directory could not be written; root may write wherever there is a folder."""
  (tmp_path / "file").write_text("no folder")
  return lambda run: run._replace(workdir=str(tmp_path / "file" / "run"))


def told(act, named):
  """Returns what `act` returns, which must say one line of warning."""
  said = []
  found = act(said.append)
  warnings = [line for line in said if "cannot write" in line or line.startswith("warning: ")]
  assert len(warnings) == 1, said
  assert named in warnings[0]
  return found


def test_a7_an_evaluation_of_a_read_only_run_is_shown_and_kept_elsewhere(text_run, unwritable, tmp_path):
  run_here, said = unwritable(text_run), []
  found = evaluate.evaluate(run_here, max_examples=8, pictures=False, output=str(tmp_path / "out"), say=said.append)
  assert results.read_results(tmp_path / "out") == [found.result]
  shown = []
  again = evaluate.evaluate(run_here, max_examples=8, pictures=False, say=shown.append)
  assert again.result["value"] == found.result["value"]
  assert again.path is None
  assert "--output=FOLDER keeps the results elsewhere; without it they are only shown" in shown[0]
  assert shown[1] == said[0]


def test_a7_scores_and_samples_of_a_read_only_run_are_shown(text_run, unwritable):
  run_here = unwritable(text_run)
  texts = [run_here.decode(x) for x in np.zeros((2, 16), np.int32)]
  scored = told(lambda say: score(run_here, texts, reference=8, num_draws=1, say=say), "scores of training examples")
  assert len(scored.bits) == 2
  assert len(scored.reference) == 8
  drawn = told(lambda say: sample(run_here, num_samples=2, num_steps=2, chain=True, num_frames=2, say=say), "pictures")
  assert describe(drawn).splitlines()[:2] == drawn.lines


def test_a7_maps_of_a_read_only_run_are_completed_and_corrected(map_run, unwritable):
  run_here = unwritable(map_run)
  completed = told(lambda say: infill(run_here, split="test", region=["0,0,2,2"], num_samples=1, say=say), "pictures")
  assert completed.pictures == ()
  assert completed.x.shape == (1, 8, 8)
  corrected = told(lambda say: correct(run_here, method="paper", say=say), "pictures")
  assert corrected.x.shape == (8, 8)
  assert corrected.pictures == ()
