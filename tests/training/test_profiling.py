"""Which steps are traced, what is left of them, and that it may fail."""

import contextlib

import jax
import pytest

from catgen.interfaces import InputError
from catgen.runs.by_products import ByProducts
from catgen.training.profiling import profiling, steps_of


@pytest.mark.parametrize("text", ["", "10", "10:", "10:10", "15:10", "-1:3", "a:b", "1:2:3", "1" * 50 + ":2"])
def test_what_is_no_range_of_steps_is_refused(text):
  with pytest.raises(InputError, match="give FIRST:STOP"):
    steps_of(text)


@pytest.fixture
def profiler(monkeypatch):
  calls = []
  monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(f"start {bool(folder)}"))
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
  return calls


@pytest.mark.parametrize(
  ("run", "acted"),
  [
    (range(10), [3, 6]),  # step 5 is read before step 6
    (range(4), [3]),  # the run ends before
    (range(4, 10), [4, 6]),  # it begins in the middle
    (range(6, 10), []),
  ],
)
def test_a_trace_lasts_from_before_its_first_step_until_its_last_has_been_read(tmp_path, profiler, run, acted):
  said = []
  with profiling((3, 5), str(tmp_path), lambda what: contextlib.nullcontext(), said.append) as profile:
    assert [step for step in run if profile(step)] == acted
  assert profiler == (["start True", "stop"] if acted else [])
  assert said == ([] if acted else ["there is no trace: none of the steps 3 to 4 was made"])


@pytest.mark.parametrize("broken", ["start_trace", "stop_trace"])
def test_a_trace_that_fails_is_one_warning(tmp_path, profiler, monkeypatch, broken):
  tried = []

  def fail(*words):
    tried.append(words)
    raise RuntimeError("only one profile may be run\nat a time")

  monkeypatch.setattr(jax.profiler, broken, fail)
  said = []
  with profiling((3, 5), str(tmp_path), ByProducts(said.append).may_fail, said.append) as profile:
    for step in range(10):
      profile(step)
  assert len(tried) == 1
  assert said == ["warning: no trace: RuntimeError: only one profile may be run at a time; the work goes on without"]


def test_files_of_the_profiler_come_to_where_tensorboard_looks(tmp_path):
  said = []
  with profiling((0, 1), str(tmp_path), ByProducts(said.append).may_fail, said.append) as profile:
    for step in range(3):
      with jax.profiler.StepTraceAnnotation("train", step_num=step):
        profile(step)
  (folder,) = (tmp_path / "tensorboard/plugins/profile").iterdir()
  assert sum(path.name.endswith((".trace.json.gz", ".xplane.pb")) for path in folder.iterdir()) == 2
  assert len(said) == 1
  assert said[0].endswith("open it at https://ui.perfetto.dev")
  assert str(folder) in said[0]
