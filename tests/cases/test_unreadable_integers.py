"""Files of integers that cannot be read, or not yet: one line each, and room for what is decoded."""

import errno
import functools
import os
import re
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from catgen.data import reading
from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from tests.cases.integers import ALL, MAPS, in_folder, saved
from tests.refusals import mistake, refused


@pytest.mark.parametrize("how", ["absent", "EOPNOTSUPP", "EINVAL", "ENOSYS"])
def test_f2_room_is_made_where_space_cannot_be_reserved(monkeypatch, tmp_path, how):
  def unsupported(*_):
    raise OSError(getattr(errno, how), "not here")

  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 0)
  monkeypatch.setattr(reading, "_ZEROS", 7)
  if how == "absent":
    monkeypatch.delattr(os, "posix_fallocate")
  else:
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
  room = reading.room_for(100, np.dtype("u4"))
  assert isinstance(room, np.memmap)
  assert not room.any()
  room[:] = np.arange(100)
  np.testing.assert_array_equal(room, np.arange(100))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device that is always full is Linux's")
def test_f2_a_full_disk_is_an_error_then_too(monkeypatch):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 0)
  monkeypatch.delattr(os, "posix_fallocate")
  monkeypatch.setattr(reading.tempfile, "TemporaryFile", functools.partial(open, "/dev/full", "r+b", buffering=0))
  refused("has no room for 400 bytes .*No space left.*set TMPDIR", reading.room_for, 100, np.dtype("u4"))


def test_whole_numbers_in_floats_are_named_with_the_remedy(tmp_path):
  refused(r"float64; integers are needed: convert it, by array\.astype\(int\), since all", array_file,
          saved(tmp_path / "a.npy", MAPS.astype(float)))  # fmt: skip
  assert "astype" not in refused("float64", array_file, saved(tmp_path / "a.npy", MAPS + 0.5))
  assert "astype" not in refused("float64", array_file, saved(tmp_path / "a.npy", np.full((3, 3), np.nan)))


def test_negative_ids_are_named_with_the_remedies(tmp_path):
  refused(r"category -1 at index .*ignore=.*relabel=true", array_file, saved(tmp_path / "a.npy", MAPS - 1))


def npy_of(shape, dtype="|u1", data=b""):
  header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
  "content",
  [npy_of((2**60, 4)), npy_of((2**31, 2**31, 4)), npy_of((2**70,)), npy_of((-1, 4)), npy_of((10, 10), data=b"0" * 99)],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_that_promises_more_than_is_there_allocates_nothing(tmp_path, content, suffix):
  path = tmp_path / f"a{suffix}"
  if suffix == ".npz":
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("train.npy", content)
  else:
    path.write_bytes(content)
  refused("is no readable .npy or .npz file of integers", array_file, str(path))


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_unread(tmp_path, monkeypatch):
  from catgen.data import numpy_files

  np.savez_compressed(tmp_path / "a.npz", train=np.zeros((1000, 1000), np.uint8))
  monkeypatch.setattr(numpy_files, "memory_bytes", lambda: 10**5)
  refused(r"a\.npz unpacks to 1,000,128 bytes, more than the 100,000 of this", array_file, str(tmp_path / "a.npz"))
  monkeypatch.setattr(numpy_files, "memory_bytes", lambda: None)
  assert array_file(str(tmp_path / "a.npz")).splits["train"].num_examples == 1000


@pytest.mark.parametrize("content", [np.arange(9, dtype=np.uint16).tobytes(), b"hello", b"\x93NUM", b"\x80\x04K\x03."])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "tokens.bin"])
def test_raw_numbers_and_other_bytes_are_not_called_python_objects(tmp_path, content, name):
  (tmp_path / name).write_bytes(content)
  refused("does not begin as such files do; raw numbers are np.fromfile", array_file, str(tmp_path / name))


@pytest.mark.parametrize(
  "array", [np.array([[{}]]), np.zeros((3, 2), [("a", int)]), np.zeros((0, 3), int), np.zeros((3, 0), int), np.int64(3)]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_without_integers_are_one_line(tmp_path, array, suffix):
  path = tmp_path / f"a{suffix}"
  refused("Python objects, which are never loaded|integers are needed|no data", array_file, saved(path, array))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_no_damage_of_a_file_is_a_traceback(tmp_path, name):
  path = tmp_path / name
  saved(path, MAPS[:5].astype(np.uint8))
  content, rng = path.read_bytes(), np.random.default_rng(0)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _ in range(150):
      damaged = bytearray(content)
      for place in rng.integers(0, min(len(content), 140), 3):
        damaged[place] = rng.integers(256)
      path.write_bytes(bytes(damaged[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else damaged))
      assert "\n" not in mistake(array_file, str(path), splits=ALL, num_classes=256)


def png_of(width, height, depth=8, kind=0, lines=b""):
  chunks = [(b"IHDR", struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)), (b"IDAT", lines), (b"IEND", b"")]
  parts = [
    struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
  ]
  return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_images_that_are_no_maps_are_one_line(tmp_path):
  path = tmp_path / "a.png"
  path.write_bytes(png_of(20_000, 20_000, lines=zlib.compress(bytes(9))))
  refused("a.png is too large: .*cut it into smaller maps", label_maps, str(tmp_path))
  path.write_bytes(png_of(4, 4, 16, 2, zlib.compress(bytes(4 * 25))))
  refused("a.png has 16 bits a channel", label_maps, str(tmp_path), mapping="#000000:0")
  in_folder(tmp_path, MAPS[:1], ["a.png"])
  content, rng = path.read_bytes(), np.random.default_rng(0)
  for _ in range(60):
    damaged = bytearray(content)
    for place in rng.integers(8, len(content), 2):
      damaged[place] = rng.integers(256)
    path.write_bytes(bytes(damaged[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else damaged))
    for mapping in (None, "#000000:0 other:1"):
      assert "\n" not in mistake(label_maps, str(tmp_path), splits=ALL, mapping=mapping)


def test_folders_behind_links_are_read_once_and_links_back_are_not_followed(tmp_path):
  in_folder(tmp_path / "elsewhere", MAPS[:2])
  folder = tmp_path / "maps"
  in_folder(folder / "val" / "deep", MAPS[2:4])
  (folder / "train").symlink_to(tmp_path / "elsewhere")
  (folder / "val" / "deep" / "back").symlink_to(folder / "val")
  (folder / "val" / "self").symlink_to("self")
  source = label_maps(str(folder))
  assert {name: split.num_examples for name, split in source.splits.items()} == {"train": 2, "validation": 2}
  assert list(label_maps(str(folder), split_rule=2).splits) == ["validation"]
  (folder / "val" / "gone.png").symlink_to("nowhere.png")
  refused(r"gone\.png does not exist", label_maps, str(folder))


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
  folder = in_folder(tmp_path, MAPS[:2], ["a/1.png", "b/2.png"])
  scan = os.scandir

  def locked(path):
    if os.path.basename(path) == "b":
      raise PermissionError(13, "Permission denied")
    return scan(path)

  monkeypatch.setattr(os, "scandir", locked)
  refused(rf"{re.escape(folder)}/b cannot be read \(Permission denied\)", label_maps, folder)
