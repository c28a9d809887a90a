"""What whole passes over large files have found is not found again, unless a file, or what is asked, has changed."""

import os

import numpy as np
import pytest

from catgen.data import remembered, splits
from catgen.data.sets.array_file import array_file

RECORDS = np.random.default_rng(0).integers(0, 5, (300, 4)).astype(np.uint8)


@pytest.fixture
def passes(tmp_path, monkeypatch):
  """The blocks that were hashed, with a cache of its own, for which every file is large."""
  monkeypatch.setenv("CATGEN_CACHE", str(tmp_path / "cache"))
  monkeypatch.setattr(remembered, "LARGE", 0)
  seen = []
  hashes = splits.hashlib.sha256

  class Counted:
    def __init__(self):
      self._digest = hashes()

    def update(self, content):
      seen.append(len(content))
      self._digest.update(content)

    def hexdigest(self):
      return self._digest.hexdigest()

  monkeypatch.setattr("catgen.data.splits.hashlib.sha256", lambda *content: hashes(*content) if content else Counted())
  return seen


@pytest.fixture
def path(tmp_path):
  return save(RECORDS, tmp_path / "x.npy")


def save(records, path, age=60):
  """Writes a file so many seconds ago."""
  np.save(path, records)
  then = path.stat().st_mtime - age
  os.utime(path, (then, then))
  return path


def told(source):
  return source.fingerprint, source.event, {name: split.num_examples for name, split in source.splits.items()}


def read(path, passes, **options):
  """Returns what the source says, and whether the file was hashed for it."""
  passes.clear()
  source = array_file(str(path), **options)
  return told(source), bool(passes)


def test_the_second_start_reads_nothing_and_says_the_same(path, passes):
  first, hashed = read(path, passes)
  assert hashed
  assert read(path, passes) == (first, False)


def test_other_content_of_the_same_size_is_read_again(path, passes):
  first, _ = read(path, passes)
  save(RECORDS[::-1], path, age=30)
  other, hashed = read(path, passes)
  assert hashed
  assert other[0] != first[0]


@pytest.mark.parametrize(
  "options", [{"splits": (200, 50, 50)}, {"num_classes": 9}, {"ignore": (3,)}, {"relabel": True}]
)
def test_other_settings_are_other_results(path, passes, options):
  read(path, passes)
  found, hashed = read(path, passes, **options)
  assert hashed
  assert found == told(array_file(str(path), **options))
  assert found == read(path, passes, **options)[0]


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path, passes):
  path = save(RECORDS, tmp_path / "x.npy", age=0)
  assert [read(path, passes)[1] for _ in range(2)] == [True, True]


def test_a_damaged_memory_is_made_again(path, passes, tmp_path):
  first, _ = read(path, passes)
  for kept in (tmp_path / "cache/data").iterdir():
    kept.write_bytes(b"nothing of the kind")
  assert read(path, passes) == (first, True)
  assert read(path, passes) == (first, False)


def test_small_files_leave_nothing_behind(path, passes, tmp_path, monkeypatch):
  monkeypatch.setattr(remembered, "LARGE", RECORDS.nbytes * 2)
  assert [read(path, passes)[1] for _ in range(2)] == [True, True]
  assert not (tmp_path / "cache").exists()
