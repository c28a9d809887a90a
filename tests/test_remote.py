"""Paths of object stores, by fsspec's memory://: what works on a disk works there, and what cannot is one line."""

import gzip
import io
import json
import logging
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from catgen import cache, files, paths, remote
from catgen.config import make_source
from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.reporting import charts, writers

BUCKET = "memory://bucket"


@pytest.fixture(autouse=True)
def _bucket(tmp_path, monkeypatch):
  """An empty bucket, and nothing of a test's on the disk but the cache."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
  (tmp_path / "temporary").mkdir()
  yield
  remote.remove_below(BUCKET)
  left = {each.name for each in tmp_path.rglob("*")}
  assert left <= {"temporary", f"catgen-{os.getuid()}"}


def test_what_a_client_raises_it_does_not_print_too(caplog):
  try:
    raise OSError("unavailable, 503")
  except OSError:
    logging.getLogger("gcsfs").exception("_request out of retries")
  logging.getLogger("gcsfs").warning("something else")
  assert caplog.messages == ["something else"]


@pytest.mark.parametrize(
  ("path", "said"),
  [
    ("nowhere://bucket/run", "nowhere:// is no protocol that is known"),
    ("oci://bucket/run", "cannot be opened: Install ocifs"),
    ("file:///tmp/run", "give the path of a local file without file://"),
  ],
)
def test_a_path_that_cannot_be_opened_is_one_line(path, said):
  for use in (paths.expanded, lambda path: files.write_text(f"{path}/a", "x")):
    with pytest.raises(InputError, match=said) as refused:
      use(path)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
  import fsspec

  def missing(protocol):
    raise ImportError(f"Install the package of {protocol}")

  with monkeypatch.context() as without:
    without.setattr(fsspec.core, "get_filesystem_class", missing)
    with pytest.raises(InputError, match=r"s3://b/run cannot be opened: it needs s3fs: pip install 'catgen\[s3\]'"):
      paths.expanded("s3://b/run")
    with pytest.raises(InputError, match=r"it needs gcsfs: pip install 'catgen\[gcs\]'"):
      paths.expanded("gs://b/run")


@pytest.mark.parametrize("path", ["s3://", "gs:///", "s3:///run/a.txt", "memory://"])
def test_a_path_without_a_bucket_is_refused_in_one_line(path, tmp_path):
  for use in (
    paths.expanded,
    paths.absolute,
    paths.parent_of,
    files.check_writable,
    lambda path: files.write_text(path, "x"),
    lambda path: make_source({"kind": "text_file", "path": path, "length": 4}),
  ):
    with pytest.raises(InputError, match=f"{path} names no bucket; give one, for example ") as refused:
      use(path)
    assert "\n" not in str(refused.value)
  with pytest.raises(InputError, match="s3://bucket names a bucket and no file in it"):
    files.check_writable("s3://bucket")


def test_the_protocol_is_taken_in_capitals_too():
  files.write_text("MEMORY://bucket/Run/a", "x")
  assert remote.below(f"{BUCKET}/Run") == {"a": 1}
  assert paths.expanded("Memory://bucket/Run/") == paths.absolute("MEMORY://bucket/Run") == f"{BUCKET}/Run"


@pytest.mark.parametrize("name", ["x[1]", "x*", "x?"])
def test_names_that_look_like_patterns_are_names(name, tmp_path):
  run, content = f"{BUCKET}/{name}", {"a": b"a", "d/b[1]": b"bb", "d/b1": b"c"}
  beside = {f"x1/{each}": len(value) + 1 for each, value in content.items()}
  for each, value in content.items():
    remote.write(f"{run}/{each}", value)
    remote.write(f"{BUCKET}/x1/{each}", value + b"!")
  assert remote.read_all([f"{run}/{each}" for each in content]) == list(content.values())
  assert list(files.read_each([f"{run}/a", f"{run}/a"])) == [b"a", b"a"]
  assert remote.ranges([(f"{run}/d/b[1]", 0, 1)]) == [b"b"]
  assert paths.matching(f"{run}/d/b[1]") == [f"{run}/d/b[1]"]
  remote.download(run, {each: str(tmp_path / "temporary" / each) for each in content})
  assert (tmp_path / "temporary" / "d" / "b[1]").read_bytes() == b"bb"
  remote.upload({each: str(tmp_path / "temporary" / each) for each in content}, f"{run}/again")
  shutil.rmtree(tmp_path / "temporary")
  paths.move_folder(f"{run}/again", f"{run}/moved[1]")
  assert remote.below(f"{run}/moved[1]") == {each: len(value) for each, value in content.items()}
  remote.remove(f"{run}/a")
  remote.remove_below(f"{run}/d")
  remote.remove_below(f"{run}/none")
  assert not remote.is_folder(f"{run}/d")
  remote.remove_below(run)
  assert remote.below(BUCKET) == beside


def test_names_and_folders():
  for name in ("run/config.json", "run/scores/a.npz", "run/.hidden", "deep/er/run/config.json"):
    files.write_text(f"{BUCKET}/{name}", name)
  assert paths.names_in(f"{BUCKET}/run") == [".hidden", "config.json", "scores"]
  assert paths.names_in(f"{BUCKET}/none") == []
  assert [paths.exists(f"{BUCKET}/run/{name}") for name in ("", "scores", "scores/a.npz")] == [True] * 3
  assert not paths.exists(f"{BUCKET}/run/scores/b")
  assert paths.is_folder(f"{BUCKET}/run")
  assert not paths.is_file(f"{BUCKET}/run")
  assert paths.sizes_below(f"{BUCKET}/run") == {".hidden": 11, "config.json": 15, "scores/a.npz": 16}
  found = [f"{BUCKET}/deep/er/run", f"{BUCKET}/run"]
  assert list(paths.folders_with("config.json", BUCKET)) == found
  assert list(paths.folders_with("config.json", f"{BUCKET}/run")) == [f"{BUCKET}/run"]
  assert paths.matching_folders(f"{BUCKET}/r*") == [f"{BUCKET}/run"]
  assert paths.absolute(f"{BUCKET}/run/") == paths.expanded(f"{BUCKET}/run/") == f"{BUCKET}/run"
  paths.move_folder(f"{BUCKET}/run", f"{BUCKET}/aside")
  assert paths.sizes_below(f"{BUCKET}/aside") == {".hidden": 11, "config.json": 15, "scores/a.npz": 16}
  assert not paths.exists(f"{BUCKET}/run")


def test_a_file_is_replaced_whole_or_not_at_all():
  path = f"{BUCKET}/results.json"
  with files.replacing(path) as file:
    file.write(b"old")
    assert not paths.exists(path)

  def break_off():
    with files.replacing(path) as file:
      file.write(b"new")
      raise ValueError("bug")

  with pytest.raises(ValueError, match="bug"):
    break_off()
  assert files.read_bytes(path) == b"old"
  files.remove(path)
  files.remove(path)
  with pytest.raises(FileNotFoundError):
    files.read_bytes(path)


def test_a_store_that_refuses_is_one_line_with_the_remedy(monkeypatch):
  def refuse(*_, **__):
    raise RuntimeError("An error occurred (SlowDown) when calling\nthe PutObject operation")

  monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", refuse)
  said = "cannot write memory://bucket/a: An error occurred (SlowDown) when calling the PutObject operation; free"
  with pytest.raises(InputError) as refused:
    files.write_text(f"{BUCKET}/a", "x")
  assert str(refused.value).startswith(said)
  with pytest.raises(InputError, match="SlowDown"):
    files.check_writable(f"{BUCKET}/out.txt")


def test_what_a_store_does_not_say_is_not_taken_for_missing(monkeypatch):
  def refuse(*_, **__):
    raise ConnectionError("no route to host")

  monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", refuse)
  with pytest.raises(InputError, match=r"cannot look for memory://bucket/run/config.json: no route to host"):
    paths.exists(f"{BUCKET}/run/config.json")


def test_a_version_is_replaced_by_one_of_many_writers():
  path, won, start = f"{BUCKET}/lock.json", [], threading.Barrier(8)

  def write(name):
    start.wait()
    if remote.replace(path, name, None) is not None:
      won.append(name)

  threads = [threading.Thread(target=write, args=(b"%d" % i,)) for i in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  found = remote.version(path)
  assert won == [found.content]
  assert remote.replace(path, b"next", "another version") is None
  assert remote.replace(path, b"next", found.mark) == remote.version(path).mark
  assert remote.version(f"{BUCKET}/none") is None
  assert remote.clock(path) >= found.written
  assert paths.names_in(BUCKET) == ["lock.json"]


def test_of_results_that_are_added_at_the_same_time_none_is_lost():
  record = {"split": "test", "estimator": "elbo", "value": 3.0, "unit": "bits", "num_draws": 1, "ema": False}
  threads = [threading.Thread(target=results.add_results, args=(BUCKET, {**record, "step": i})) for i in range(6)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert sorted(each["step"] for each in results.read_results(BUCKET)) == list(range(6))


def test_metrics_are_sent_in_time_and_go_on_from_a_step(monkeypatch):
  path = f"{BUCKET}/run/metrics.jsonl"
  out = writers.open_writers(f"{BUCKET}/run", say=pytest.fail)
  out.write(1, {"train/bits": 3.0})
  assert writers.read_metrics(path) == []  # not due yet
  out.flush()
  out.write(2, {"train/bits": 2.0})
  assert [line["step"] for line in writers.read_metrics(path)] == [1]
  out.close()
  out.close()
  assert [line["step"] for line in writers.read_metrics(path)] == [1, 2]
  assert [name.split(".")[0] for name in paths.names_in(f"{BUCKET}/run/tensorboard")] == ["events"]
  monkeypatch.setattr(writers, "FLUSH_SECONDS", 0.0)
  monkeypatch.setattr(writers, "_SHARE_OF_TIME", 1e9)
  again = writers.open_writers(f"{BUCKET}/run", 1, tensorboard=False)
  again.write(3, {"train/bits": 1.0})
  assert [line["step"] for line in writers.read_metrics(path)] == [1, 3]
  again.close()


def test_a_line_that_a_store_refuses_comes_with_the_next(monkeypatch):
  out = writers.open_writers(f"{BUCKET}/run", tensorboard=False)
  with monkeypatch.context() as broken:
    broken.setattr(remote, "write", lambda *_: (_ for _ in ()).throw(remote.StoreError("gone")))
    out.write(1, {"a": 1.0})
    with pytest.raises(InputError, match="gone"):
      out.flush()
  out.write(2, {"a": 1.0})
  out.close()
  assert [line["step"] for line in writers.read_metrics(f"{BUCKET}/run/metrics.jsonl")] == [1, 2]


def test_pictures_are_what_their_endings_say():
  path = f"{BUCKET}/run/metrics.jsonl"
  lines = [{"step": step, "train/bits": 3.0 / step} for step in (1, 2)]
  files.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
  charts.loss_curve(path, f"{BUCKET}/curve.png", position="character")
  assert Image.open(io.BytesIO(files.read_bytes(f"{BUCKET}/curve.png"))).format == "PNG"
  writers.show_pictures(f"{BUCKET}/run", 3, [f"{BUCKET}/curve.png"])
  assert len(paths.names_in(f"{BUCKET}/run/tensorboard/pictures")) == 1


TEXT = "".join(f"{i} is the square of {i**0.5:.3f}\n" for i in range(300))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_text_is_the_same_data_as_on_a_disk(name, tmp_path):
  content = gzip.compress(TEXT.encode()) if name.endswith("gz") else TEXT.encode()
  files_source = {"kind": "text_file", "length": 16}
  with files.replacing(f"{BUCKET}/{name}") as file:
    file.write(content)
  local = tmp_path / "temporary" / name
  local.write_bytes(content)
  there = make_source({**files_source, "path": f"{BUCKET}/{name}"})
  here = make_source({**files_source, "path": str(local)})
  assert there.fingerprint == here.fingerprint
  local.unlink()
  with pytest.raises(InputError, match=r"memory://bucket/none\.txt does not exist"):
    make_source({**files_source, "path": f"{BUCKET}/none.txt"})


def test_arrays_tables_and_folders_are_the_same_data_as_on_a_disk(tmp_path):
  local = tmp_path / "temporary"
  rng = np.random.default_rng(0)
  maps = rng.integers(0, 3, (20, 4, 4)).astype(np.uint8)
  content = {"maps.npy": maps, "maps.npz": maps}
  for i, each in enumerate(maps):
    place = local / "folder" / ("red" if i % 2 else "blue") / f"{i}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(each).save(place)
  np.save(local / "maps.npy", maps)
  np.savez(local / "maps.npz", maps)
  (local / "texts").mkdir()
  for i in range(30):
    (local / "texts" / f"{i}.txt").write_text(TEXT[i : 2 * i])
  (local / "table.csv").write_text("text,color\n" + "".join(f"{line[:9]},red\n" for line in TEXT.splitlines()))
  remote.upload({path.relative_to(local).as_posix(): str(path) for path in local.rglob("*") if path.is_file()}, BUCKET)
  for section in (
    {"kind": "array_file", "path": "maps.npy"},
    {"kind": "label_maps", "path": "maps.npz"},
    {"kind": "label_maps", "path": "folder", "labels": "folder"},
    {"kind": "text_folder", "path": "texts", "length": 8, "splits": (20, 5, 4)},
    {"kind": "text_folder", "path": "texts/1*.txt", "length": 8, "splits": (6, 2, 3)},
    {"kind": "text_table", "path": "table.csv", "labels": ("color",)},
  ):
    there, here = (make_source({**section, "path": f"{top}/{section['path']}"}) for top in (BUCKET, local))
    assert there.fingerprint == here.fingerprint
    assert there.attributes == here.attributes
  assert set(content) <= set(paths.names_in(BUCKET))
  for each in local.iterdir():
    paths.remove_folder(each)
    if each.is_file():
      each.unlink()


def test_the_cache_of_the_dead_is_removed_and_that_of_the_living_is_not(tmp_path):
  home = tmp_path / "temporary" / f"catgen-{os.getuid()}"
  with cache.cache() as mine:
    left = home / "left"
    left.mkdir()
    (left / "a").write_text("x")
    with cache.cache() as other:
      assert not left.exists()
      assert os.path.isdir(mine)
      assert mine != other
  assert list(home.iterdir()) == []
