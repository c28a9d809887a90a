"""Tokens of a user's tokenizer: they decode to the text, count its bytes, and what they cannot say is one line."""

import json
import sys

import numpy as np
import pytest

from catgen.data import from_spec, summary, tokens
from catgen.data.sets import tokenized_text as module
from catgen.data.sets.tokenized_text import tokenized_text
from catgen.media import media_of
from tests.refusals import refused

TEXT = "the cat sat on the mat, naïve as cats are 😀\n" * 40


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def byte_level(path):
  """A tokenizer of bytes that was trained on the text."""
  library = pytest.importorskip("tokenizers")
  made = library.Tokenizer(library.models.BPE())
  made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.decoder = library.decoders.ByteLevel()
  made.post_processor = library.processors.TemplateProcessing(single="[A] $A", special_tokens=[("[A]", 0)])
  alphabet = library.pre_tokenizers.ByteLevel.alphabet()
  trainer = library.trainers.BpeTrainer(
    vocab_size=280, special_tokens=["[A]"], initial_alphabet=alphabet, show_progress=False
  )
  made.train_from_iterator([TEXT], trainer)
  made.enable_padding(length=7)
  made.enable_truncation(3)
  made.save(str(path))
  return str(path)


def of_model(path, model, **parts):
  library = pytest.importorskip("tokenizers")
  made = library.Tokenizer(model(library))
  for name, part in parts.items():
    setattr(made, name, part(library))
  made.save(str(path))
  return str(path)


def stream_of(source, name="train"):
  split = source.splits[name]
  x = split.crops(np.arange(split.num_crops)).x
  return np.append(x[:, 0], x[-1, 1:])


@pytest.mark.parametrize("piece", [1, 100, 2**18])
def test_tokens_decode_to_the_text_and_count_its_bytes(tmp_path, monkeypatch, piece):
  monkeypatch.setattr(module, "PIECE", piece)
  tokenizer = byte_level(tmp_path / "tokenizer.json")
  source = tokenized_text(write(tmp_path / "a.txt", TEXT.encode("utf-16")), tokenizer, 5, splits=(1.0, 0, 0))
  ids = stream_of(source)
  assert source.codec.decode(ids) == TEXT
  assert len(ids) < len(TEXT)
  assert source.bytes_per_position == len(TEXT.encode()) / len(ids)
  assert source.codec.num_bytes.shape == (280,)
  assert source.codec.num_bytes[ids].sum() == len(TEXT.encode())
  assert (source.position, source.event.num_classes) == ("token", 280)
  assert "does not give back" not in summary(source)
  np.testing.assert_array_equal(source.codec.encode(TEXT), ids)  # without what a tokenizer adds, pads or cuts


def test_the_spec_holds_the_tokenizer(tmp_path):
  tokenizer = byte_level(tmp_path / "tokenizer.json")
  source = tokenized_text(write(tmp_path / "a.txt", TEXT), tokenizer, 5)
  (tmp_path / "tokenizer.json").unlink()
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  ids = codec.encode("a naïve cat")
  np.testing.assert_array_equal(ids, source.codec.encode("a naïve cat"))
  assert codec.decode(ids) == "a naïve cat"
  shown = codec.decode(np.array([*ids[:2], -1, 280, *ids[2:]]))
  assert shown == codec.decode(ids[:2]) + "\ufffd\ufffd" + codec.decode(ids[2:])
  assert codec.decode(np.append(ids, 0), np.arange(len(ids) + 1) < len(ids)) == "a naïve cat"
  assert codec.decode(np.array([0])) == "[A]"


def test_tokens_are_typed_and_shown_as_text(tmp_path):
  tokenizer = byte_level(tmp_path / "tokenizer.json")
  source = tokenized_text(write(tmp_path / "a.txt", TEXT), tokenizer, 5)
  media = media_of(source.event, source.codec, source.position)
  batch = media.typed(["the cat"])
  assert media.shown(batch) == ["the cat"]
  assert batch.valid.sum() < len("the cat")
  ids = source.codec.encode(" mat")
  masked = np.append(ids, [280] * (5 - len(ids)))
  assert media.frames(np.array([masked])) == [" mat" + "░" * (5 - len(ids))]


WORDS = {"the": 0, "cat": 1, "[UNK]": 2}


@pytest.mark.parametrize(
  ("model", "text", "message"),
  [
    (lambda library: library.models.WordLevel(WORDS, unk_token="[UNK]"), "the dog", "no token for 'd' at offset 6"),
    (
      lambda library: library.models.Unigram([("[", -1.0), ("the", -1.0), ("cat", -1.0)], 0),
      "thedog",
      "'d' at offset 5",
    ),
    (lambda library: library.models.BPE({"t": 0, "h": 1, "e": 2}, []), "the dog", "no token for 'd' at offset 6"),
  ],
)
def test_what_a_tokenizer_cannot_say_is_named(tmp_path, model, text, message):
  tokenizer = of_model(tmp_path / "t.json", model, pre_tokenizer=lambda library: library.pre_tokenizers.Whitespace())
  refused(
    rf"a\.txt: the tokenizer has .*{message}", tokenized_text, write(tmp_path / "a.txt", "\n\n" + text), tokenizer, 2
  )


def test_a_tokenizer_that_loses_something_is_named_and_states_no_bits_per_byte(tmp_path):
  tokenizer = of_model(
    tmp_path / "t.json",
    lambda library: library.models.WordLevel(WORDS, unk_token="[UNK]"),
    pre_tokenizer=lambda library: library.pre_tokenizers.Whitespace(),
    normalizer=lambda library: library.normalizers.Lowercase(),
  )
  source = tokenized_text(write(tmp_path / "a.txt", "The cat\n" * 9), tokenizer, 2, splits=(1.0, 0, 0))
  assert source.bytes_per_position is None
  assert "does not give back the text, first after character 0: no bits per byte" in summary(source)


def test_files_that_do_not_fit_are_one_line(tmp_path):
  text = write(tmp_path / "a.txt", TEXT)
  pytest.importorskip("tokenizers")
  refused(
    r"b\.json: the tokenizer cannot be read \(.*\); give a tokenizer.json",
    tokenized_text,
    text,
    write(tmp_path / "b.json", "{}"),
  )
  refused(r"missing\.json does not exist", tokenized_text, text, str(tmp_path / "missing.json"))
  tokenizer = byte_level(tmp_path / "tokenizer.json")
  refused(r"a\.txt: the validation split has \d+ tokens", tokenized_text, text, tokenizer, 200)
  refused("is not UTF-8: byte 0xff at offset 0", tokenized_text, write(tmp_path / "c.txt", b"\xff"), tokenizer)


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "tokenizers", None)
  tokens.made.cache_clear()
  text = write(tmp_path / "a.txt", TEXT)
  refused(
    r'needs the package tokenizers: pip install "catgen\[tokenizers\]"',
    tokenized_text,
    text,
    write(tmp_path / "t.json", "{}"),
  )
