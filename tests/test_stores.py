"""What `catgen.remote` says of stores, held by servers that speak S3 and Google Cloud Storage."""

import threading
import time

import pytest

from catgen import remote
from catgen.interfaces import InputError
from catgen.runs import lock
from tests import stores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["s3", "gcs"])
def bucket(request):
  with getattr(stores, request.param)() as url:
    yield url


def test_objects_and_what_lies_below(bucket):
  content = {"a.txt": b"a", "b/c.txt": b"cc", "b/d.bin": bytes(range(256)) * 5000}
  for name, value in content.items():
    remote.write(f"{bucket}/x/{name}", value)
  assert remote.below(f"{bucket}/x") == {name: len(value) for name, value in content.items()}
  assert remote.names(f"{bucket}/x") == ["a.txt", "b"]
  assert (remote.size(f"{bucket}/x/a.txt"), remote.size(f"{bucket}/x/b"), remote.is_folder(f"{bucket}/x/b")) == (
    1,
    None,
    True,
  )
  assert remote.matching(f"{bucket}/x/**/*.txt") == [f"{bucket}/x/a.txt", f"{bucket}/x/b/c.txt"]
  assert remote.read_all([f"{bucket}/x/{name}" for name in content]) == list(content.values())
  with remote.opened(f"{bucket}/x/b/d.bin") as file:
    assert file.read() == content["b/d.bin"]
  remote.copy(f"{bucket}/x", f"{bucket}/y")
  remote.remove_below(f"{bucket}/x")
  assert (remote.below(f"{bucket}/x"), remote.is_folder(f"{bucket}/x"), remote.names(f"{bucket}/x")) == ({}, False, [])
  assert len(remote.below(f"{bucket}/y")) == 3
  remote.remove(f"{bucket}/y/a.txt")
  remote.remove(f"{bucket}/y/a.txt")
  with pytest.raises(FileNotFoundError):
    remote.read(f"{bucket}/y/a.txt")


@pytest.mark.parametrize("name", ["x[1]", "x*", "x?"])
def test_what_is_beside_a_name_that_looks_like_a_pattern_stays(bucket, name):
  content = {"a": b"a", "d/b[1]": b"bb", "d/b1": b"c", "d": b"d"}
  top = f"{bucket}/patterns"
  for each, value in content.items():
    remote.write(f"{top}/x1/{each}", value)
    remote.write(f"{top}/{name}/{each}", value)
  fs, inside = remote._store(f"{top}/{name}/d")
  fs.pipe_file(f"{inside}/", b"")  # what stands for a folder
  assert remote.read_all([f"{top}/{name}/{each}" for each in content]) == list(content.values())
  remote.remove(f"{top}/{name}/d/b[1]")
  assert "d/b1" in remote.below(f"{top}/{name}")
  remote.remove_below(f"{top}/{name}")
  assert not remote.is_folder(f"{top}/{name}")
  assert remote.below(f"{top}/x1") == {each: len(value) for each, value in content.items()}
  for path in (bucket, "s3://", f"{bucket}/"):  # never a bucket
    with pytest.raises(OSError if path.startswith(bucket) else InputError):
      remote.remove(path)


def test_files_go_up_and_come_down(bucket, tmp_path):
  names = [f"{i % 3}/{i}" for i in range(40)]
  for name in names:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(name)
  remote.upload({name: str(tmp_path / name) for name in names}, f"{bucket}/many")
  remote.download(f"{bucket}/many", {name: str(tmp_path / "down" / name) for name in names})
  assert [(tmp_path / "down" / name).read_text() for name in names] == names


def test_of_writers_on_one_condition_one_wins(bucket):
  path = f"{bucket}/locks/one"
  for before in (None, "its mark"):
    won, start = [], threading.Barrier(6)
    mark = before and remote.version(path).mark

    def write(name, won=won, start=start, mark=mark):
      start.wait()
      if remote.replace(path, name, mark) is not None:
        won.append(name)

    threads = [threading.Thread(target=write, args=(f"{before} {i}".encode(),)) for i in range(6)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    assert won == [remote.version(path).content]
  assert remote.replace(f"{bucket}/locks/none", b"x", remote.version(path).mark) is None
  assert remote.version(f"{bucket}/locks/none") is None
  assert abs(remote.clock(path) - time.time()) < 10


def test_a_work_directory_has_one_writer(bucket):
  with lock.held(f"{bucket}/run", pytest.fail) as mine:
    with pytest.raises(InputError, match="is in use by process"), lock.held(f"{bucket}/run", pytest.fail):
      pass
    mine._write_again()
    mine.check()
    remote.write(f"{bucket}/run/lock.json", b'{"another": 1}')
    with pytest.raises(InputError, match="was taken over"):
      mine.check()
  with lock.held(f"{bucket}/run", pytest.fail):
    assert lock.owner_of(f"{bucket}/run") is not None
  assert lock.owner_of(f"{bucket}/run") is None
