"""Files are written whole or not at all, and what fails is told in one line."""

import errno
import os

import pytest

from catgen import files
from catgen.interfaces import InputError

OLD, NEW = b"old", b"new and longer"


@pytest.fixture
def path(tmp_path):
  path = tmp_path / "results.json"
  path.write_bytes(OLD)
  return path


def names(path) -> list[str]:
  return sorted(each.name for each in path.parent.iterdir())


def refuse(number):
  def function(*_, **__):
    raise OSError(number, os.strerror(number))

  return function


def test_a_block_that_ends_well_replaces_the_file(path):
  with files.replacing(path) as file:
    file.write(NEW)
    assert path.read_bytes() == OLD  # until the block has ended
  assert path.read_bytes() == NEW
  assert names(path) == [path.name]


def replace(path, error=None, **keywords):
  with files.replacing(path, **keywords) as file:
    file.write(NEW)
    if error is not None:
      raise error


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(path, error):
  with pytest.raises(type(error)) as raised:
    replace(path, error)
  assert raised.value is error
  assert path.read_bytes() == OLD
  assert names(path) == [path.name]


@pytest.mark.parametrize(
  ("function", "number"),
  [("fsync", errno.ENOSPC), ("replace", errno.ENOSPC), ("fsync", errno.EDQUOT), ("replace", errno.EROFS)],
)
def test_a_disk_that_refuses_is_one_line_with_the_remedy(path, monkeypatch, function, number):
  monkeypatch.setattr(os, function, refuse(number))
  with pytest.raises(InputError) as raised:
    replace(path, remedy="choose another folder")
  assert str(raised.value) == f"cannot write {path}: {os.strerror(number)}; choose another folder"
  monkeypatch.undo()
  assert path.read_bytes() == OLD
  assert names(path) == [path.name]


def test_the_file_is_on_disk_before_it_takes_the_place_of_the_old_one(path, monkeypatch):
  order, fsync, replace = [], os.fsync, os.replace
  monkeypatch.setattr(os, "fsync", lambda *a: (order.append("fsync"), fsync(*a)))
  monkeypatch.setattr(os, "replace", lambda *a: (order.append("replace"), replace(*a)))
  files.write_text(path, "text")
  assert order == ["fsync", "replace"]


def test_folders_are_made(tmp_path):
  path = tmp_path / "a" / "b" / "file.txt"
  files.write_text(path, "text")
  assert path.read_text() == "text"


def test_a_file_in_the_place_of_the_folder_is_one_line(path):
  below = path / "file.txt"
  with pytest.raises(InputError, match=r"^cannot write .*file\.txt: .*; free space or choose another work directory$"):
    files.write_text(below, "text")
  assert path.read_bytes() == OLD


def test_what_killed_processes_have_left_beside_a_file_is_removed_by_the_next(path, monkeypatch):
  for name in (".results.json.123.tmp", ".results.json.old.tmp", ".results.json.old.123.tmp"):
    path.with_name(name).write_bytes(OLD)
  with files.replacing(path) as file:
    file.write(NEW)
    with monkeypatch.context() as another:
      another.setattr(os, "getpid", lambda: 124)
      files.write_text(path, "of another process")
  assert path.read_bytes() == NEW  # which the other has not taken for left
  assert names(path) == [".results.json.old.123.tmp", ".results.json.old.tmp", path.name]


def test_text_is_utf8_and_keeps_its_line_ends(path):
  text = "Zürich — 東京\r\nline\n"
  files.write_text(path, text)
  assert path.read_bytes() == text.encode("utf-8")


def test_an_error_without_a_number_keeps_its_words():
  assert "cannot write here: the moon is full; wait" in str(
    files.write_error("here", OSError("the moon is full"), remedy="wait")
  )


def test_a_file_that_the_user_named_is_written_where_it_is(path, tmp_path):
  link = tmp_path / "link"
  link.symlink_to(path)
  with files.writing(link) as file:
    file.write(NEW)
  assert link.is_symlink()
  assert path.read_bytes() == NEW
  with files.writing(os.devnull) as file:
    file.write(NEW)


def test_a_file_that_the_user_named_keeps_what_it_had_where_the_disk_is_full(path, monkeypatch):
  monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
  with pytest.raises(InputError, match="No space left on device; choose another --output"), files.writing(path) as file:
    file.write(NEW)
  assert path.read_bytes() == OLD
  assert names(path) == [path.name]


def draw(path):
  with files.drawn(path) as content:
    content.write(NEW)


def test_a_picture_that_finds_no_room_leaves_the_one_before(path, monkeypatch):
  monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
  with pytest.raises(InputError, match="No space left on device; free space"):
    draw(path)
  assert path.read_bytes() == OLD
  assert names(path) == [path.name]


@pytest.mark.parametrize("name", [".", "new", "new/newer"])
def test_a_folder_that_takes_no_file_is_not_left_there(tmp_path, monkeypatch, name):
  monkeypatch.setattr("pathlib.Path.write_bytes", refuse(errno.ENOSPC))
  with pytest.raises(InputError, match="No space left on device; another"):
    files.check_folder(tmp_path / name, remedy="another")
  assert list(tmp_path.iterdir()) == []


def write_in(folder) -> None:
  with files.writing(folder):
    pass


@pytest.mark.parametrize("function", [write_in, files.check_writable])
def test_a_folder_is_no_file_that_can_be_written(tmp_path, function):
  with pytest.raises(InputError, match=rf"^cannot write {tmp_path}: .*; choose another --output$"):
    function(tmp_path)


def test_looking_whether_a_file_can_be_written_changes_nothing_in_it(path):
  files.check_writable(path)
  assert path.read_bytes() == OLD
  files.check_writable(None)  # nothing was named


def test_a_file_that_the_user_named_may_lie_at_home(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.chdir(tmp_path)
  files.check_writable("~/a b é.txt")
  with files.writing("~/a b é.txt") as file:
    file.write(NEW)
  assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a b é.txt": NEW}
  with pytest.raises(
    InputError, match=r"^cannot write ~/missing/x: No such file or directory; choose another --output$"
  ):
    files.check_writable("~/missing/x")


@pytest.mark.parametrize("name", ["a b.txt", "é東.txt", ".hidden", "x" * 200, "-", "a\\b"])
def test_names_of_files_may_be_anything_that_the_disk_takes(tmp_path, name):
  files.write_text(tmp_path / name, "text")
  assert (tmp_path / name).read_text() == "text"
  assert len(list(tmp_path.iterdir())) == 1


def test_a_name_that_the_disk_does_not_take_is_one_line(tmp_path):
  with pytest.raises(InputError, match=r"^cannot write .*: File name too long; free space or choose another") as caught:
    files.write_text(tmp_path / ("x" * 300), "text")
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\0", bytes(range(256)) * 5000])
def test_bytes_are_those_that_were_written_and_writing_again_changes_nothing(path, content):
  for _ in range(2):
    with files.replacing(path) as file:
      for start in range(0, len(content), 100_000):
        file.write(content[start : start + 100_000])
    assert path.read_bytes() == content
