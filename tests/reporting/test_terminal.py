"""Tables, corrections and chains as terminal text."""

import doctest
import re

import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.reporting import terminal


def test_examples_of_the_documentation():
  assert doctest.testmod(terminal).failed == 0


def plain(shown):
  return re.sub(r"\x1b\[\d+m", "", shown)


def test_columns_align_and_numbers_stand_right():
  lines = terminal.table(
    ["name", "bits", "n"], [["diffusion", "2.8571 ± 0.0031", 1_000_000], ["5-gram", "2.25 ± ?", 7]]
  )
  header, rule, *rows = lines.splitlines()
  assert len({len(line) for line in (rule, *rows)}) == 1
  assert rows[0].startswith("diffusion")
  assert rows[0].endswith("1,000,000")
  assert rows[1].startswith("5-gram ")
  assert rows[1].endswith("        7")
  assert header.split() == ["name", "bits", "n"]


def test_an_empty_table_is_its_header():
  assert terminal.table(["a", "b"], []).splitlines() == ["a  b", "-  -"]


def test_corrections_are_marked_and_explained():
  shown = terminal.corrections("teh cat", "the cat", np.array([1, 0.9, 0.75, 1, 1, 1, 1]), color=False)
  lines = shown.splitlines()
  assert lines[0] == "t[h][e] cat"
  assert lines[1] == "  position 2: 'e' -> 'h' (probability 0.90)"
  assert len(lines) == 3
  colored = terminal.corrections("teh cat", "the cat", [1.0] * 7, color=True)
  assert plain(colored).splitlines()[0] == "the cat"
  assert "\x1b" in colored
  assert "nothing to correct" in terminal.corrections("cat", "cat", [1.0] * 3, color=False)


def test_corrections_need_one_character_a_position():
  with pytest.raises(InputError, match="one position is one character"):
    terminal.corrections("é", "é", [1.0, 1.0], color=False)


def test_chain_shows_each_frame_under_its_label():
  frames = [terminal.MASK * 5, f"t{terminal.MASK * 3}t", "t\nest"]
  lines = terminal.chain_frames(frames, ["t = 10", "t = 5", "t = 0"], color=False).splitlines()
  assert lines == [f"t = 10  {terminal.MASK * 5}", f" t = 5  t{terminal.MASK * 3}t", " t = 0  t⏎est"]


def test_colors_mark_what_changed_and_change_no_character():
  frames, labels = ["abc", "abd", "xbd"], ["2", "1", "0"]
  colored = terminal.chain_frames(frames, labels, color=True)
  assert plain(colored) == terminal.chain_frames(frames, labels, color=False)
  last = colored.splitlines()[-1]
  assert f"{terminal.BOLD}x{terminal.RESET}{terminal.DIM}bd{terminal.RESET}" in last


def test_chain_is_cut_to_the_width():
  assert terminal.chain_frames(["abcdef"], ["0"], color=False, width=3) == "0  abc"
