"""Codecs: what is encoded comes back, what cannot be encoded is named."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data.characters import TEXT8_ALPHABET, character_table, code_points, reduce_to_text8, show
from catgen.data.codecs import alphabet_codec, byte_codec, ended, from_spec, integer_codec
from catgen.data.integers import integer_dtype
from catgen.interfaces import InputError

ALPHABETS = st.text(min_size=2, max_size=40).map(lambda text: "".join(sorted(set(text)))).filter(lambda a: len(a) > 1)


@settings(max_examples=30)
@given(st.data(), ALPHABETS)
def test_alphabet_codec_round_trips_through_its_spec(data, alphabet):
  text = data.draw(st.text(alphabet=st.sampled_from(alphabet)))
  codec = from_spec(json.loads(json.dumps(alphabet_codec(alphabet).spec)))
  x = codec.encode(text)
  assert x.dtype == np.int32
  assert [alphabet[i] for i in x] == list(text)
  assert codec.decode(x) == text


def test_characters_and_bytes_say_how_many_bytes_they_are():
  assert alphabet_codec("aé日😀").num_bytes.tolist() == [1, 2, 3, 4]
  assert ended(alphabet_codec("aé"), 2, 5).num_bytes.tolist() == [1, 2, 0]
  assert byte_codec().num_bytes.tolist() == [1] * 256


@settings(max_examples=30)
@given(st.text())
def test_byte_codec_round_trips(text):
  codec = from_spec(json.loads(json.dumps(byte_codec().spec)))
  np.testing.assert_array_equal(codec.encode(text), list(text.encode()))
  assert codec.decode(codec.encode(text)) == text


def test_integer_codec_round_trips():
  codec = from_spec(json.loads(json.dumps(integer_codec(8, (2, 3)).spec)))
  x = np.arange(6).reshape(2, 3)
  np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)
  np.testing.assert_array_equal(codec.decode(x, x > 0)[0], [-1, 1, 2])


def test_text8_has_space_at_zero_and_letters_after_it():
  np.testing.assert_array_equal(alphabet_codec(TEXT8_ALPHABET).encode(" az"), [0, 1, 26])


@given(st.text())
def test_reduction_to_text8_stays_in_the_alphabet_and_is_idempotent(text):
  reduced = reduce_to_text8(text)
  assert re.fullmatch("([a-z]+( [a-z]+)*)?", reduced)
  assert reduce_to_text8(reduced) == reduced


def test_reduction_follows_the_rules_of_text8():
  assert reduce_to_text8("In 1984, É.  Zola's\n[[AB]]") == "in one nine eight four zola s ab"


@pytest.mark.parametrize("codec", [alphabet_codec(TEXT8_ALPHABET), byte_codec()])
def test_padding_is_dropped_and_unknown_positions_are_marked(codec):
  x = codec.encode("abcd")
  assert codec.decode(x, np.array([True, False, True, False])) == "a\N{REPLACEMENT CHARACTER}c"
  assert codec.decode(np.array([x[0], 256]), np.array([True, True])) == "a\N{REPLACEMENT CHARACTER}"
  assert codec.decode(x, np.zeros(4, bool)) == ""


@pytest.mark.parametrize(
  ("make", "names"),
  [
    (lambda: alphabet_codec("abc").encode("abxa"), ["'x'", "offset 2", "'abc'"]),
    (lambda: alphabet_codec("abc").encode("ab\n"), [r"'\n'", "offset 2"]),
    (lambda: alphabet_codec("abca"), ["'a'", "once"]),
    (lambda: alphabet_codec("a"), ["at least two"]),
    (lambda: alphabet_codec("abc").encode(np.zeros(3)), ["text is needed", "ndarray"]),
    (lambda: byte_codec().encode(np.zeros(3)), ["bytes are needed", "ndarray"]),
    (lambda: integer_codec(4, (2,)).encode([1, 4]), ["4", "(1,)", "0..3"]),
    (lambda: integer_codec(4, (2,)).encode([-1, 0]), ["-1", "(0,)"]),
    (lambda: integer_codec(4, (2,)).encode([1, 2, 3]), ["(2,)", "(3,)"]),
    (lambda: integer_codec(4, (2,)).encode([0.5, 1]), ["float64"]),
    (lambda: from_spec({"kind": "morse"}), ["'morse'", "alphabet, bytes, tokens, table and integers"]),
  ],
)
def test_what_cannot_be_encoded_is_named_on_one_line(make, names):
  with pytest.raises(InputError) as caught:
    make()
  message = str(caught.value)
  assert "\n" not in message
  for name in names:
    assert name in message


@pytest.mark.parametrize("size", [2, 254, 255, 256, 257, 70_000])
def test_an_alphabet_of_any_size_keeps_its_order(size):
  alphabet = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0xE000 + 20_000)][:size]))
  codec, table = alphabet_codec(alphabet), character_table(alphabet)
  np.testing.assert_array_equal(codec.encode(alphabet), np.arange(size))
  assert codec.decode(np.arange(size)) == alphabet
  assert (table != np.iinfo(table.dtype).max).sum() == size  # no category looks like "none"
  assert f"({size} characters)" in show(alphabet)
  assert len(show(alphabet)) < 400


@pytest.mark.parametrize("number", [1, 2, 256, 257, 65_536, 65_537])
def test_a_dtype_holds_so_many_values_and_a_smaller_one_would_not(number):
  dtype = np.dtype(integer_dtype(number))
  assert number - 1 <= np.iinfo(dtype).max
  assert dtype.itemsize == 1 or number - 1 > np.iinfo(f"u{dtype.itemsize // 2}").max


def test_code_points_are_those_of_python_surrogates_too():
  text = "aé東😀\0\ud800\uffff\U0010ffff"
  assert code_points(text).tolist() == [ord(letter) for letter in text]
  assert alphabet_codec(text).decode(np.arange(len(text))) == text


@pytest.mark.parametrize("text", ["ä東😀", "a\ud800b", "", "\0\n"])
def test_bytes_of_text_come_back_and_halves_of_characters_are_marked(text):
  codec = byte_codec()
  data = text.encode("utf-8", "surrogatepass")
  np.testing.assert_array_equal(codec.encode(text), list(data))
  np.testing.assert_array_equal(codec.encode(data), list(data))
  assert codec.decode(np.array(list("ä".encode())[:1])) == "\N{REPLACEMENT CHARACTER}"
