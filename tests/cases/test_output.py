"""Files hold what was drawn, signs are for the terminal, and how samples may be restricted."""

import contextlib
import io
import json
import os
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen import files
from catgen.batches import batch_of
from catgen.data.codecs import alphabet_codec, byte_codec
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.reporting import progress, terminal
from catgen.runs import score as scoring
from catgen.runs.choose import choose
from catgen.runs.correct import correct
from catgen.runs.demo import beginning, demo
from catgen.runs.infill import infill
from catgen.runs.sample import sample as draw_samples
from launch import cli
from tests.cases.outputs import BYTES, IN_A_LINE, LENGTH, LINES, MAPS
from tests.tiny_run import tiny_config

NOT_IN_A_LINE = "\n\r\ufeff\ud83d\ude00\udcff"
EVERYTHING = media_of(
  EventSpec((LENGTH,), len(IN_A_LINE + NOT_IN_A_LINE)), alphabet_codec(IN_A_LINE + NOT_IN_A_LINE), "character"
)
SIZES = {"everything": (EVERYTHING, len(IN_A_LINE + NOT_IN_A_LINE)), "lines": (LINES, len(IN_A_LINE))}
SIZES |= {"bytes": (BYTES, 256), "maps": (MAPS, 3)}


def drawn(number, shape, num_classes, seed, invalid=0.0):
  """Returns what a model may draw, -1 where a code means no category, and with a category in each example."""
  rng = np.random.default_rng(seed)
  x = rng.integers(0, num_classes, (number, *shape)).astype(np.int32)
  x[rng.random(x.shape) < invalid] = -1
  x.reshape(number, -1)[:, -2] = 1
  return batch_of(x)


def written_and_read(media, path, batch):
  media.check_output(str(path), invalid=True)
  media.written(str(path), batch)
  found = media.read(str(path))
  return np.where(found.valid, found.x, -1)


@pytest.mark.parametrize("ending", [".jsonl", ".npy"])
@pytest.mark.parametrize("name", ["everything", "lines", "bytes", "maps"])
@pytest.mark.parametrize("invalid", [0.0, 0.3])
def test_d1_a_file_gives_back_what_was_drawn(name, ending, invalid, tmp_path):
  media, num_classes = SIZES[name]
  if name == "maps" and ending == ".jsonl":
    return
  for seed in range(5):
    batch = drawn(40, (2, 3) if name == "maps" else (LENGTH,), num_classes, seed, invalid)
    np.testing.assert_array_equal(written_and_read(media, tmp_path / f"x{ending}", batch), batch.x)


def test_d1_lines_give_back_what_was_drawn(tmp_path):
  for seed in range(20):
    batch = drawn(40, (LENGTH,), len(IN_A_LINE), seed)
    LINES.written(str(tmp_path / "x.txt"), batch)
    np.testing.assert_array_equal(LINES.read(str(tmp_path / "x.txt")).x, batch.x)
  expected = "".join("".join(IN_A_LINE[i] for i in x) + "\n" for x in batch.x)
  assert (tmp_path / "x.txt").read_bytes().decode() == expected  # no escapes, no signs


@pytest.mark.parametrize("character", NOT_IN_A_LINE)
def test_d1_lines_are_refused_before_the_work_where_a_record_may_not_be_one(character, tmp_path):
  media, path = media_of(EventSpec((2,), 3), alphabet_codec("ab" + character), "character"), str(tmp_path / "x.txt")
  with pytest.raises(InputError, match=r"x\.txt has a record a line, .* in \.jsonl or \.npy") as caught:
    media.check_output(path, invalid=False)
  assert repr(character) in str(caught.value)
  with pytest.raises(InputError, match="any bytes"):
    BYTES.check_output(path, invalid=False)
  LINES.check_output(path, invalid=False)
  with pytest.raises(InputError, match="no category"):
    LINES.check_output(path, invalid=True)
  assert not os.path.exists(path)


def test_d1_json_lines_are_text_where_text_says_what_was_drawn(tmp_path):
  rows = ["café \n".encode()[:LENGTH], b"caf\xc3\xff_", b"\xa9afe\r\n"]
  batch = batch_of(np.array([list(row) for row in rows], np.int32))
  BYTES.written(str(tmp_path / "x.jsonl"), batch)
  lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="ascii").splitlines()]
  assert lines == [{"text": "café "}, {"categories": list(rows[1])}, {"categories": list(rows[2])}]
  np.testing.assert_array_equal(BYTES.read(str(tmp_path / "x.jsonl")).x, batch.x)


def test_d1_shorter_records_come_back_as_long_as_they_were(tmp_path):
  batch = LINES.typed(["a", "ab é", "東" * LENGTH])
  for ending in (".txt", ".jsonl", ".npy"):
    LINES.written(str(tmp_path / f"x{ending}"), batch)
    found = LINES.read(str(tmp_path / f"x{ending}"))
    np.testing.assert_array_equal(found.x, batch.x)
    np.testing.assert_array_equal(found.valid, batch.valid)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ('{"text": "ab"}\n{"text": "aX"}', r"x\.jsonl, line 2: character 'X'"),
    ('{"text": 3}', r'x\.jsonl, line 1: \{"text": "..."\} or'),
    ('"ab"', r'x\.jsonl, line 1: \{"text": "..."\} or'),
    ('\n{"text": "ab"', r"x\.jsonl, line 2: Expecting"),
    ('{"categories": [1, 99]}', r"x\.jsonl, line 1: 99 is no category; give numbers from 0 to"),
    ('{"categories": [1, true]}', "True is no category"),
    ('{"categories": [-1]}', "line 1: there is no category at all"),
    ('{"text": "abababa"}', r"line 1: the input has shape \(7,\).*cut it"),
    ("[" * 100_000, "line 1: .*recursion"),
    (" \n\n", "has no records"),
  ],
)
def test_d1_json_lines_that_do_not_fit_are_one_line(content, message, tmp_path):
  (tmp_path / "x.jsonl").write_text(content)
  with pytest.raises(InputError, match=message) as caught:
    LINES.read(str(tmp_path / "x.jsonl"))
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.full((2, LENGTH), 99), "category 99 at index"),
    (np.full((2, LENGTH + 1), 1), "number 0: the input has shape"),
    (np.full((2, 2, 2), 1), "give one record, or several"),
    (np.full((2, LENGTH), -1), "number 0: there is no category at all"),
    (np.full((2, LENGTH), 1.0), "integers are needed"),
  ],
)
def test_d1_arrays_of_text_that_do_not_fit_are_one_line(array, message, tmp_path):
  np.save(tmp_path / "x.npy", array)
  with pytest.raises(InputError, match=message):
    LINES.read(str(tmp_path / "x.npy"))


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("samples", r"has no ending, .* ends in \.txt or \.jsonl or \.npy"),
    ("samples.csv", r"ends in \.csv, .* ends in \.txt or \.jsonl or \.npy"),
  ],
)
def test_d1_an_ending_that_is_not_known_says_which_are(name, message, tmp_path):
  with pytest.raises(InputError, match=message):
    LINES.check_output(str(tmp_path / name), invalid=False)
  with pytest.raises(InputError, match=r"give a name that ends in \.npy$"):
    MAPS.check_output(str(tmp_path / name), invalid=False)
  with pytest.raises(InputError, match="is a folder; name a file in it"):
    LINES.check_output(str(tmp_path), invalid=False)
  assert not os.listdir(tmp_path)


def test_d1_a_pipe_gets_the_first_that_holds_all_and_is_not_closed_by_a_look(tmp_path):
  path, found = str(tmp_path / "pipe"), []
  os.mkfifo(path)
  batch = drawn(500, (LENGTH,), 256, 0)

  def read():
    with open(path, "rb") as file:
      found.append(file.read())

  for media, suffix in ((BYTES, "x.jsonl"), (MAPS, "x.npy")):
    batch = drawn(500, (2, 3), 3, 0) if media is MAPS else batch
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    media.check_output(path, invalid=True)
    files.check_writable(path)
    media.written(path, batch)
    reader.join(timeout=20)
    (tmp_path / suffix).write_bytes(found.pop())
    np.testing.assert_array_equal(media.read(str(tmp_path / suffix)).x, batch.x)


def test_d1_the_standard_output_is_written_on_where_it_is(tmp_path, monkeypatch):
  with open(tmp_path / "out", "wb") as out:
    out.write(b"before\n")
    out.flush()
    monkeypatch.setitem(files._STREAMS, "/dev/stdout", out.fileno())
    LINES.written("/dev/stdout", LINES.typed(["ab"]))
    out.write(b"after\n")
  assert (tmp_path / "out").read_bytes() == b"before\nab\nafter\n"


def test_d1_where_samples_take_the_standard_output_the_rest_is_said_elsewhere(capsys):
  for output in (None, "x.txt", "/dev/stdout", "/dev/stderr"):
    terminal.voice(output)(f"said {output}")
  assert capsys.readouterr() == ("said None\nsaid x.txt\nsaid /dev/stderr\n", "said /dev/stdout\n")


def test_d1_a_file_of_samples_is_scored_as_the_samples_are(text_run, tmp_path):
  for name in ("x.txt", "x.jsonl", "x.npy"):
    path = str(tmp_path / name)
    found = draw_samples(text_run, num_samples=3, num_steps=5, batch_size=2, output=path)
    np.testing.assert_array_equal(scoring.examples_of(text_run, None, path, None, None, ())[0].x, found.x)
    np.testing.assert_array_equal(scoring.examples_of(text_run, found.x, None, None, None, ())[0].x, found.x)
  pattern = text_run.decode(found.x[0])[:10]
  completed = infill(text_run, text=pattern, num_samples=2, num_steps=5, output=str(tmp_path / "c.jsonl"))
  np.testing.assert_array_equal(text_run.media.read(str(tmp_path / "c.jsonl")).x, completed.x)
  for function, options in ((draw_samples, {}), (infill, {"text": pattern}), (correct, {"text": "the cat"})):
    with pytest.raises(InputError, match="has no ending"):
      function(text_run, output=str(tmp_path / "samples"), **options)


def test_d2_a_hole_is_one_byte_and_what_is_known_takes_as_many_as_it_needs():
  x, observed, *_ = BYTES.parse("é_", hole="_", pad=True)
  assert list(x[:2]) == list("é".encode())
  assert observed.tolist() == [True, True, False, False, False, False]
  assert BYTES.parse("café_", hole="_", pad=True).observed.tolist() == [True] * 5 + [False]
  with pytest.raises(InputError, match="7 positions, the model's examples have 6: remove 1"):
    BYTES.parse("café__", hole="_", pad=True)
  with pytest.raises(InputError, match="has no hole"):
    BYTES.parse("caféx", hole="_", pad=True)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=LENGTH, max_size=LENGTH), st.binary(min_size=LENGTH, max_size=LENGTH))
def test_d2_bytes_that_are_no_utf8_are_shown(before, after):
  x, y = (np.array(list(each), np.int32) for each in (before, after))
  batch = batch_of(x[None])
  (shown,) = BYTES.shown(batch)
  assert shown.isprintable()
  text, *changes = BYTES.corrections(batch, y, np.ones(LENGTH), color=False).splitlines()
  assert text.replace("[", "").replace("]", "") == BYTES.shown(batch_of(y[None]))[0].replace("[", "").replace("]", "")
  assert len(changes) == max(1, (x != y).sum())
  states = np.where(np.arange(LENGTH) % 3 == 0, 256, y)
  assert BYTES.frames(states[None])[0].count(terminal.MASK) >= 2


def test_d2_a_sentence_is_cut_where_positions_end_and_refused_before_a_tour(text, tmp_path):
  assert beginning("aéé", byte_codec(), 4) == "aé"
  assert beginning("aé", alphabet_codec("aé"), 4) == "aé"
  with pytest.raises(InputError, match="character 'X'"):
    demo(tiny_config(text), str(tmp_path / "tour"), sentence="X", say=lambda line: None)
  assert not os.listdir(tmp_path)


def test_d1_texts_that_no_file_can_hold_are_refused_by_number(tmp_path):
  with pytest.raises(InputError, match=r"text 1 has '\\ud800', half a character"):
    choose(["ab", "a\ud800", "ba"], str(tmp_path))
  assert not os.listdir(tmp_path)


def test_d2_a_changed_byte_marks_its_character():
  typed = BYTES.typed(["é_a\n"])
  corrected = np.array([0xC3, 0xA8, 0x5F, 0x62, 0x0A, 0], np.int32)
  lines = BYTES.corrections(typed, corrected, np.full(LENGTH, 0.5), color=False).splitlines()
  assert lines == [
    "[è]_[b]⏎",
    "  position 2: 'é' -> 'è' (probability 0.50)",
    "  position 4: 'a' -> 'b' (probability 0.50)",
  ]
  masked = np.array([[0xC3, 0xA9, 256, 0x61, 256, 256]])
  assert BYTES.frames(masked) == [f"é{terminal.MASK}a{terminal.MASK}{terminal.MASK}"]


class Gone(io.TextIOWrapper):
  """A pipe whose reader has gone."""

  def __init__(self, *arguments, **options):
    super().__init__(*arguments, **options)
    self.number = os.open(os.devnull, os.O_WRONLY)

  def flush(self):
    raise BrokenPipeError

  def fileno(self):
    return self.number


def command(monkeypatch, stdout, says):
  """Runs a command that says something, and returns its exit code."""

  def perform(commands, values, overrides, told):
    told["say"](says)
    return 0

  monkeypatch.setattr(cli, "perform", perform)
  monkeypatch.setattr(sys, "stdout", stdout)
  return cli.main("", [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device that is always full is Linux's")
def test_d3_output_that_finds_no_room_ends_no_work_and_is_one_line_at_the_end(monkeypatch, tmp_path, capsys):
  with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as full:  # closing it writes again
    code = command(monkeypatch, full, "a result")
  assert code == 1
  error = "error: the output could not be written: No space left on device; free space, or send it elsewhere\n"
  assert capsys.readouterr().err == error
  with open(tmp_path / "log", "w", encoding="utf-8") as log:
    number, full = os.dup(log.fileno()), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log.fileno())
    terminal.say("found no room", log)
    os.dup2(number, log.fileno())  # there is room again
    assert command(monkeypatch, log, "a result") == 0
    os.close(number)
    os.close(full)
  assert (tmp_path / "log").read_text().splitlines()[-1] == "a result"


def test_d3_a_result_is_shown_in_characters_that_the_terminal_has(monkeypatch):
  out = io.BytesIO()
  says = "2.85 ± 0.01 café ⏎·░"
  assert command(monkeypatch, io.TextIOWrapper(out, encoding="ascii"), says) == 0
  assert out.getvalue().decode("ascii") == "2.85 +/- 0.01 caf\\xe9 \\n._\n"


def test_d3_nobody_who_listens_is_no_error(monkeypatch):
  assert command(monkeypatch, None, "2.85 ± 0.01") == 0
  assert command(monkeypatch, Gone(io.BytesIO(), encoding="utf-8"), "2.85 ± 0.01") == 0


def test_d3_a_mistake_is_told_in_characters_that_the_terminal_has(monkeypatch):
  err = io.BytesIO()
  monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="ascii"))
  assert cli.main("", ["café"]) == 2
  assert err.getvalue() == b"error: unexpected argument 'caf\\xe9'; flags start with --\n"


class Screen(io.TextIOWrapper):
  """A terminal."""

  def isatty(self):
    return True


@pytest.mark.parametrize("kind", [Screen, io.TextIOWrapper])
def test_d3_progress_is_shown_in_ascii(kind, monkeypatch):
  out = io.BytesIO()
  bar = progress.open_progress(3, unit="sample", title="sample", stream=kind(out, encoding="ascii"))
  for _ in range(3):
    bar.update(1, {"bits": "2.5"})
    bar.say("validation 2.5 ± 0.1")
  bar.close()
  assert "100%" in out.getvalue().decode("ascii")
  assert out.getvalue().decode("ascii").count("validation 2.5 +/- 0.1") == 3
  monkeypatch.setattr(sys, "stderr", None)
  progress.open_progress(3, unit="sample").update(1)
  gone = progress.open_progress(3, unit="sample", stream=Gone(io.BytesIO(), encoding="utf-8"))
  gone.update(3)


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_d3_colors_can_be_refused(name, value, monkeypatch):
  monkeypatch.setattr(terminal.os, "isatty", lambda number: True)
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.delenv("NO_COLOR", raising=False)
  assert terminal.has_color()
  monkeypatch.setenv(name, value)
  assert not terminal.has_color()
