"""text8 and enwik8 on small made-up files: the builders write and read them, and damage is named."""

import functools
import hashlib
import io
import zipfile

import numpy as np
import pytest

from catgen.data.sets.wikipedia.builder import Text8
from catgen.data.sets.wikipedia.corpus import ENWIK8, FRACTIONS, TEXT8, Corpus
from catgen.data.sets.wikipedia.source import corpus_source
from catgen.interfaces import EventSpec, InputError

SIZE = 2_500_001


@functools.cache
def made_up_data(alphabet):
  """Returns letters, or bytes where there is no alphabet, and a zip file of them."""
  letters = np.frombuffer(TEXT8.alphabet.encode(), np.uint8) if alphabet else np.arange(256, dtype=np.uint8)
  data, packed = np.random.default_rng(0).choice(letters, SIZE), io.BytesIO()
  with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
    file.writestr("made_up", data.tobytes())
  return data, packed.getvalue()


class MadeUp:
  """A corpus with its files, and the class of its TFDS builder."""

  def __init__(self, folder, alphabet=TEXT8.alphabet):
    self.data, packed = made_up_data(alphabet)
    self.file, self.zip = folder / "made_up", folder / "made_up.zip"
    self.file.write_bytes(self.data.tobytes())
    self.zip.write_bytes(packed)
    self.corpus = Corpus(
      "made_up",
      self.zip.as_uri(),
      self.zip.stat().st_size,
      SIZE,
      hashlib.md5(self.data.tobytes()).hexdigest(),
      alphabet,
    )
    self.data_dir = str(folder / "tfds")

  def source(self, *, length=256, path=None, max_bytes=None, splits=FRACTIONS, **changes):
    corpus = self.corpus._replace(**changes)

    class Builder(Text8, skip_registration=True):
      CORPUS = corpus
      name = "made_up"

    path = None if path is None else str(path)
    return corpus_source(corpus, lambda: Builder, length, self.data_dir, path, max_bytes, splits)


def test_the_official_facts():
  for corpus, length, counts in ((TEXT8, 256, (351_562, 19_531)), (ENWIK8, 320, (281_250, 15_625))):
    assert corpus.size == 100_000_000
    assert (90_000_000 // length, 5_000_000 // length) == counts


def test_download_zip_and_file_give_the_same_integers(tmp_path):
  sources = []
  for place in ("download", "zip", "file"):
    (tmp_path / place).mkdir()
    made_up = MadeUp(tmp_path / place)
    sources.append(made_up.source(path={"download": None, "zip": made_up.zip, "file": made_up.file}[place]))
  assert len({source.fingerprint for source in sources}) == 1
  expected = np.where(made_up.data == ord(" "), 0, made_up.data.astype(int) - 96)
  for source in sources:
    start = 0
    for name, share in zip(("train", "validation", "test"), FRACTIONS, strict=True):
      split = source.splits[name]
      assert split.num_examples == round(SIZE * share) // 256
      x = split.examples(np.arange(split.num_examples)).x
      np.testing.assert_array_equal(x.ravel(), expected[start : start + x.size])
      start += split.num_crops + 255
    assert start == SIZE


def test_what_is_prepared_needs_neither_network_nor_zip(tmp_path):
  made_up = MadeUp(tmp_path)
  first = made_up.source(path=made_up.zip)
  made_up.zip.unlink()
  assert made_up.source().fingerprint == first.fingerprint


def test_bytes_and_the_beginning_only(tmp_path):
  made_up = MadeUp(tmp_path, alphabet=None)
  source = made_up.source(length=320, path=made_up.file, max_bytes=100_000, splits=(50_000, 20_000, 30_000))
  assert source.event == EventSpec((320,), 256)
  assert source.position == "byte"
  test = source.splits["test"]
  np.testing.assert_array_equal(test.crops(np.array([test.num_crops - 1])).x[0], made_up.data[99_680:100_000])


@pytest.mark.parametrize("kind", ["zip", "file"])
def test_a_wrong_checksum_names_file_expected_and_found(tmp_path, kind):
  made_up = MadeUp(tmp_path)
  path = {"zip": made_up.zip, "file": made_up.file}[kind]
  with pytest.raises(InputError) as caught:
    made_up.source(path=path, md5="0" * 32)
  for part in (str(path), "0" * 32, made_up.corpus.md5):
    assert part in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_data_dir_that_cannot_be_written_is_named(tmp_path):
  made_up = MadeUp(tmp_path)
  (tmp_path / "tfds").write_text("a file where a folder should be")
  with pytest.raises(InputError, match=r"tfds.* cannot be written .*choose another data_dir"):
    made_up.source(path=made_up.zip)


def truncate(path, size):
  path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (lambda m: (truncate(m.file, 1000), m.source(path=m.file)), "1,000 bytes, made_up has 2,500,001"),
    (lambda m: (truncate(m.zip, 1000), m.source(path=m.zip)), "truncated or no zip"),
    (lambda m: (truncate(m.zip, 1000), m.source()), "gave 1,000 bytes, not .*path="),
    (lambda m: m.source(url=m.file.as_uri() + "missing"), "cannot be downloaded .* pass it as path="),
    (lambda m: m.source(path=m.zip, name="other"), "holds no file other"),
    (lambda m: m.source(path=str(m.zip) + "x.zip"), "does not exist"),
    (lambda m: m.source(path=m.file, max_bytes=SIZE + 1), "max_bytes is 2500002; it must be 1 to 2,500,001"),
  ],
)
def test_damage_is_one_line_with_a_remedy(tmp_path, damage, message):
  with pytest.raises(InputError, match=message) as caught:
    damage(MadeUp(tmp_path))
  assert "\n" not in str(caught.value)
