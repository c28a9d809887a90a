"""A bar for people, a few lines for log files."""

import io
import sys
import types
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.reporting import progress


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Clock:
  """A clock that is set by hand."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now


def test_a_log_gets_a_line_every_tenth():
  out, clock = io.StringIO(), Clock()
  bar = progress.open_progress(200, unit="step", title="train", stream=out, clock=clock)
  for _ in range(200):
    clock.now += 0.1
    bar.update(1, {"bits": "2.5"})
  bar.close()
  lines = out.getvalue().splitlines()
  assert len(lines) == 10
  assert lines[0] == "train: 20 of 200 steps (10%), bits 2.5, 18 s left"
  assert lines[-1] == "train: 200 of 200 steps (100%), bits 2.5, took 20 s"


def test_a_slow_log_gets_a_line_every_half_minute():
  out, clock = io.StringIO(), Clock()
  bar = progress.open_progress(10_000, unit="step", stream=out, clock=clock)
  for _ in range(10):
    clock.now += 10.0
    bar.update(1)
  assert [line.split()[0] for line in out.getvalue().splitlines()] == ["3", "6", "9"]


def test_fractions_of_a_unit_add_up_and_the_end_is_told_once():
  out, clock = io.StringIO(), Clock()
  bar = progress.open_progress(3, unit="batch", stream=out, clock=clock)
  for _ in range(9):
    bar.update(1 / 3)
  assert out.getvalue().count("took") == 1
  assert out.getvalue().startswith("11% of 3 batches, ")  # no part of a batch


def test_time_left_does_not_count_what_an_earlier_run_did():
  out, clock = io.StringIO(), Clock()
  bar = progress.open_progress(100, unit="step", done=50, stream=out, clock=clock)
  clock.now = 10.0
  bar.update(10)
  assert out.getvalue() == "60 of 100 steps (60%), 40 s left\n"


def test_a_terminal_gets_a_bar_with_values():
  out = Terminal()
  show = progress.train_progress(
    20, start_step=0, position="character", open_progress=partial(progress.open_progress, stream=out)
  )
  show(10, {"bits": 3.14159, "positions_per_second": 12_345.0})
  show(20, {"bits": 2.5})
  assert "bits/character=2.500" in out.getvalue()
  assert "100%" in out.getvalue()


def test_training_lines_state_bits_and_throughput():
  out = io.StringIO()
  show = progress.train_progress(
    20, start_step=10, position="byte", open_progress=partial(progress.open_progress, stream=out)
  )
  show(20, {"bits": 3.14159, "positions_per_second": 12_345.0})
  assert "20 of 20 steps (100%), bits/byte 3.142, bytes/s 12.3k, took" in out.getvalue()


def test_a_line_between_updates_appears_as_it_is():
  for out in (io.StringIO(), Terminal()):
    bar = progress.open_progress(5, unit="sample", stream=out)
    bar.update(1)
    bar.say("validation 2.345")
    bar.close()
    assert "validation 2.345\n" in out.getvalue()


@pytest.mark.parametrize(
  ("value", "text"), [(0, "0"), (950, "950"), (999.9, "1k"), (12_345, "12.3k"), (4.56e6, "4.56M"), (7.89e9, "7.89G")]
)
def test_short_numbers(value, text):
  assert progress.short_number(value) == text


@pytest.mark.parametrize(
  ("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations(seconds, text):
  assert progress.duration(seconds) == text


@pytest.mark.parametrize("value", [1.234, 12.34, 999.4, 1000.0, 45_678, 999_949, 12_345_678, 9.994e11, 0.01234])
@pytest.mark.parametrize("sign", [1, -1])
def test_short_numbers_are_within_half_a_percent(value, sign):
  text = progress.short_number(sign * value)
  factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
  assert float(text.rstrip("kMG")) * factor == pytest.approx(sign * value, rel=0.005)
  assert len(text.lstrip("-")) <= 6
  assert "e" not in text


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 10**6))
def test_durations_name_every_second_once(seconds):
  words = progress.duration(seconds).split()
  units = {"s": 1, "min": 60, "h": 3600}
  total = sum(int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
  assert abs(total - seconds) <= (0.5 if seconds < 3599 else 60)


@pytest.mark.parametrize(
  ("number", "unit", "word"), [(1, "step", "1 step "), (2, "batch", "2 batches "), (3, "map", "3 maps ")]
)
def test_a_log_counts_in_words(number, unit, word):
  out = io.StringIO()
  bar = progress.open_progress(number, unit=unit, stream=out)
  bar.update(number)
  assert f"{number} of {word}(100%)" in out.getvalue()


def test_a_notebook_gets_a_bar_and_a_program_that_only_imports_ipython_gets_lines(monkeypatch):
  for config, has_bar in (({"IPKernelApp": {}}, True), ({}, False), (None, False)):
    shell = None if config is None else types.SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
    stream = io.StringIO()
    bar = progress.open_progress(10, unit="step", stream=stream)
    bar.update(10)
    bar.close()
    assert ("|" in stream.getvalue()) == has_bar
