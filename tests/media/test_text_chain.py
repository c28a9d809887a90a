"""Pictures of a chain of text."""

import pytest
from PIL import Image

from catgen.interfaces import InputError
from catgen.media import text_chain
from catgen.reporting import terminal

FRAMES = [
  terminal.MASK * 40,
  "the" + terminal.MASK * 37,
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
  text_chain.chain_picture(FRAMES[:2], LABELS[:2], path)
  small = Image.open(path)
  assert {rgb(text_chain.MASKED), rgb(text_chain.CHANGED)} <= colors(small)
  text_chain.chain_picture(FRAMES, LABELS, path, columns=20)
  assert Image.open(path).size[1] > small.size[1]
  text_chain.chain_picture([FRAMES[2]] * 2, LABELS[:2], path)
  (legend_only,) = [colors(Image.open(path).crop((0, 0, 640, 170)))]
  assert rgb(text_chain.CHANGED) not in legend_only  # nothing changed


def test_chain_animation_has_all_frames_and_rests_on_the_last(tmp_path):
  path = tmp_path / "chain.gif"
  text_chain.chain_animation(FRAMES, LABELS, path, milliseconds=100)
  image = Image.open(path)
  assert image.n_frames == 4
  durations = []
  for number in range(4):
    image.seek(number)
    durations.append(image.info["duration"])
  assert durations == [100, 100, 100, 3000]
  assert image.info["loop"] == 0


def test_controls_and_empty_frames_draw(tmp_path):
  text_chain.chain_picture(["a\nb\t"], ["t = 0"], tmp_path / "x.png")
  text_chain.chain_animation(["", ""], ["1", "0"], tmp_path / "x.gif")


def test_mistakes_are_one_line(tmp_path):
  with pytest.raises(InputError, match="cannot write the picture"):
    text_chain.chain_picture(FRAMES, LABELS, tmp_path / "x.nonsense")
  with pytest.raises(InputError, match="at least one frame"):
    text_chain.chain_animation([], [], tmp_path / "x.gif")
