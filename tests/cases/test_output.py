"""Files hold what was drawn, signs are for the terminal, and how samples may be restricted."""

import contextlib
import io
import json
import os
import sys
import threading
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen import files
from catgen.batches import batch_of
from catgen.data.codecs import alphabet_codec, byte_codec, integer_codec
from catgen.distributions import categorical
from catgen.evaluation import samples
from catgen.interfaces import EventSpec, InputError, SampleOptions, Samples
from catgen.media import media_of
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.processes import SCHEDULES
from catgen.reporting import progress, terminal
from catgen.runs import sample as sampling
from catgen.runs import score as scoring
from catgen.runs.choose import choose
from catgen.runs.correct import correct
from catgen.runs.demo import beginning, demo
from catgen.runs.infill import infill
from catgen.runs.sample import sample as draw_samples
from catgen.runs.sample import sample_options
from catgen.sources import Legend
from launch import cli
from tests.contracts import exact
from tests.models import test_autoregressive_chain as chain
from tests.models.stubs import keys_up_to, neighbor, own, spec_of, table
from tests.processes.test_processes import kernel
from tests.tiny_run import tiny_config

LENGTH = 6
IN_A_LINE = 'ab "\\\t\u00a0\u200d\u2028\u2029\x85\x0b\x0c\x1c\x1e\0é東_'  # not what ends a line, whatever else there is
NOT_IN_A_LINE = "\n\r\ufeff\ud83d\ude00\udcff"
EVERYTHING = media_of(
  EventSpec((LENGTH,), len(IN_A_LINE + NOT_IN_A_LINE)), alphabet_codec(IN_A_LINE + NOT_IN_A_LINE), "character"
)
LINES = media_of(EventSpec((LENGTH,), len(IN_A_LINE)), alphabet_codec(IN_A_LINE), "character")
BYTES = media_of(EventSpec((LENGTH,), 256), byte_codec(), "byte")
LEGEND = Legend(("void", "road", "sky"), ("#000000", "#804080", "#4682b4"))
MAPS = media_of(EventSpec((2, 3), 3), integer_codec(3, (2, 3), LEGEND), "pixel")
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
    np.testing.assert_array_equal(scoring.examples_of(text_run, None, path, None, 0, ())[0].x, found.x)
    np.testing.assert_array_equal(scoring.examples_of(text_run, found.x, None, None, 0, ())[0].x, found.x)
  pattern = text_run.decode(found.x[0])[:10]
  completed = infill(text_run, text=pattern, num_samples=2, num_steps=5, output=str(tmp_path / "c.jsonl"))
  np.testing.assert_array_equal(text_run.media.read(str(tmp_path / "c.jsonl")).x, completed.x)
  for function, options in ((draw_samples, {}), (infill, {"text": pattern}), (correct, {"text": "the cat"})):
    with pytest.raises(InputError, match="has no ending"):
      function(text_run, output=str(tmp_path / "samples"), **options)


def test_d2_a_hole_is_one_byte_and_what_is_known_takes_as_many_as_it_needs():
  x, observed, _ = BYTES.parse("é_", hole="_", pad=True)
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


def restricted(logits, options):
  """Returns the probabilities of one distribution from the definitions, in float64."""
  logits = [-np.inf if i in options.forbid else float(value) for i, value in enumerate(logits)]
  order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
  if options.temperature == 0:
    kept = order[:1]
    weights = [1.0]
  else:
    kept = [i for i in order if logits[i] > -np.inf][: options.top_k]
    weights = [np.exp((logits[i] - logits[order[0]]) / options.temperature) for i in kept]
  shares, chosen, mass = np.array(weights) / sum(weights), [], 0.0
  for i, share in zip(kept, shares, strict=True):
    if mass >= options.top_p - 1e-12:
      break
    chosen.append(i)
    mass += share
  result = np.zeros(len(logits))
  result[chosen] = shares[: len(chosen)] / mass
  return result


OPTIONS = [
  SampleOptions(temperature=1e-4),
  SampleOptions(temperature=0.0, top_p=0.3),
  SampleOptions(top_k=3, temperature=2.0),
  SampleOptions(top_p=0.6),
  SampleOptions(top_p=1e-6),
  SampleOptions(top_k=4, top_p=0.83, forbid=(0, 2)),
  SampleOptions(forbid=(1, 2, 3, 4, 5)),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_d4_what_may_be_drawn_is_what_the_definitions_say(options):
  rng = np.random.default_rng(0)
  logits = np.round(rng.normal(0, 1.7, (20, 6)), 1).astype(np.float32)  # rounded, so that some are equal
  logits[0], logits[1, 3:] = 0.0, -np.inf
  logits[2] *= 1e30
  if options.temperature == 1:
    logits[2] = 0.0
  found = np.asarray(jax.jit(lambda values: jax.nn.softmax(categorical.restrict(values, options)))(logits))
  possible = np.isfinite(logits).all(axis=1) | (options.forbid != (1, 2, 3, 4, 5))
  expected = np.array([restricted(row, options) for row in logits])
  np.testing.assert_allclose(found[possible], expected[possible], atol=1e-5)
  if options.temperature != 1e-4:
    np.testing.assert_array_equal(found[possible] > 0, expected[possible] > 0)


def test_d4_a_temperature_that_float32_lacks_is_zero():
  logits = jnp.array([1.0, 3.0, 3.0])
  found = categorical.restrict(logits, SampleOptions(temperature=1e-44))
  np.testing.assert_array_equal(found, [-np.inf, 0.0, -np.inf])


def test_d4_without_restrictions_logits_are_as_they_were():
  logits = jnp.arange(3.0)
  assert categorical.restrict(logits, SampleOptions(num_steps=3, num_frames=2)) is logits


WRONG = {
  "temperature": (-0.1, float("inf"), float("nan")),
  "top_k": (0, -1, 4),
  "top_p": (0.0, 1.1, float("nan")),
  "forbid": ((3,), (-1,), (0, 1, 2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_d4_restrictions_out_of_range_are_refused_by_name(name):
  def never(*told):
    raise AssertionError("the network was called")

  for value in WRONG[name]:
    options = SampleOptions(**{name: value})
    for draw in (
      lambda options=options: chain.model().sample(None, keys_up_to(2), state={}, options=options),
      lambda options=options: sample(spec_of(never), None, keys_up_to(2), state={}, options=options),
    ):
      with pytest.raises(InputError, match=f"^{name} "):
        draw()


NUMBER = 8000
AUTOREGRESSIVE = [SampleOptions(top_p=0.7, temperature=1.5)]
AUTOREGRESSIVE += [
  pytest.param(options, marks=pytest.mark.slow) for options in (SampleOptions(top_k=2), SampleOptions(forbid=(1,)))
]


@pytest.mark.parametrize("options", AUTOREGRESSIVE, ids=str)
def test_d4_autoregressive_draws_follow_each_restricted_conditional(options):
  conditional = np.array([restricted(row, options) for row in chain.LOGITS])
  before = np.concatenate([np.full((27, 1), chain.K), chain.EVENTS[:, :-1]], axis=1)
  expected = conditional[before, chain.EVENTS].prod(axis=1) * NUMBER
  counts = np.bincount(chain.draw(chain.keys(NUMBER), **options._asdict()) @ [9, 3, 1], minlength=27)
  assert not counts[expected == 0].any()
  assert scipy.stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-4


def test_d4_greedy_draws_are_the_most_probable_category_each_time():
  expected, before = [], chain.K
  for _ in range(3):
    before = int(np.argmax(chain.LOGITS[before]))
    expected.append(before)
  assert (chain.draw(chain.keys(8), temperature=0.0) == expected).all()


DIFFUSION = {
  "uniform": SampleOptions(top_p=0.8, temperature=0.7, forbid=(1,)),
  "absorbing": SampleOptions(top_k=2, forbid=(2,)),
  "uniform, greedy": SampleOptions(temperature=0.0),
}


@pytest.mark.parametrize("name", ["uniform", "absorbing", pytest.param("uniform, greedy", marks=pytest.mark.slow)])
def test_d4_diffusion_restricts_the_clean_category_given_the_noisy_ones(name):
  """Against the sum over all chains, each move being sum_x0 p(x_0 | x_t) q(x_s | x_t, x_0) by the definitions."""
  process, options, steps = name.split(",")[0], DIFFUSION[name], 3
  spec = spec_of(neighbor, process=process, num_steps=steps)
  params, kept = table(spec.process.num_states, 3), SCHEDULES["linear"].make().table(steps).keep

  def predict(states, t):
    logits = np.asarray(params, np.float64)[states[:, ::-1]] * (1 + (t - 1) / steps)
    own = kernel(process, kept[t], 3)[:3].T[states] if process == "uniform" else np.ones((*logits.shape[:2], 3))
    posterior = logits + np.log(own)
    allowed = np.array([[restricted(row, options) for row in rows] for rows in posterior])
    with np.errstate(divide="ignore"):
      return np.log(allowed) - np.log(own)

  probs = exact.diffusion(process, 3, 2, kept, lambda s, t: _normalized(predict(s, t)))
  draw = jax.jit(lambda p, k: sample(spec, p, k, state={}, options=options).x)
  counts = np.bincount(np.asarray(draw(params, keys_up_to(NUMBER, seed=4))) @ [3, 1], minlength=9)
  possible = probs > 1e-12
  assert not counts[~possible].any()
  assert not any(counts[3 * a + b] for a in range(3) for b in range(3) if {a, b} & set(options.forbid))
  assert scipy.stats.chisquare(counts[possible], probs[possible] * NUMBER / probs.sum()).pvalue > 1e-4


def _normalized(log_p):
  return log_p - np.logaddexp.reduce(log_p, axis=-1, keepdims=True)


def test_d4_observed_positions_stay_and_holes_have_no_forbidden_category():
  x = np.random.default_rng(0).integers(0, 3, (8, 40), np.int32)
  observed = np.broadcast_to(np.arange(40) % 2 == 0, x.shape)
  options = SampleOptions(forbid=(1,), temperature=1e-4)
  for process in ("uniform", "absorbing"):
    spec = spec_of(own, shape=(40,), process=process, num_steps=2)
    draw = partial(make_infill(spec).draw, state={}, options=options)
    found = np.asarray(jax.jit(draw)(table(spec.process.num_states, 3), x, observed, keys_up_to(8)).x)
    np.testing.assert_array_equal(found[observed], x[observed])
    assert set(found[~observed]) <= {0, 2}


def test_d4_categories_are_forbidden_as_a_user_calls_them():
  assert LINES.named("b\t") == (1, IN_A_LINE.index("\t"))
  assert BYTES.named("a\n") == (97, 10)
  assert MAPS.named("sky, 0") == (2, 0)
  for media, text, message in [
    (LINES, "x", "character 'x'"),
    (BYTES, "é", "not ASCII"),
    (MAPS, "cloud", "no category 'cloud'; the categories are 0 to 2, or void, road, sky"),
    (MAPS, "3", "no category '3'"),
  ]:
    with pytest.raises(InputError, match=message):
      media.named(text)
  config = {"sampling": {"num_steps": 3, "temperature": 0.5, "top_k": 2, "top_p": 1.0, "forbid": "sky"}}
  assert sample_options(config, MAPS, top_k=1) == SampleOptions(3, 0.5, 1, 1.0, (2,))
  assert sample_options(config, MAPS, forbid=[0]).forbid == (0,)
  assert sample_options({"sampling": {"num_steps": None, "temperature": 1.0}}, MAPS) == SampleOptions()  # of before


def test_d4_flags_reach_the_sampler(text_run, monkeypatch):
  asked = []

  def generate(*_, options, **__):
    asked.append(options)
    return Samples(np.zeros((1, 16), np.int32), np.ones((1, 16), bool))

  monkeypatch.setattr(sampling, "generate", generate)
  letters = tuple(map(int, text_run.encode("at")))
  draw_samples(text_run, num_samples=1, forbid="at", top_k=5, top_p=0.9, temperature=0.0)
  assert asked == [SampleOptions(temperature=0.0, top_k=5, top_p=0.9, forbid=letters)]
  corrected = draw_samples(text_run, num_samples=1, correction=0.3)
  assert asked[1:] == [SampleOptions(correction=0.3)]
  assert "drawn with a correction of 0.3: they follow another law" in sampling.describe(corrected)


@pytest.mark.parametrize("name", ["num_samples", "batch_size"])
def test_d5_no_samples_and_too_many_are_one_line(name):
  def draw(numbers, keys):
    return Samples(np.zeros((len(numbers), 10**6), np.int32), np.ones((len(numbers), 10**6), bool))

  options = {"num_samples": 2, "batch_size": 2, "key": jax.random.key(0)}
  for number in (0, -1):
    with pytest.raises(InputError, match=f"^{name} is {number}; it must be at least 1$"):
      samples.in_batches(draw, **{**options, name: number})
  with pytest.raises(InputError, match="no memory for num_samples = 1,000,000,000,000 "):
    samples.in_batches(draw, **{**options, "num_samples": 10**12})
