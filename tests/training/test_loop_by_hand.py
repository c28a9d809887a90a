"""The loop around a step that computes nothing: what is reported, when, and in which order things happen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import InputError
from catgen.training.loop import Hooks, Periods, train
from catgen.training.sharding import make_mesh
from catgen.training.state import TrainState

POSITIONS = np.array([3, 10, 1, 7, 2, 5, 5])
NATS = -np.array([4.0, 11.0, 3.0, 9.0, 1.0, 6.0, 8.0])


class Run:
  """A run whose events are told in order."""

  def __init__(self, *, first=0, ema=None, bad=None):
    self.told, self.reports, self.validated, self.bad = [], {}, {}, bad
    self.state = TrainState(jnp.int32(first), {"w": jnp.float32(first)}, ema, (), {"m": jnp.float32(0)})

  def step(self, state, batch, key, number):
    self.told.append(f"step {number}")
    assert int(state.step) == number
    metrics = {
      "nats": np.float32(NATS[number]),
      "terms": {"fit": np.float32(0.5 * NATS[number]), "prior": np.float32(0.5 * NATS[number])},
      "positions": POSITIONS[number],
      "grad_norm": np.float32(number),
      "learning_rate": np.float32(0.1 * (number + 1)),
      "non_finite": number == self.bad,
    }
    params = {"w": jnp.float32(number + 1)}
    return state._replace(step=jnp.int32(number + 1), params=params), metrics

  def report(self, done, numbers):
    self.told.append(f"report {done}")
    self.reports[done] = numbers

  def validate(self, params, model_state, done, check):
    check()
    self.told.append(f"validate {done}")
    self.validated[done] = params
    return {"bits": 1.0}

  def train(self, workdir, num_steps=7, **periods):
    batches = iter([batch_of(np.zeros((1, 2), np.int32))] * 99)
    return train(
      state=self.state,
      train_step=self.step,
      batches=batches,
      key=jax.random.key(0),
      num_steps=num_steps,
      mesh=make_mesh(devices=jax.devices()[:1]),
      workdir=workdir,
      periods=Periods(**{"report": 0, **periods}),
      hooks=Hooks(report=self.report, validate=self.validate),
    )


@pytest.mark.parametrize("period", [1, 3, 7])
def test_bits_are_all_nats_over_all_positions_since_the_last_report(tmp_path, period):
  run = Run()
  run.train(tmp_path, report=period)
  assert list(run.reports) == list(range(period, 8, period))
  for done, found in run.reports.items():
    window = slice(done - period, done)
    bits = -NATS[window].sum() / np.log(2) / POSITIONS[window].sum()
    assert found["bits"] == pytest.approx(bits, rel=1e-6)
    assert found["terms/fit"] == found["terms/prior"] == pytest.approx(bits / 2, rel=1e-6)
    assert found["grad_norm"] == pytest.approx(np.arange(7)[window].mean())
    assert found["learning_rate"] == pytest.approx(0.1 * done)


def test_a_step_is_read_when_the_next_one_has_started_and_before_it_is_validated(tmp_path):
  run = Run()
  run.train(tmp_path, num_steps=4, report=1, validate=2)
  assert run.told == [
    *("step 0", "step 1", "report 1", "report 2", "validate 2"),
    *("step 2", "step 3", "report 3", "report 4", "validate 4"),
  ]


def test_validation_sees_the_average_where_there_is_one_and_else_the_parameters(tmp_path):
  plain, averaged = Run(), Run(ema={"w": jnp.float32(-5)})
  for run in (plain, averaged):
    run.train(tmp_path, num_steps=3, validate=2)
  assert [float(params["w"]) for params in plain.validated.values()] == [2.0, 3.0]
  assert [float(params["w"]) for params in averaged.validated.values()] == [-5.0, -5.0]


def test_a_run_goes_on_from_the_step_of_its_state(tmp_path):
  run = Run(first=4)
  result = run.train(tmp_path, report=2)
  assert run.told[0] == "step 4"
  assert list(run.reports) == [6]
  assert (result.step, int(result.state.step), result.interrupted, result.exit_code) == (7, 7, False, 0)
  over = Run(first=7)
  assert over.train(tmp_path).step == 7
  assert over.told == []


@pytest.mark.parametrize("bad", [0, 3])
def test_what_is_not_finite_ends_the_run_one_step_later_with_its_number(tmp_path, bad):
  run = Run(bad=bad)
  with pytest.raises(InputError, match=f"step {bad}: loss or gradient is not finite"):
    run.train(tmp_path)
  assert run.told == [f"step {number}" for number in range(bad + 2)]
  assert (tmp_path / "nonfinite" / str(bad) / "metrics.json").exists()
