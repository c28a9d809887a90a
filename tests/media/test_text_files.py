"""Files of text that users hand in and get back: any editor's lines, their numbers, one line for what is no text."""

import codecs

import numpy as np
import pytest

from catgen.data.codecs import alphabet_codec, byte_codec
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.media.text import read_lines
from catgen.reporting.terminal import MASK

ALPHABET = "\\\n\rabn東é "
TEXT = media_of(EventSpec((5,), len(ALPHABET)), alphabet_codec(ALPHABET), "character")
BYTES = media_of(EventSpec((5,), 256), byte_codec(), "byte")


def write(path, content):
  path.write_bytes(content)
  return str(path)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_the_same_for_every_editor_and_numbered_as_they_stand(tmp_path, mark, breaks, last):
  content = breaks.join(["", "a é", "", "東", " b"]) + breaks * last
  path = write(tmp_path / "my lines.txt", mark + content.encode())
  assert read_lines(path) == {2: "a é", 4: "東", 5: " b"}
  for media in (TEXT, BYTES):
    batch = media.read(path)
    assert batch.index.tolist() == [2, 4, 5]
    assert media.shown(batch) == ["a é", "東", " b"]


def test_a_file_of_the_home_folder_is_found(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  write(tmp_path / "a.txt", b"ab")
  assert read_lines("~/a.txt") == {1: "ab"}


@pytest.mark.parametrize(
  ("content", "remedy"),
  [
    (b"", "is empty; name a file with data"),
    (codecs.BOM_UTF8, "has no text; name a file with data"),
    (codecs.BOM_UTF16_BE, "has no text; name a file with data"),
    (b"\n", "has no text; give one example a line"),
    (b"\r\n\r\n", "has no text; give one example a line"),
    (codecs.BOM_UTF8 + b"\n", "has no text; give one example a line"),
  ],
)
def test_a_file_without_text_is_named(tmp_path, content, remedy):
  with pytest.raises(InputError, match=rf"a\.txt {remedy}"):
    read_lines(write(tmp_path / "a.txt", content))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("aä\n".encode("latin-1"), "is not UTF-8: byte 0xe4 at offset 1; give --encoding"),
    ("東".encode()[:-1], "ends inside a UTF-8 character at offset 0"),
    (
      "abcdefgh".encode("utf-16-be"),
      "looks like UTF-16 without a byte order mark: every second byte is like 0x00 at offset 0",
    ),
  ],
)
def test_a_file_that_is_no_utf8_is_named(tmp_path, content, message):
  with pytest.raises(InputError, match=rf"a\.txt {message}") as caught:
    read_lines(write(tmp_path / "a.txt", content))
  assert "\n" not in str(caught.value)


def test_a_line_too_long_counts_positions_of_the_model(tmp_path):
  path = write(tmp_path / "a.txt", "ab\nabéab\n".encode())
  assert TEXT.read(path).valid.sum(axis=1).tolist() == [2, 5]
  with pytest.raises(InputError, match=r"a\.txt, line 2: the input has shape \(6,\).*\(5,\); cut it"):
    BYTES.read(path)


def test_samples_go_to_a_file_of_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.chdir(tmp_path)
  TEXT.written("~/a b.jsonl", TEXT.typed(["ab"]))
  assert (tmp_path / "a b.jsonl").read_text() == '{"text": "ab"}\n'
  assert [each.name for each in tmp_path.iterdir()] == ["a b.jsonl"]


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("hole", ["#", "_"])
def test_a_pattern_says_what_is_known(pad, hole):
  text = f"a{hole}東{hole}b" if not pad else f"a{hole}東"
  pattern = TEXT.parse(text, hole=hole, pad=pad)
  assert pattern.observed.tolist() == [True, False, True, False, not pad]
  assert [ALPHABET[i] for i in pattern.x[pattern.observed]] == ["a", "東", "b"][: 2 + (not pad)]


def test_states_of_a_chain_are_shown_on_one_line_each_as_long_as_an_example():
  states = np.array([[9] * 5, [0, 9, 1, 9, 7], [3, 4, 1, 2, 8]])
  shown = TEXT.frames(states)
  assert [len(frame) for frame in shown] == [5, 5, 5]
  assert shown[0] == MASK * 5
  assert shown[1] == f"\\{MASK}⏎{MASK}é"
  assert all(frame.isprintable() for frame in shown)


def test_words_of_training_are_counted_as_they_stand():
  sets = {"samples": TEXT.typed(["ab ba", "b a b"]), "training": TEXT.typed(["ab ab", "b b a"])}
  rows = {row[0]: row[1:] for row in TEXT.compared(sets)}
  assert rows["examples"] == ["2", "2"]
  known, total = map(int, rows["words that training has"][1].split(" of "))
  assert known == total > 0  # all of its own
