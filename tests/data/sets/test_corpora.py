"""Downloads that end early and archives that are damaged inside: one line, and never half a corpus."""

import hashlib
import http.client
import io
import urllib.request
import zipfile

import numpy as np
import pytest

from catgen.data.sets.wikipedia.corpus import ENWIK8, TEXT8, Corpus, download, unpack, verify
from catgen.interfaces import InputError

DATA = np.random.default_rng(0).choice(np.frombuffer(b"abcdefgh ", np.uint8), 5000)


def zipped():
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
    packed.writestr("small", DATA.tobytes())
  return file.getvalue()


ZIP = zipped()
CORPUS = Corpus(
  "small", "http://corpus.invalid/small.zip", len(ZIP), 5000, hashlib.md5(DATA.tobytes()).hexdigest(), None
)


class Response(io.BytesIO):
  """What a server sends: bytes, or an error in their midst."""

  def __init__(self, content, error=None):
    super().__init__(content)
    self.error = error

  def read(self, *arguments):
    if self.error is not None:
      raise self.error
    return super().read(*arguments)


def serve(monkeypatch, *responses):
  waiting = list(responses)
  monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: waiting.pop(0))


def test_a_whole_download_is_unpacked_without_a_file(monkeypatch):
  serve(monkeypatch, Response(ZIP), Response(ZIP))
  assert download(CORPUS) == ZIP
  np.testing.assert_array_equal(unpack(CORPUS, None), DATA)


@pytest.mark.parametrize(
  ("content", "error", "message"),
  [
    (b"", http.client.IncompleteRead(b"abc"), "small cannot be downloaded .*pass it as path="),
    (
      b"",
      ConnectionResetError(104, "Connection reset by peer"),
      "small cannot be downloaded .*reset.*pass it as path=",
    ),
    (b"", TimeoutError("timed out"), r"small cannot be downloaded \(timed out\)"),
    (ZIP[:-1], None, f"gave {len(ZIP) - 1:,} bytes, not {len(ZIP):,}; try again, or pass path="),
    (b"<html>", None, "gave 6 bytes"),
    (bytes(len(ZIP)), None, "is truncated or no zip file .*fetch http://corpus.invalid/small.zip again"),
  ],
)
def test_a_download_that_is_not_the_corpus_is_one_line(monkeypatch, content, error, message):
  serve(monkeypatch, Response(content, error))
  with pytest.raises(InputError, match=message) as caught:
    unpack(CORPUS, None)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", [60, 200, len(ZIP) // 2])
def test_damage_inside_an_archive_is_one_line(tmp_path, place):
  path = tmp_path / "small.zip"
  path.write_bytes(ZIP[:place] + bytes(byte ^ 0xFF for byte in ZIP[place : place + 40]) + ZIP[place + 40 :])
  with pytest.raises(InputError, match=r"small\.zip is (truncated or no zip file|damaged)") as caught:
    unpack(CORPUS, str(path))
  assert "\n" not in str(caught.value)


def test_an_archive_may_hold_more_and_lie_in_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  with zipfile.ZipFile(tmp_path / "my corpus.zip", "w") as packed:
    packed.writestr("readme", "hello")
    packed.writestr("small", DATA.tobytes())
  np.testing.assert_array_equal(unpack(CORPUS, "~/my corpus.zip"), DATA)


@pytest.mark.parametrize("change", ["one bit", "shorter", "longer", "swapped"])
def test_any_other_bytes_are_not_the_corpus(change):
  other = DATA.copy()
  if change == "one bit":
    other[4321] ^= 1
  elif change == "swapped":
    other[:2000] = DATA[1000:3000]
  other = {"shorter": DATA[:-1], "longer": np.append(DATA, DATA[:1])}.get(change, other)
  with pytest.raises(InputError, match=r"^here (has|is damaged)[^\n]*fetch it again from http://corpus\.invalid"):
    verify(other, CORPUS, "here")
  verify(DATA, CORPUS, "here")


def test_the_official_corpora_are_a_hundred_million_bytes_each_with_a_checksum():
  for corpus, letters in ((TEXT8, 27), (ENWIK8, None)):
    assert (corpus.size, len(bytes.fromhex(corpus.md5))) == (10**8, 16)
    assert corpus.zip_size < corpus.size / 2
    assert (corpus.alphabet and len(corpus.alphabet)) == letters
