"""Many files are one array: the same splits, batches and SHA-256 as one file has, on a disk and in a store."""

import io

import fsspec
import numpy as np
import pytest

from catgen.data.pipeline import eval_batches, train_batch
from catgen.data.sets.array_file import array_file
from catgen.data.shard_files import open_shards
from catgen.interfaces import InputError

RNG = np.random.default_rng(0)
STREAM = RNG.integers(0, 7, 1000).astype(np.uint16)
RECORDS = RNG.integers(0, 7, (60, 2, 3)).astype(np.uint8)
CUTS = [0, 130, 130, 131, 700]  # a shard may be empty, or hold a single value


def write(array, folder, cuts=CUTS, name="part"):
  for i, part in enumerate(np.split(array, [cut for cut in cuts if cut <= len(array)])):
    content = io.BytesIO()
    np.save(content, part)
    put(f"{folder}/{name}_{i:03d}.npy", content.getvalue())


def put(path, content):
  with fsspec.open(path, "wb") as file:
    file.write(content)


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
  if request.param == "disk":
    yield str(tmp_path)
    return
  fs = fsspec.filesystem("memory")
  yield "memory://shards"
  fs.rm("/shards", recursive=True)


@pytest.mark.parametrize("pattern", ["", "/*.npy"])
@pytest.mark.parametrize(
  ("array", "options"), [(STREAM, {"length": 9}), (RECORDS, {}), (RECORDS, {"splits": (40, 10, 10)})]
)
def test_shards_are_read_as_the_one_file_that_they_make(folder, tmp_path, pattern, array, options):
  one = tmp_path / "one"
  one.mkdir()
  np.save(one / "array.npy", array)
  expected = array_file(str(one / "array.npy"), **options)
  write(array, folder, [0, 13, 13, 14, 41])
  found = array_file(folder + pattern, **options)
  assert found.fingerprint == expected.fingerprint
  assert found.event == expected.event
  assert {name: split.num_examples for name, split in found.splits.items()} == {
    name: split.num_examples for name, split in expected.splits.items()
  }
  for name in found.splits:
    for crops in (True, False):
      told = {"seed": 3, "step": 2, "batch_size": 8, "crops": crops}
      for mine, other in zip(*(train_batch(each.splits[name], **told) for each in (found, expected)), strict=True):
        np.testing.assert_array_equal(mine, other)
    walks = [eval_batches(each.splits[name], batch_size=8) for each in (found, expected)]
    for mine, other in zip(*walks, strict=True):
      np.testing.assert_array_equal(mine.x, other.x)


def test_names_may_say_the_splits(folder):
  for name, part in (("train", STREAM[:700]), ("val", STREAM[700:800]), ("test", STREAM[800:])):
    write(part, folder, [50], name)
  source = array_file(folder, length=10)
  assert {name: split.num_examples for name, split in source.splits.items()} == {
    "train": 70,
    "validation": 10,
    "test": 20,
  }
  np.testing.assert_array_equal(
    source.splits["validation"].examples(np.array([4, 5, 9])).x.ravel()[-10:], STREAM[790:800]
  )
  write(STREAM, folder, [], "more")
  with pytest.raises(InputError, match=r"test_000\.npy is named after a split and more_000\.npy is not"):
    array_file(folder, length=10)


def test_a_slice_reads_nothing_and_numbers_read_their_files_alone(folder, monkeypatch):
  write(STREAM, folder)
  shards = open_shards([f"{folder}/part_{i:03d}.npy" for i in range(len(CUTS) + 1)])
  asked = []
  monkeypatch.setattr("catgen.remote.ranges", lambda parts: asked.extend(parts) or [bytes(b - a) for _, a, b in parts])
  part = shards[125:900]
  assert (part.shape, part.dtype, len(part[700:9999]), len(part[50:20])) == ((775,), STREAM.dtype, 75, 0)
  nothing = np.array([], np.int64)
  assert (part.windows(nothing, 10).shape, part[nothing].shape) == ((0, 10), (0,))
  assert not asked
  part.windows(np.array([0, 600]), 10)
  read = {(path.rpartition("/")[2], (start - 128) // 2, (stop - 128) // 2) for path, start, stop in asked}
  in_store = {("part_001.npy", 125, 130), ("part_003.npy", 0, 1), ("part_004.npy", 0, 4), ("part_005.npy", 25, 35)}
  assert read == (in_store if folder.startswith("memory://") else set())


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (STREAM.astype(np.int64), "part_000.npy has shape"),
    (RECORDS, r"part_000.npy has shape \(60, 2, 3\)"),
    (np.asfortranarray(RECORDS), "part_000.npy has shape|stored by columns"),
    (np.array(["a", None], object), "Python objects|is no readable"),
  ],
)
def test_shards_that_do_not_fit_together_are_refused(folder, array, message):
  write(STREAM, folder, [500], "a")
  write(array, folder, [])
  with pytest.raises(InputError, match=message):
    array_file(folder, length=10)


def test_what_is_no_array_is_refused(folder):
  put(f"{folder}/a.npy", b"nothing of the kind")
  with pytest.raises(InputError, match=r"a\.npy is no readable"):
    array_file(folder, length=10)
  with pytest.raises(InputError, match=r"names no \.npy files; give a folder"):
    array_file(folder + "/b*.npy", length=10)
