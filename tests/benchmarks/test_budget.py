"""Measurements within a time: the most important first, and a row for each, whatever happens to it."""

import threading

import pytest

from benchmarks import accelerator, budget
from benchmarks.budget import Budget, Measurement, Row, perform, steady


class Clock:
  """A clock that is moved by hand."""

  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


def measurement(name, clock, seconds=1.0, *, least=5.0, trace=lambda: 7, prepare=lambda traced: traced + 1):
  def measure(prepared):
    clock.now += seconds
    return [Row(name, seconds, note=str(prepared))]

  return Measurement(name, trace, prepare, measure, least)


def performed(stages, clock, seconds, patience=20.0):
  said, logged = [], []
  budget = Budget(seconds, clock)
  rows = list(perform(stages, budget, workers=2, patience=patience, say=said.append, log=logged.append))
  return rows, said, logged


def fails(*_):
  raise ValueError("no\nroom")


def test_rows_come_in_order_and_get_what_was_prepared():
  clock = Clock()
  rows, said, logged = performed(
    [[measurement("a", clock), measurement("b", clock)], [measurement("c", clock)]], clock, 60
  )
  assert rows == [Row("a", 1.0, note="8"), Row("b", 1.0, note="8"), Row("c", 1.0, note="8")]
  assert said == ["a (60 s left)", "b (59 s left)", "c (58 s left)"]
  assert not logged


def test_what_does_not_fit_is_left_out_and_what_needs_less_is_not():
  clock = Clock()
  stages = [
    [measurement("long", clock, 8.0), measurement("large", clock, least=5.0)],
    [measurement("small", clock, least=1.0)],
  ]
  rows, _, _ = performed(stages, clock, 10)
  assert [row.note for row in rows] == ["8", "left out: no time", "8"]


def test_nothing_is_traced_when_the_time_is_over():
  clock, traced = Clock(), []
  stages = [[measurement("a", clock, 10.0)], [measurement("b", clock, trace=lambda: traced.append("b"))]]
  rows, _, _ = performed(stages, clock, 10)
  assert [row.note for row in rows] == ["8", "left out: no time"]
  assert not traced


@pytest.mark.parametrize("where", ["trace", "prepare"])
def test_what_fails_is_a_row_of_one_line_and_a_traceback_and_the_others_go_on(where):
  clock = Clock()
  rows, _, logged = performed([[measurement("bad", clock, **{where: fails}), measurement("good", clock)]], clock, 60)
  assert rows == [Row("bad", note="failed: ValueError: no room"), Row("good", 1.0, note="8")]
  assert len(logged) == 1
  assert logged[0].startswith("bad\nTraceback")


def test_a_failing_measurement_is_a_row_too():
  rows, _, _ = performed([[Measurement("bad", lambda: 1, lambda traced: traced, fails)]], Clock(), 60)
  assert rows == [Row("bad", note="failed: ValueError: no room")]


def test_nobody_waits_for_a_compiler_that_does_not_end():
  clock, ended = Clock(), threading.Event()
  stages = [[measurement("endless", clock, prepare=lambda traced: ended.wait(60)), measurement("b", clock)]]
  rows, _, _ = performed(stages, clock, 60, patience=0.05)
  assert [row.note for row in rows] == ["left out: it was still compiling", "8"]
  assert budget.still_compiling()
  ended.set()
  for thread in threading.enumerate():
    if thread.name.startswith("compiling"):
      thread.join(10)
  assert not budget.still_compiling()


def test_steps_are_started_one_after_another_and_waited_for_once_a_window(monkeypatch):
  clock, events = Clock(), []
  monkeypatch.setattr(budget.time, "perf_counter", clock)

  def run():
    events.append("run")
    clock.now += 0.25

  seconds = steady(run, lambda _: events.append("wait"), window=1.0, repeats=2)
  assert seconds == [0.25, 0.25]
  assert events == ["run", "wait"] * 2 + (["run"] * 4 + ["wait"]) * 2


def test_cells_are_rates_and_shares_in_their_units():
  row = Row("a", 0.5, 1000, 2e12, 0.25, 2**29, 12.4, "note")
  assert accelerator.cells(row) == ["a", "500.00", "2,000", "4.0", "25.0%", "0.50", "12", "note"]
  assert accelerator.cells(Row("b", note="left out")) == ["b", "", "", "", "", "", "", "left out"]


def test_the_plan_measures_what_was_asked_the_most_important_first(monkeypatch):
  monkeypatch.setattr(accelerator.curves, "text_source", lambda *_: None)
  stages = accelerator.stages(accelerator.FULL, None, [], {}, Budget(1.0))
  names = [each.name for stage in stages for each in stage]
  kinds = [
    "peaks",
    "train default",
    "train paper_text8",
    "curve",
    "train paper_maps",
    "train default_masked bfloat16, attention",
    "sample",
  ]
  places = [next(i for i, name in enumerate(names) if name.startswith(kind)) for kind in kinds]
  assert places == sorted(places)
  for subject in (accelerator.FULL.default, accelerator.FULL.text, accelerator.FULL.maps, *accelerator.FULL.flows):
    assert sum(name == f"train {subject.name} {subject.dtype}" for name in names) == 2  # batch sizes
  assert sum(name.startswith("sample") for name in names) == 6
  assert sum(name.startswith("curve") for name in names) == 2
