"""Pictures are made, say what they should, and mistakes are one line."""

import json

import numpy as np
import pytest
from PIL import Image

from catgen.interfaces import InputError
from catgen.reporting import charts, drawing, table_charts


@pytest.fixture
def metrics(tmp_path):
  path = tmp_path / "metrics.jsonl"
  lines = [{"step": s, "train/bits": 2 + 2 * np.exp(-s / 50)} for s in range(1, 101)]
  lines += [{"step": 50, "validation/bits": 2.9}, {"step": 70, "train/bits": None}]
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  return path


def drawn_texts(monkeypatch):
  """Collects the words in the figure that is saved."""
  found = []

  def save(figure, path):
    for axis in figure.axes:
      legend = axis.get_legend()
      found.extend(label.get_text() for label in [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts])
      found.extend(label.get_text() for label in (legend.get_texts() if legend else []))

  monkeypatch.setattr(charts, "save", save)
  return found


def test_loss_curve_is_a_picture(metrics, tmp_path):
  charts.loss_curve(metrics, tmp_path / "loss.png", position="character", baselines={"bigram": 3.4})
  assert Image.open(tmp_path / "loss.png").size[0] > 800


def test_loss_curve_names_units_and_baselines(metrics, tmp_path, monkeypatch):
  words = drawn_texts(monkeypatch)
  charts.loss_curve(metrics, tmp_path / "x.png", position="byte", baselines={"bigram": 3.4, "5-gram": 2.25})
  assert {"bits per byte", "step", "bigram 3.400", "5-gram 2.250", "validation (last 2.900)"} <= set(words)


def test_a_smoothed_curve_begins_where_the_measured_one_does():
  falling = 4.4 * np.exp(-np.arange(200) / 20)
  assert charts.smooth(falling)[0] == pytest.approx(falling[0])
  assert charts.smooth(falling)[-1] == pytest.approx(falling[-1])


def test_a_smoothed_straight_line_is_that_line():
  line = np.linspace(5.0, 1.0, 200)
  np.testing.assert_allclose(charts.smooth(line)[20:-20], line[20:-20], rtol=1e-9)
  for number in (1, 2, 3, 7):
    np.testing.assert_allclose(charts.smooth(np.full(number, 2.5)), 2.5)
  noise = np.random.default_rng(0).normal(size=600)
  assert charts.smooth(noise).std() < 0.3


@pytest.mark.parametrize("event", [pytest.param((16,), marks=pytest.mark.slow), (4, 6)])
def test_anatomy_states_the_total_once(event, tmp_path, monkeypatch):
  by_time, by_position = np.full(10, 0.25), np.full(event, 3.0)
  by_position[0] = 2.0
  charts.bound_anatomy(by_time, by_position, tmp_path / "anatomy.png", position="pixel")
  assert Image.open(tmp_path / "anatomy.png").size[0] > 1000
  words = drawn_texts(monkeypatch)
  charts.bound_anatomy(by_time, by_position, tmp_path / "x.png", position="pixel")
  assert "by time step: 2.500 bits in all" in words
  assert "by place" in words  # places that fewer examples have weigh less, so their average is another number


def test_mistakes_are_one_line(metrics, tmp_path):
  with pytest.raises(InputError, match="no values of 'other'"):
    charts.loss_curve(metrics, tmp_path / "x.png", position="byte", train="other")
  with pytest.raises(InputError, match=r"cannot write .*File exists"):
    charts.loss_curve(metrics, metrics / "x.png", position="byte")


def curve_of(path, *lines):
  path.write_text("".join(f"{line}\n" for line in lines))
  return path


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null"])
def test_a_curve_is_drawn_from_what_is_finite(tmp_path, monkeypatch, value):
  steps = [json.dumps({"step": i, "train/bits": 3.0 - i / 10}) for i in range(1, 6)]
  line = f'{{"step": 9, "train/bits": {value}, "validation/bits": {value}}}'
  figures = []
  monkeypatch.setattr(charts, "save", lambda figure, path: figures.append(figure))
  for path in (curve_of(tmp_path / "a", *steps, line), curve_of(tmp_path / "b", *steps)):
    charts.loss_curve(path, "x.png", position="byte")
  one, other = ([line.get_xydata() for line in figure.axes[0].lines] for figure in figures)
  assert len(one) == len(other) == 2
  np.testing.assert_array_equal(one, other)
  with pytest.raises(InputError, match="has no values of 'train/bits' to draw"):
    charts.loss_curve(curve_of(tmp_path / "c", line), "x.png", position="byte")


@pytest.mark.parametrize("number", [1, 2, 3, 59, 60, 61, 500])
def test_smoothing_keeps_constants_reversal_and_the_range(number):
  values = np.random.default_rng(number).normal(size=number)
  found = charts.smooth(values)
  np.testing.assert_allclose(charts.smooth(values[::-1])[::-1], found, atol=1e-12)
  np.testing.assert_allclose(charts.smooth(2 * values + 1), 2 * found + 1, atol=1e-12)
  assert values.min() - 1e-12 <= found.min() <= found.max() <= values.max() + 1e-12


def test_models_are_drawn_best_on_top_and_unknown_errors_have_no_bar(tmp_path, monkeypatch):
  figures = []
  monkeypatch.setattr(charts, "save", lambda figure, path: figures.append(figure))
  names = ["b", "a", "Straße"]
  charts.comparison(names, [2.0, 1.0, 3.0], [0.1, float("nan"), 0.2], [[2.0], [0.9, 1.1], [3.0]], "x.png", unit="bits")
  (axis,) = figures[0].axes
  assert [label.get_text() for label in axis.get_yticklabels()] == ["Straße", "b", "a"]
  assert {label.get_text() for label in axis.texts} == {"1.000", "2.000", "3.000"}
  assert all(np.isfinite(line.get_xydata()).all() for line in axis.lines)


@pytest.mark.filterwarnings("error")  # Matplotlib's lines about glyphs
def test_names_of_runs_with_dollars_are_no_formulas_and_those_without_glyphs_need_no_word(tmp_path):
  names = ["runs/$\\frac{$", "$b$", "\u5730\u56fe"]
  charts.comparison(names, [2.0, 1.0, 1.0], [0.1] * 3, [[2.0], [1.0], [1.0]], tmp_path / "a.png", unit="bits")
  lines = [{"step": step, "train/bits": 2.0, "validation/bits": 2.0} for step in (1, 2)]
  assert charts.curves_beside(dict.fromkeys(names, lines), tmp_path / "b.png", unit="bits")
  assert all((tmp_path / name).stat().st_size for name in ("a.png", "b.png"))
  assert drawing.boxed(names) == ("the fonts of pictures have no \u56fe\u5730; charts have boxes in their place",)


def test_dollars_in_names_of_columns_and_values_stay_and_are_cut_like_other_letters():
  assert table_charts._short("US$ a$") == r"US\$ a\$"
  assert table_charts._short("$" * 20, 5) == r"\$\$\$\$…"
  assert table_charts._short("a\nb") == "a b"
