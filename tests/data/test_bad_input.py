"""A table of user mistakes: each is one line that names the file, the thing and the remedy."""

import gzip
import lzma

import numpy as np
import pytest

from catgen.data import SOURCES, get_split, summary
from catgen.data.sets.array_file import array_file
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_lines import text_lines
from catgen.interfaces import InputError

TEXT = "abcd" * 100


def npz(**arrays):
  def write(path):
    np.savez(path, **arrays)

  return write


def npy(array):
  def write(path):
    with open(path, "wb") as file:
      np.save(file, array)

  return write


def cut(write, size):
  def write_part(path):
    write(path)
    with open(path, "r+b") as file:
      file.truncate(size)

  return write_part


STREAM_CASES = {
  "empty": ("a.txt", b"", {}, ["is empty"]),
  "folder": (None, None, {}, ["is a folder"]),
  "missing": ("", None, {}, ["does not exist"]),
  "truncated gzip": ("a.gz", gzip.compress(TEXT.encode())[:-9], {}, ["truncated or damaged"]),
  "no gzip": ("a.gz", TEXT.encode(), {}, ["truncated or damaged"]),
  "truncated xz": ("a.xz", lzma.compress(np.random.default_rng(0).bytes(999))[:300], {}, ["truncated or damaged"]),
  "no xz": ("a.xz", TEXT.encode(), {}, ["truncated or damaged"]),
  "invalid UTF-8": ("a.txt", b"ab\xffcd" * 50, {}, ["0xff", "offset 2", 'alphabet="bytes"']),
  "truncated UTF-8": ("a.txt", ("é" * 50).encode()[:-1], {}, ["offset 98", "truncated"]),
  "one character": ("a.txt", b"aaaa", {}, ["'a'", "two different"]),
  "outside, ASCII": ("a.txt", b"abab!ab", {"alphabet": "ab"}, ["'!'", "offset 4", "'ab' (2 characters)"]),
  "outside, Unicode": ("a.txt", "ababéab".encode(), {"alphabet": "ab"}, ["'é'", "offset 4", "'ab' (2 characters)"]),
  "outside text8": ("a.txt", b"Hello", {"alphabet": "text8"}, ["'H'", "offset 0", "(27 characters)"]),
  "repeated in alphabet": ("a.txt", b"abab", {"alphabet": "aba"}, ["'a'", "once"]),
  "short": ("a.txt", TEXT.encode(), {"length": 64}, ["validation split has 20", "length 64", "lower length"]),
  "no length": ("a.txt", TEXT.encode(), {"length": 0}, ["length is 0"]),
  "too many asked": ("a.txt", TEXT.encode(), {"splits": (400, 10, 0)}, ["410", "400", "lower them"]),
  "splits not three": ("a.txt", TEXT.encode(), {"splits": (0.9, 0.1)}, ["three numbers"]),
  "splits negative": ("a.txt", TEXT.encode(), {"splits": (1.0, -0.5, 0.5)}, ["three numbers"]),
  "splits broken counts": ("a.txt", TEXT.encode(), {"splits": (0.9, 0.2, 0.1)}, ["at most 1"]),
  "max_bytes": ("a.txt", TEXT.encode(), {"max_bytes": 0}, ["max_bytes is 0"]),
}
LINE_CASES = {
  "blank": ("a.txt", b"\n\n\r\n", {}, ["no complete line"]),
  "too long": ("a.txt", b"ab\nabcdef\n", {"length": 4}, ["1 lines longer", "6", 'longer="cut"']),
  "all too long": ("a.txt", b"abcdef\nabcdef", {"length": 4, "longer": "drop"}, ["only lines longer", "raise length"]),
  "longer": ("a.txt", b"ab\n", {"longer": "wrap"}, ["'wrap'", '"refuse", "cut", "drop" or "windows"']),
  "outside": ("a.txt", "ab\n\nabéa\n".encode(), {"alphabet": "ab"}, ["line 3", "offset 2"]),
  "few": ("a.txt", b"ab\ncd\n", {}, ["got none of the 2", "counts"]),
  "counts": ("a.txt", b"ab\ncd\n", {"splits": (2, 1, 0)}, ["ask for 3", "there are 2"]),
  "missing": ("", None, {}, ["does not exist"]),
  "empty": ("a.txt", b"", {}, ["is empty"]),
}
MAPS = np.arange(24).reshape(6, 2, 2) % 5
ARRAY_CASES = {
  "out of range": ("a.npz", npz(train=MAPS), {"num_classes": 4}, ["'train'", "category 4", "(1, 0, 0)", "0..3"]),
  "negative": ("a.npy", npy(MAPS - 1), {}, ["category -1", "(0, 0, 0)", "0..3"]),
  "floats": ("a.npy", npy(MAPS / 2), {}, ["float64", "integers"]),
  "shapes": ("a.npz", npz(train=MAPS, test=MAPS[:, :1]), {}, ["'test'", "(1, 2)", "(2, 2)"]),
  "one axis": ("a.npy", npy(MAPS.ravel()), {}, ["one axis", "length="]),
  "length": ("a.npy", npy(MAPS), {"length": 4}, ["(6, 2, 2)", "leave it out"]),
  "names": ("a.npz", npz(a=MAPS, b=MAPS), {}, ["a, b", "name them train"]),
  "no data": ("a.npy", npy(MAPS[:0]), {}, ["no data"]),
  "objects": ("a.npy", npy(np.array([{}])), {}, ["no readable"]),
  "no array": ("a.npy", lambda path: path.write_bytes(b"hello"), {}, ["no readable"]),
  "empty": ("a.npy", lambda path: path.write_bytes(b""), {}, ["no readable"]),
  "truncated npy": ("a.npy", cut(npy(MAPS), 200), {}, ["no readable"]),
  "truncated npz": ("a.npz", cut(npz(train=MAPS), 200), {}, ["no readable"]),
  "missing": ("", None, {}, ["does not exist"]),
}


def check(factory, tmp_path, name, content, keywords, parts):
  path = tmp_path if name is None else tmp_path / (name or "missing")
  if callable(content):
    content(path)
  elif content is not None:
    path.write_bytes(content)
  with pytest.raises(InputError) as caught:
    factory(str(path), **keywords)
  message = str(caught.value)
  assert "\n" not in message
  for part in parts:
    assert part in message


@pytest.mark.parametrize("case", STREAM_CASES)
def test_text_file(tmp_path, case):
  check(text_file, tmp_path, *STREAM_CASES[case])


@pytest.mark.parametrize("case", LINE_CASES)
def test_text_lines(tmp_path, case):
  check(text_lines, tmp_path, *LINE_CASES[case])


@pytest.mark.parametrize("case", ARRAY_CASES)
def test_array_file(tmp_path, case):
  check(array_file, tmp_path, *ARRAY_CASES[case])


def test_a_split_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
  (tmp_path / "a.txt").write_text(TEXT)
  source = SOURCES["text_file"](path=str(tmp_path / "a.txt"), length=10, splits=(0.5, 0, 0.5))()
  with pytest.raises(InputError, match="split 'validation' does not exist; this data set has train, test"):
    get_split(source, "validation")
  assert get_split(source, "test") is source.splits["test"]
  line = summary(source)
  assert "\n" not in line
  assert "train 20, test 20" in line
