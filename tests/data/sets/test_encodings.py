"""Text in the encodings, line endings and alphabets that users have: the same integers, or one line of why not."""

import codecs
import gzip

import numpy as np
import pytest

from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_lines import text_lines
from catgen.interfaces import InputError

WORDS = ["grün", "rot", "ein blau", "東京", "😀", "e\u0301", "a\u2028b"]  # a line separator of Unicode breaks no line


def write(path, content):
  path.write_bytes(content)
  return str(path)


def lines_of(source):
  (split,) = source.splits.values()
  batch = split.examples(np.arange(split.num_examples))
  return [source.codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]


def text_of(source):
  (split,) = source.splits.values()
  x = split.crops(np.arange(split.num_crops)).x
  return source.codec.decode(np.append(x[:, 0], x[-1, 1:]))


def one_split(read, path, length, *arguments, **keywords):
  return read(path, length, *arguments, splits=(1.0, 0, 0), **keywords)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_lines_are_the_same_for_every_editor(tmp_path, mark, breaks, last, packed):
  content = mark + (breaks.join(WORDS) + breaks * last).encode()
  path = write(tmp_path / ("a.gz" if packed else "a.txt"), gzip.compress(content) if packed else content)
  plain = one_split(text_lines, write(tmp_path / "plain.txt", "\n".join(WORDS).encode()), 9)
  source = one_split(text_lines, path, 9)
  assert lines_of(source) == WORDS
  assert (source.fingerprint, source.codec.spec) == (plain.fingerprint, plain.codec.spec)
  assert source.bytes_per_position == plain.bytes_per_position


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("alphabet", ["infer", "".join(sorted(set("".join(WORDS))))])
def test_a_stream_is_the_same_for_every_editor(tmp_path, mark, ending, alphabet):
  text = "".join(WORDS)
  plain = one_split(text_file, write(tmp_path / "plain.txt", text.encode()), 3)
  source = one_split(text_file, write(tmp_path / "a.txt", mark + (text + ending).encode()), 3, alphabet)
  assert text_of(source) == text
  assert source.fingerprint == plain.fingerprint


def test_records_with_two_spellings_of_a_letter_stay_two(tmp_path):
  source = one_split(text_lines, write(tmp_path / "a.txt", "é\ne\u0301\né".encode()), 4)
  assert lines_of(source) == ["é", "e\u0301", "é"]


@pytest.mark.parametrize("text", ["a\rb\rc", "a\r\rb", "\ra"])
def test_a_carriage_return_alone_breaks_no_line_and_is_a_character(tmp_path, text):
  source = one_split(text_lines, write(tmp_path / "a.txt", f"{text}\r\nab\r\n".encode()), 8)
  assert lines_of(source) == [text, "ab"]
  assert "\r" in source.codec.spec["alphabet"]


def test_bytes_are_read_as_they_are_marks_and_all(tmp_path):
  content = codecs.BOM_UTF8 + b"a\r\n\xff\xfe\0\n\n"
  source = one_split(text_file, write(tmp_path / "a.txt", content), 1, "bytes")
  (split,) = source.splits.values()
  np.testing.assert_array_equal(split.examples(np.arange(11)).x.ravel(), list(content))
  source = one_split(text_lines, write(tmp_path / "a.txt", content), 4, "bytes")
  (split,) = source.splits.values()
  found = split.examples(np.arange(2))
  np.testing.assert_array_equal(found.x, [[0xEF, 0xBB, 0xBF, ord("a")], [0xFF, 0xFE, 0, 0]])
  np.testing.assert_array_equal(found.valid.sum(axis=1), [4, 3])


@pytest.mark.parametrize("read", [text_file, text_lines])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_other_encodings_are_named_with_the_first_place_that_does_not_fit(tmp_path, read, encoding):
  content = ("Schöne Grüße\n" * 20).encode(encoding)
  path = write(tmp_path / "a.txt", content)
  try:
    content.decode()
  except UnicodeDecodeError as error:
    offset = error.start
  with pytest.raises(
    InputError, match=rf"a\.txt is not UTF-8: byte {content[offset]:#04x} at offset {offset}; give its"
  ):
    one_split(read, path, 20)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("longer", ["cut", "drop"])
@pytest.mark.parametrize("alphabet", ["infer", "bytes"])
def test_length_counts_characters_or_bytes_as_the_alphabet_says(tmp_path, length, longer, alphabet):
  lines = ["a", "éb", "東", "😀c", "abc"]
  source = one_split(text_lines, write(tmp_path / "a.txt", "\n".join(lines).encode()), length, alphabet, longer=longer)
  (split,) = source.splits.values()
  batch = split.examples(np.arange(split.num_examples))
  found = [x[valid].tolist() for x, valid in zip(batch.x, batch.valid, strict=True)]
  order = "".join(sorted(set("".join(lines))))
  units = [list(line.encode()) if alphabet == "bytes" else [order.index(letter) for letter in line] for line in lines]
  assert found == [each[:length] for each in units if longer == "cut" or len(each) <= length]
