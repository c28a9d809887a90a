"""Tables, corrections and chains as terminal text."""

import doctest
import io
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_signs_that_a_terminal_draws_twice_as_wide_need_as_much_room_in_a_table():
  lines = terminal.table(["\u57ce\u5e02", "n"], [["\u5317\u4eac", 1], ["Ky\u0069\u0308v", 2]]).splitlines()
  assert lines == ["\u57ce\u5e02  n", "----  -", "\u5317\u4eac  1", "Kyi\u0308v  2"]


def test_an_empty_table_is_its_header():
  assert terminal.table(["a", "b"], []).splitlines() == ["a  b", "-  -"]


def corrected(typed, corrected, probability, color=False):
  changed = [one != other for one, other in zip(typed, corrected, strict=True)]
  return terminal.corrections(list(typed), list(corrected), probability, changed, color=color)


def test_corrections_are_marked_and_explained():
  lines = corrected("teh cat", "the cat", np.array([1, 0.9, 0.75, 1, 1, 1, 1])).splitlines()
  assert lines[0] == "t[h][e] cat"
  assert lines[1] == "  position 2: 'e' -> 'h' (probability 0.90)"
  assert len(lines) == 3
  colored = corrected("teh cat", "the cat", [1.0] * 7, color=True)
  assert plain(colored).splitlines()[0] == "the cat"
  assert "\x1b" in colored
  assert "nothing to correct" in corrected("cat", "cat", [1.0] * 3)


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


def test_a_long_frame_goes_on_in_the_next_line_and_is_cut_after_three():
  assert terminal.chain_frames(["abcdef"], ["0"], color=False, width=4) == "0  abcd\n   ef"
  shown = terminal.chain_frames(["abcdefg", "abXdeXg"], ["9", "10"], color=True, width=2)
  assert [line[:2] for line in shown.splitlines()] == [" 9", "  ", "  ", "10", "  ", "  "]
  assert plain(shown).split() == ["9", "ab", "cd", "ef", "10", "ab", "Xd", "eX"]
  assert shown.splitlines()[-1].endswith(f"{terminal.BOLD}X{terminal.RESET}")


def said(monkeypatch, encoding, *lines, **options):
  out = io.BytesIO()
  monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, newline="\n", **options))
  for line in lines:
    terminal.say(line)
  return out.getvalue()


def shown(character, encoding):
  try:
    character.encode(encoding)
  except UnicodeEncodeError:
    return {"±": "+/-", "⏎": "\\n", "░": "_"}.get(character, character.encode("ascii", "backslashreplace").decode())
  return character


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1", "ascii", "cp1252"])
def test_a_line_is_printed_at_once_with_what_the_terminal_can_show(monkeypatch, encoding):
  lines = ["bits 2.5 ± 0.1", "東京 ⏎ ░", "plain", "half a path \udcff"]
  found = said(monkeypatch, encoding, *lines).decode(encoding).split("\n")
  assert found == ["".join(shown(character, encoding) for character in line) for line in lines] + [""]


def test_nothing_is_replaced_that_can_be_shown(monkeypatch):
  assert said(monkeypatch, "latin-1", "Grüße ± 1 ░") == "Grüße ± 1 _\n".encode("latin-1")
  assert said(monkeypatch, "utf-8", "Grüße ± 1 ░") == "Grüße ± 1 ░\n".encode()


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_visible_text_is_one_line_of_as_many_printable_signs(text):
  shown = terminal.visible(text)
  assert len(shown) == len(text)
  assert shown.isprintable()
  assert terminal.visible(shown) == shown
  assert all(one == other for one, other in zip(shown, text, strict=True) if other.isprintable())


ROWS = [["a", 1, 2.5], ["Straße", 10_000, float("nan")], ["x" * 300, -3, -0.00004]]


def test_columns_of_a_table_start_and_end_alike_however_long_a_name():
  lines = terminal.table(["model", "steps", "bits"], ROWS).splitlines()
  assert len(lines) == 2 + len(ROWS)
  ends = [len(line) for line in lines[1:]]
  assert len(set(ends)) == 1  # numbers stand right
  places = [line.rstrip().rfind(" ") for line in lines[2:]]
  assert all(line[place + 1 :] == f"{row[2]:.4f}" for line, place, row in zip(lines[2:], places, ROWS, strict=True))
  assert "10,000" in lines[3]


def test_a_table_does_not_depend_on_how_rows_are_handed_in():
  expected = terminal.table(["model", "steps", "bits"], ROWS)
  assert terminal.table(("model", "steps", "bits"), (tuple(row) for row in ROWS)) == expected
  with pytest.raises(ValueError, match="zip"):
    terminal.table(["model", "steps"], ROWS)


@pytest.mark.parametrize("error", [None, float("nan")])
def test_an_unknown_error_is_a_question_mark(error):
  assert terminal.plus_minus(1.0, error, 2) == "1.00 ± ?"
