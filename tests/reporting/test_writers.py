"""Metrics on disk: nothing twice after a restart, nothing lost, one line where the disk fails."""

import errno
import json
import os
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto import event_pb2

from catgen.interfaces import InputError
from catgen.reporting import events as event_files
from catgen.reporting import writers


def steps(workdir):
  return [record["step"] for record in writers.read_metrics(workdir / writers.FILE_NAME)]


def write(workdir, first, last, start_step=0, **keywords):
  out = writers.open_writers(workdir, start_step, **keywords)
  for step in range(first, last + 1):
    out.write(step, {"train/bits": 1.0 / step})
  out.close()


def test_lines_can_be_read_back_and_are_on_disk_at_once(tmp_path):
  out = writers.open_writers(tmp_path / "new")
  out.write(1, {"a": 0.5, "b": np.float32(0.25), "c": jnp.float32(2), "n": 3, "note": "x", "bad": float("nan")})
  expected = {"step": 1, "a": 0.5, "b": 0.25, "c": 2.0, "n": 3, "note": "x", "bad": None}
  assert writers.read_metrics(tmp_path / "new" / writers.FILE_NAME) == [expected]
  out.close()
  out.close()
  assert list((tmp_path / "new" / "tensorboard").iterdir())


def test_a_resumed_run_has_no_step_twice(tmp_path):
  write(tmp_path, 1, 9, tensorboard=False)
  write(tmp_path, 6, 7, start_step=5, tensorboard=False)
  assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
  write(tmp_path, 1, 2, tensorboard=False)  # a run from the start forgets all
  assert steps(tmp_path) == [1, 2]


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path):
  write(tmp_path, 1, 3, tensorboard=False)
  with open(tmp_path / writers.FILE_NAME, "a") as file:
    file.write('{"step": 4, "train/b')
  assert steps(tmp_path) == [1, 2, 3]
  write(tmp_path, 4, 4, start_step=3, tensorboard=False)
  assert steps(tmp_path) == [1, 2, 3, 4]


def test_a_last_line_without_its_line_break_does_not_swallow_the_next(tmp_path):
  write(tmp_path, 1, 2, tensorboard=False)
  path = tmp_path / writers.FILE_NAME
  path.write_text(path.read_text().rstrip("\n"))
  write(tmp_path, 3, 3, start_step=2, tensorboard=False)
  assert steps(tmp_path) == [1, 2, 3]


def test_a_damaged_line_is_named_and_where_training_goes_on_it_is_kept_aside(tmp_path):
  path = tmp_path / writers.FILE_NAME
  for damaged in ('{"ste', '{"step": "2"}', '{"step": 2, "train/bits": "low"}', "[2]", "2", "[" * 10_000):
    before = f'{{"step": 1}}\n{damaged}\n{{"step": 3}}\n'
    path.write_text(before)
    with pytest.raises(InputError, match=r"line 2 of .*metrics\.jsonl"):
      writers.read_metrics(path)
    left_out = []
    assert [record["step"] for record in writers.read_metrics(path, left_out.append)] == [1, 3]
    assert left_out == [f"line 2 of {path} is damaged, 1 in all: left out"]
    said = []
    writers.open_writers(tmp_path, 3, tensorboard=False, say=said.append).close()
    assert [record["step"] for record in writers.read_metrics(path)] == [1, 3]
    assert len(said) == 1
    assert said[0].startswith(f"line 2 of {path} is damaged")
    assert (tmp_path / "metrics.jsonl.damaged").read_text() == before


def events(path):
  """Reads a TensorBoard file: records of (length, checksum, event, checksum)."""
  content, place = path.read_bytes(), 0
  while place < len(content):
    (length,) = struct.unpack_from("<Q", content, place)
    yield event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
    place += length + 16


def test_tensorboard_gets_the_numbers_and_hides_what_came_after_the_restart(tmp_path):
  write(tmp_path, 1, 3)
  write(tmp_path, 3, 4, start_step=2)
  files = {file.suffix: list(events(file)) for file in (tmp_path / "tensorboard").iterdir()}
  first, second = files[".from0"], files[".from2"]
  for found, steps in ((first, [1, 2, 3]), (second, [3, 4])):
    scalars = [(event.step, event.summary.value[0]) for event in found if event.summary.value]
    assert [(step, value.tag) for step, value in scalars] == [(step, "train/bits") for step in steps]
    np.testing.assert_allclose([value.simple_value for _, value in scalars], 1 / np.array(steps), rtol=1e-6)
  (restart,) = [event.step for event in second if event.session_log.status == event_pb2.SessionLog.START]
  assert restart == 3  # TensorBoard drops what earlier files say about this step and later ones


def test_tensorboard_shows_pictures_as_they_are_and_two_calls_in_a_second_lose_none(tmp_path):
  picture, animation = tmp_path / "samples.png", tmp_path / "chain.gif"
  first, second = (Image.new("RGB", (30, 20), color) for color in ("red", "blue"))
  first.save(picture)
  first.save(animation, save_all=True, append_images=[second])
  write(tmp_path / "run", 1, 2)
  for step in (7, 8):
    writers.show_pictures(tmp_path / "run", step, [picture, animation])
  board = tmp_path / "run" / "tensorboard"
  numbers, pictures = (
    sorted(path for path in folder.iterdir() if path.is_file()) for folder in (board, board / "pictures")
  )
  assert len(numbers) == 1
  assert len(pictures) == 2
  for file, step in zip(pictures, (7, 8), strict=True):
    (shown,) = [event for event in events(file) if event.summary.value]
    assert shown.step == step
    assert [value.tag for value in shown.summary.value] == ["samples", "chain"]
    for value, path in zip(shown.summary.value, (picture, animation), strict=True):
      assert value.image.encoded_image_string == path.read_bytes()
      assert (value.image.width, value.image.height, value.image.colorspace) == (30, 20, 3)


def test_pictures_that_cannot_be_shown_are_one_line(tmp_path):
  Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
  (tmp_path / "file").write_text("")
  for workdir, path in ((tmp_path, tmp_path / "missing.png"), (tmp_path / "file", tmp_path / "a.png")):
    with pytest.raises(InputError, match="cannot write"):
      writers.show_pictures(workdir, 1, [path])


def test_a_full_disk_is_one_line_and_the_record_comes_when_there_is_room(tmp_path, monkeypatch):
  out = writers.open_writers(tmp_path, tensorboard=False)
  out.write(1, {"a": 1.0})
  write, written = os.write, []

  def full(file, data):
    if written:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    written.append(write(file, data[:5]))
    return 5

  with monkeypatch.context() as patched:
    patched.setattr(os, "write", full)
    with pytest.raises(InputError, match=r"metrics\.jsonl: No space left on device; free space"):
      out.write(2, {"a": 1.0})
    assert written == [5]
    assert steps(tmp_path) == [1]  # what it took is taken back
  out.write(3, {"a": 1.0})
  out.close()
  assert steps(tmp_path) == [1, 2, 3]


def test_a_file_that_vanishes_is_made_again(tmp_path):
  out = writers.open_writers(tmp_path, tensorboard=False)
  out.write(1, {"a": 1.0})
  (tmp_path / "metrics.jsonl").unlink()
  out.write(2, {"a": 1.0})
  out.close()
  assert steps(tmp_path) == [2]


def test_a_disk_that_fills_up_under_tensorboard_holds_nothing_up(tmp_path, monkeypatch):
  """The thread of SummaryWriter would end, and the eleventh number after that wait for ever."""
  monkeypatch.setattr(event_files, "FLUSH_SECONDS", 0.0)
  said = []
  out = writers.open_writers(tmp_path, say=said.append)

  def full(file):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, "fsync", full)
  for step in range(1, 31):
    out.write(step, {"a": 1.0})
  out.close()
  assert steps(tmp_path) == list(range(1, 31))
  assert len(said) == 1


def test_without_tensorboard_the_lines_are_written(tmp_path):
  (tmp_path / "tensorboard").write_text("no folder")
  said = []
  out = writers.open_writers(tmp_path, say=said.append)
  for step in (1, 2):
    out.write(step, {"a": 1.0})
  out.close()
  assert steps(tmp_path) == [1, 2]
  assert len(said) == 1
  assert "the work goes on without TensorBoard" in said[0]


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="cannot write"):
    writers.open_writers(tmp_path / "file" / "run")


def test_processes_that_do_not_write(tmp_path):
  out = writers.no_writers()
  out.write(1, {"a": 1.0})
  out.close()
  assert list(tmp_path.iterdir()) == []


def test_every_line_is_standard_json(tmp_path):
  out = writers.open_writers(tmp_path, tensorboard=False)
  out.write(1, {"a": float("inf"), "b": jnp.float32(jnp.nan), "c": True, "d": None})
  out.close()

  def refuse(constant):
    raise AssertionError(constant)

  line = (tmp_path / writers.FILE_NAME).read_text()
  assert json.loads(line, parse_constant=refuse) == {"step": 1, "a": None, "b": None, "c": True, "d": None}


def written(path, *lines):
  path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
  return path


STEPS = [{"step": i, "train/bits": 3.0 - i / 10} for i in range(1, 6)]


@pytest.mark.parametrize(
  "tail", [b"", b'{"step": 6, "tr', b"\0" * 40, b"\xff\xfe\x80", "{ü".encode()[:-1], b"{", b"\n"[:0]]
)
def test_what_a_crash_leaves_at_the_end_is_dropped_and_training_goes_on(tmp_path, tail):
  path = written(tmp_path / writers.FILE_NAME, *STEPS, tail)
  assert writers.read_metrics(path) == STEPS
  out = writers.open_writers(tmp_path, 5, tensorboard=False)
  out.write(6, {"train/bits": 2.0})
  out.close()
  assert writers.read_metrics(path) == [*STEPS, {"step": 6, "train/bits": 2.0}]


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"\0\0\n", b"{\n", b"\n"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_damage_before_the_end_is_named_by_its_line(tmp_path, damage, place):
  path = written(tmp_path / writers.FILE_NAME, *STEPS[:place], damage, *STEPS[place:])
  with pytest.raises(InputError, match=rf"^line {place + 1} of .*metrics\.jsonl is damaged: remove it$"):
    writers.read_metrics(path)


def test_going_on_leaves_the_lines_before_it_byte_for_byte(tmp_path):
  path = written(tmp_path / writers.FILE_NAME, *STEPS, {"step": 6, "note": "größer", "x": None, "y": 1e-300})
  before = path.read_bytes()
  writers.open_writers(tmp_path, 6, tensorboard=False).close()
  assert path.read_bytes() == before
  writers.open_writers(tmp_path, 3, tensorboard=False).close()
  assert path.read_bytes() == b"".join(before.splitlines(keepends=True)[:3])
