import json
import os
import signal
import threading
import time

import chex
import jax
import numpy as np
import pytest

from catgen.bounds import bits_per_position
from catgen.interfaces import InputError
from catgen.training import loop
from catgen.training.checkpoint import Checkpointer, checkpoint_steps
from catgen.training.loop import Hooks, Periods, train
from catgen.training.restoring import restore_params
from tests import toys
from tests.training.test_train_step import poison
from tests.training.trainer import Setting, build, run_steps

ONE = Setting(devices=1)


def run(workdir, *, num_steps=12, batches=None, periods=None, checkpoints=None, skip_nonfinite=0, **hooks):
  trainer = build("denoiser", ONE)
  state = trainer.init()
  if checkpoints is not None:
    state = checkpoints.restore(trainer.target) or state
  return train(
    state=state,
    train_step=trainer.train_step,
    batches=batches or toys.batches(int(state.step)),
    key=trainer.key,
    num_steps=num_steps,
    mesh=trainer.mesh,
    workdir=workdir,
    checkpoints=checkpoints,
    periods=periods,
    hooks=Hooks(**hooks),
    skip_nonfinite=skip_nonfinite,
  )


def test_reports_are_means_over_the_steps_since_the_last(tmp_path):
  _, metrics = run_steps(build("denoiser", ONE), 12)
  reports = {}
  result = run(tmp_path, periods=Periods(report=5), report=reports.__setitem__)
  assert (result.step, result.interrupted, result.exit_code) == (12, False, 0)
  assert list(reports) == [5, 10]
  for last, report in reports.items():
    steps = metrics[last - 5 : last]
    positions = sum(int(step["positions"]) for step in steps)
    bits = bits_per_position(-sum(float(step["nats"]) for step in steps), positions)
    assert report["bits"] == pytest.approx(bits, rel=1e-6)
    assert report["terms/prediction"] + report["terms/penalty"] == pytest.approx(bits, rel=1e-5)
    assert report["grad_norm"] == pytest.approx(np.mean([step["grad_norm"] for step in steps]), rel=1e-6)
    assert report["learning_rate"] == pytest.approx(float(steps[-1]["learning_rate"]))
    assert report["positions_per_second"] > 0


def test_validation_sees_the_average_on_its_period_and_at_the_end_and_the_best_is_kept(tmp_path):
  averages, seen = {}, {}
  trainer = build("denoiser", ONE)
  for steps in (5, 10, 12):
    averages[steps] = jax.device_get(run_steps(trainer, steps)[0].ema)

  def validate(params, model_state, step, check):
    seen[step] = jax.device_get(params)
    return {"bits": abs(step - 5.5), "other": 1.0}

  with Checkpointer(tmp_path) as checkpoints:
    run(tmp_path, checkpoints=checkpoints, periods=Periods(validate=5, checkpoint=4), validate=validate)
  chex.assert_trees_all_equal(seen, averages)
  assert checkpoint_steps(tmp_path) == [5, 10, 12]
  assert restore_params(tmp_path, "best").step == 5


def test_a_signal_saves_and_ends_and_the_run_goes_on_bit_for_bit(tmp_path):
  def batches(start, stop_at=None):
    for step, batch in enumerate(toys.batches(start), start):
      if step == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)
      yield batch

  handler = signal.getsignal(signal.SIGTERM)
  with Checkpointer(tmp_path) as checkpoints:
    result = run(tmp_path, batches=batches(0, 4), checkpoints=checkpoints)
    assert (result.step, result.interrupted, result.exit_code) == (5, True, 143)
    assert checkpoints.steps() == [5]
    assert signal.getsignal(signal.SIGTERM) is handler
    resumed = run(tmp_path, checkpoints=checkpoints)
    assert checkpoints.steps() == [5, 12]
  straight, _ = run_steps(build("denoiser", ONE), 12)
  chex.assert_trees_all_equal(jax.device_get(resumed.state), jax.device_get(straight))


@pytest.mark.parametrize("when", ["before the end", "while it waits"])
@pytest.mark.parametrize("room", [False, True])
def test_a_signal_ends_the_wait_for_a_full_disk_after_one_more_try(tmp_path, monkeypatch, when, room):
  tries, said, last = [], [], 3 if when == "while it waits" else 9
  monkeypatch.setattr(loop, "RETRY_SECONDS", 60.0 if when == "while it waits" else 0.1)
  save = Checkpointer.save

  def refuse(checkpoints, step, state):
    waited = any("trying again" in line for line in said)
    tries.append(waited)
    if not (room and waited):
      raise InputError("No space left on device")
    save(checkpoints, step, state)

  def say(line):
    said.append(line)
    if when == "while it waits" and "trying again" in line:
      threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()

  def batches():
    for step, batch in enumerate(toys.batches(0)):
      if step == 2 and when == "before the end":
        os.kill(os.getpid(), signal.SIGTERM)
      yield batch

  monkeypatch.setattr(Checkpointer, "save", refuse)
  started = time.monotonic()
  with Checkpointer(tmp_path) as checkpoints:
    if room:
      result = run(tmp_path, num_steps=last, batches=batches(), checkpoints=checkpoints, say=say)
      assert (result.step, checkpoints.steps()) == (3, [3])
    else:
      with pytest.raises(InputError, match="No space left"):
        run(tmp_path, num_steps=last, batches=batches(), checkpoints=checkpoints, say=say)
  assert tries.count(True) == 1
  assert "trying again " + ("for" if when == "while it waits" else "once") in said[-1]
  assert time.monotonic() - started < 50


def test_a_finished_run_is_not_continued(tmp_path):
  with Checkpointer(tmp_path) as checkpoints:
    run(tmp_path, num_steps=3, checkpoints=checkpoints)
    result = run(tmp_path, num_steps=3, checkpoints=checkpoints)
  assert (result.step, result.exit_code) == (3, 0)


@pytest.mark.parametrize("bad_step", [0, 6, 11])
def test_a_step_that_is_not_finite_stops_and_leaves_what_repeats_it(tmp_path, bad_step):
  def batches():
    for step, batch in enumerate(toys.batches()):
      yield poison(batch) if step == bad_step else batch

  with (
    Checkpointer(tmp_path) as checkpoints,
    pytest.raises(InputError, match=f"step {bad_step}: .*not finite") as caught,
  ):
    run(tmp_path, batches=batches(), checkpoints=checkpoints, periods=Periods(checkpoint=7))
  assert "\n" not in str(caught.value)
  assert "fork" not in str(caught.value)  # no checkpoint can be at fault
  assert max(checkpoint_steps(tmp_path), default=0) <= bad_step
  folder = tmp_path / "nonfinite" / str(bad_step)
  assert json.loads((folder / "metrics.json").read_text())["step"] == bad_step
  trainer = build("denoiser", ONE)
  good, _ = run_steps(trainer, bad_step)
  kept = restore_params(folder / "state")
  chex.assert_trees_all_equal(jax.device_get(kept.params), jax.device_get(good.params))
  assert kept.step == bad_step
  evidence = np.load(folder / "batch-0.npz")
  assert set(evidence.files) == {"x", "valid", "index", "key"}
  batch = toys.first_batch()._replace(**{name: evidence[name] for name in ("x", "valid", "index")})
  key = jax.random.wrap_key_data(evidence["key"])
  _, metrics = trainer.train_step(good, trainer.place(batch), key)
  assert metrics["non_finite"]


def poisoned(start, bad):
  for step, batch in enumerate(toys.batches(start), start):
    yield poison(batch) if step in bad else batch


def test_b2_so_many_steps_that_are_not_finite_are_left_out_counted_and_kept(tmp_path):
  reports, said = {}, []
  options = {"report": reports.__setitem__, "say": said.append, "periods": Periods(report=4, checkpoint=5)}
  with Checkpointer(tmp_path) as checkpoints:
    result = run(
      tmp_path, num_steps=8, batches=poisoned(0, {3, 6}), skip_nonfinite=2, checkpoints=checkpoints, **options
    )
    assert checkpoints.steps() == [5, 8]
  assert (result.step, int(result.state.step)) == (8, 8)
  assert {step: report["skipped_steps"] for step, report in reports.items()} == {4: 1.0, 8: 2.0}
  assert np.isfinite([report["bits"] for report in reports.values()]).all()
  assert [line.partition(": nats nan")[0] for line in said] == [f"warning: step {step} was skipped" for step in (3, 6)]
  trainer = build("denoiser", ONE)
  state, skip = trainer.init(), {3, 6}
  for step, batch in zip(range(8), toys.batches(0), strict=False):
    if step in skip:
      state = state._replace(step=state.step + 1)  # nothing else moves
    else:
      state, _ = trainer.train_step(state, trainer.place(batch), trainer.key)
  chex.assert_trees_all_equal(jax.device_get(result.state), jax.device_get(state))
  for step in skip:
    assert json.loads((tmp_path / "nonfinite" / str(step) / "metrics.json").read_text())["skipped"]
  spoiled = r"step 8: loss or gradient is not finite.* by launch\.fork, from a checkpoint before that of step 8"
  with Checkpointer(tmp_path) as checkpoints, pytest.raises(InputError, match=spoiled):
    # those that were skipped before a restart count
    run(tmp_path, batches=poisoned(8, {8}), skip_nonfinite=2, checkpoints=checkpoints, say=quiet)


def quiet(line):
  """Says nothing."""


def test_a_validation_that_fails_costs_no_step(tmp_path):
  def fail(params, model_state, step, check):
    raise RuntimeError("out of memory")

  with Checkpointer(tmp_path) as checkpoints, pytest.raises(RuntimeError, match="out of memory"):
    run(tmp_path, num_steps=7, checkpoints=checkpoints, periods=Periods(validate=4), validate=fail)
  good, _ = run_steps(build("denoiser", ONE), 4)
  kept = restore_params(tmp_path)
  assert kept.step == 4
  chex.assert_trees_all_equal(jax.device_get(kept.params), jax.device_get(good.params))


def test_batches_that_end_too_soon_are_named(tmp_path):
  with pytest.raises(InputError, match="ended before step 3"):
    run(tmp_path, batches=iter([toys.first_batch(start_step=step) for step in range(3)]))
