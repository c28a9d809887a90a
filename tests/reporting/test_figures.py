"""Pictures are made, say what they should, and mistakes are one line."""

import json

import numpy as np
import pytest
from PIL import Image

from catgen.interfaces import InputError
from catgen.reporting import figures, figures_chain, text


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

  monkeypatch.setattr(figures, "save", save)
  return found


def test_loss_curve_is_a_picture(metrics, tmp_path):
  figures.loss_curve(metrics, tmp_path / "loss.png", position="character", baselines={"bigram": 3.4})
  assert Image.open(tmp_path / "loss.png").size[0] > 800


def test_loss_curve_names_units_and_baselines(metrics, tmp_path, monkeypatch):
  words = drawn_texts(monkeypatch)
  figures.loss_curve(metrics, tmp_path / "x.png", position="byte", baselines={"bigram": 3.4, "5-gram": 2.25})
  assert {"bits per byte", "step", "bigram 3.400", "5-gram 2.250", "validation (last 2.900)"} <= set(words)


def test_a_smoothed_straight_line_is_that_line():
  line = np.linspace(5.0, 1.0, 200)
  np.testing.assert_allclose(figures.smooth(line)[20:-20], line[20:-20], rtol=1e-9)
  for number in (1, 2, 3, 7):
    np.testing.assert_allclose(figures.smooth(np.full(number, 2.5)), 2.5)
  noise = np.random.default_rng(0).normal(size=600)
  assert figures.smooth(noise).std() < 0.3


@pytest.mark.parametrize("event", [(16,), (4, 6)])
def test_anatomy_states_the_totals(event, tmp_path, monkeypatch):
  by_time, by_position = np.full(10, 0.25), np.full(event, 3.0)
  figures.bound_anatomy(by_time, by_position, tmp_path / "anatomy.png", position="pixel")
  assert Image.open(tmp_path / "anatomy.png").size[0] > 1000
  words = drawn_texts(monkeypatch)
  figures.bound_anatomy(by_time, by_position, tmp_path / "x.png", position="pixel")
  assert "by time step: 2.500 bits in all" in words
  assert "by place: 3.000 bits on average" in words


FRAMES = [
  text.MASK * 40,
  "the" + text.MASK * 37,
  "the cat sat on a mat and was very happy.",
  "the cat sat on a mat and is very happy..",
]
LABELS = ["t = 30", "t = 20", "t = 10", "t = 0"]


def colors(image):
  return {color for _, color in image.convert("RGB").getcolors(1 << 20)}


def rgb(code):
  return tuple(int(code[i : i + 2], 16) for i in (1, 3, 5))


def test_chain_picture_grows_with_frames_and_shows_masks_and_changes(tmp_path):
  path = tmp_path / "chain.png"
  figures_chain.chain_picture(FRAMES[:2], LABELS[:2], path)
  small = Image.open(path)
  assert {rgb(figures_chain.MASKED), rgb(figures_chain.CHANGED)} <= colors(small)
  figures_chain.chain_picture(FRAMES, LABELS, path, columns=20)
  assert Image.open(path).size[1] > small.size[1]
  figures_chain.chain_picture([FRAMES[2]] * 2, LABELS[:2], path)
  (legend_only,) = [colors(Image.open(path).crop((0, 0, 640, 170)))]
  assert rgb(figures_chain.CHANGED) not in legend_only  # nothing changed


def test_chain_animation_has_all_frames_and_rests_on_the_last(tmp_path):
  path = tmp_path / "chain.gif"
  figures_chain.chain_animation(FRAMES, LABELS, path, milliseconds=100)
  image = Image.open(path)
  assert image.n_frames == 4
  durations = []
  for number in range(4):
    image.seek(number)
    durations.append(image.info["duration"])
  assert durations == [100, 100, 100, 3000]
  assert image.info["loop"] == 0


def test_controls_and_empty_frames_draw(tmp_path):
  figures_chain.chain_picture(["a\nb\t"], ["t = 0"], tmp_path / "x.png")
  figures_chain.chain_animation(["", ""], ["1", "0"], tmp_path / "x.gif")


def test_mistakes_are_one_line(metrics, tmp_path):
  with pytest.raises(InputError, match="no values of 'other'"):
    figures.loss_curve(metrics, tmp_path / "x.png", position="byte", train="other")
  with pytest.raises(InputError, match="cannot write the picture"):
    figures.loss_curve(metrics, tmp_path / "missing" / "x.png", position="byte")
  with pytest.raises(InputError, match="cannot write the picture"):
    figures_chain.chain_picture(FRAMES, LABELS, tmp_path / "x.nonsense")
  with pytest.raises(InputError, match="at least one frame"):
    figures_chain.chain_animation([], [], tmp_path / "x.gif")
