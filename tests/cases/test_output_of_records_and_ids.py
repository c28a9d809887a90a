"""What is written where records have an end, ids are not 0 to K - 1, or positions are tokens; and what is refused."""

import io
import itertools
import json
import os
import sys

import numpy as np
import pytest

from catgen import files
from catgen.batches import batch_of
from catgen.data.codecs import alphabet_codec, byte_codec, ended, integer_codec, without_end
from catgen.data.label_ids import LabelIds
from catgen.data.sets.array_file import array_file
from catgen.data.sets.text_lines import text_lines
from catgen.data.tokens import num_tokens, token_codec
from catgen.interfaces import EventSpec, SampleOptions
from catgen.media import media_of, text_files
from catgen.reporting import terminal
from catgen.runs import infill, sample, score
from catgen.runs.demo import beginning
from catgen.sources import Legend
from tests.cases.test_records_with_an_end import run_of, words
from tests.cases.texts import write
from tests.models import test_autoregressive_chain as chain
from tests.refusals import refused

LENGTH = 6
LETTERS = media_of(EventSpec((LENGTH,), 3), ended(alphabet_codec("ab"), 2, LENGTH), "position")
BYTES = media_of(EventSpec((LENGTH,), 257), ended(byte_codec(), 256, LENGTH), "position")
RECORDS = {"letters": (LETTERS, 3), "bytes": (BYTES, 257)}


def again(media, path, batch):
  """Returns categories that a file gives back, -1 where there is none."""
  media.check_output(str(path), invalid=True)
  media.written(str(path), batch)
  found = media.read(str(path))
  return np.where(found.valid, found.x, -1)


@pytest.mark.parametrize("ending", [".jsonl", ".npy"])
@pytest.mark.parametrize("name", RECORDS)
def test_d1_records_with_an_end_come_back_whatever_is_before_and_after_it(name, ending, tmp_path):
  media, num_classes = RECORDS[name]
  every = np.array([*itertools.product(range(3), repeat=LENGTH)], np.int32)  # of letters all that there are
  x = np.where(every == 2, num_classes - 1, every + (name == "bytes") * ord("a"))
  np.testing.assert_array_equal(again(media, tmp_path / f"x{ending}", batch_of(x)), x)
  x = np.random.default_rng(0).integers(-1, num_classes, (99, LENGTH)).astype(np.int32)
  x[:, 2] = np.maximum(x[:, 2], 0)
  np.testing.assert_array_equal(again(media, tmp_path / f"x{ending}", batch_of(x)), x)


@pytest.mark.parametrize("media", [LETTERS, BYTES])
def test_d1_no_line_holds_an_empty_record(media, tmp_path):
  refused("cannot hold an empty one, .* in .jsonl or .npy", media.check_output, str(tmp_path / "x.txt"), invalid=False)
  os.mkfifo(tmp_path / "pipe")
  assert text_files.ending_for(ended(alphabet_codec("ab"), 2, 6), str(tmp_path / "pipe"), invalid=False) == ".jsonl"


def test_d1_json_lines_say_the_text_beside_what_the_text_does_not_say(tmp_path):
  x = [[0, 1, 2, 2, 2, 2], [2] * 6, [0, 1, 2, 1, 2, 0], [0, 1, 0, 1, 0, 1], [0, -1, 2, 2, 2, 2]]
  LETTERS.written(str(tmp_path / "x.jsonl"), batch_of(np.array(x)))
  lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
  beside = [{"categories": x[2], "text": "ab"}, {"categories": x[3], "text": "ababab"}, {"categories": x[4]}]
  assert lines == [{"text": "ab"}, {"text": ""}, *beside]
  assert LETTERS.read(str(tmp_path / "x.jsonl")).x[:4].tolist() == x[:4]


def test_d1_samples_with_an_end_are_scored_as_they_were_drawn(tmp_path):
  x = np.array([[0, 1, 2, 1, 2, 0], [2, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1], [1, 2, 2, 2, 2, 2]])
  run = run_of(words(tmp_path, 6), x, tmp_path)
  for name in ("x.jsonl", "x.npy"):
    drawn = sample.sample(run, output=str(tmp_path / name))
    np.testing.assert_array_equal(score.examples_of(run, None, drawn.output, None, None, ())[0].x, x)
    completed = infill.infill(run, "b_", num_samples=2, output=str(tmp_path / name), pictures=False)
    np.testing.assert_array_equal(run.media.read(str(tmp_path / name)).x, completed.x)
  for call in (sample.sample, infill.infill):
    refused("cannot hold an empty one", call, run, output=str(tmp_path / "x.txt"))
  assert not (tmp_path / "x.txt").exists()


def test_d1_completions_end_in_a_file_where_no_record_reaches(tmp_path):
  run = run_of(words(tmp_path, 6, end=False), np.array([[0, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]), tmp_path)
  assert run.record.longest == 3
  for pattern, lines in {"b_": ["bba", "bbb"], "b_a_a_": ["bbaba", "bbaaa"]}.items():
    infill.infill(run, pattern, num_samples=2, output=str(tmp_path / "x.txt"), pictures=False)
    assert (tmp_path / "x.txt").read_text().splitlines() == lines
  sample.sample(run, output=str(tmp_path / "x.txt"))
  assert (tmp_path / "x.txt").read_text() == "aba\nbbb\n"


@pytest.mark.parametrize("options", [{"top_k": 2}, {"top_k": 1}, {"forbid": LETTERS.named("a")}], ids=str)
def test_d4_an_end_is_a_category_like_others_where_draws_are_restricted(options, tmp_path):
  codec = ended(alphabet_codec("ab"), 2, chain.LENGTH)
  media = media_of(EventSpec((chain.LENGTH,), 3), codec, "position")
  x = chain.draw(chain.keys(200), **options)
  before = np.concatenate([np.full((len(x), 1), chain.K), x[:, :-1]], axis=1)
  rank = np.argsort(np.argsort(-chain.LOGITS, axis=1), axis=1)[before, x]
  assert rank.max() < options.get("top_k", 3)
  assert not np.isin(x, options.get("forbid", ())).any()
  np.testing.assert_array_equal(again(media, tmp_path / "x.jsonl", batch_of(x)), x)
  assert media.shown(batch_of(x)) == ["".join("ab∎"[i] for i in row).split("∎")[0] for row in x]


def test_d4_the_end_is_none_of_the_characters_that_are_named():
  assert LETTERS.named("ba") == (1, 0)
  assert LETTERS.named("ab" * LENGTH) == (0, 1) * LENGTH  # more than an example has room for
  assert BYTES.named("a\n") == (97, 10)
  refused("not ASCII", BYTES.named, "é")
  assert without_end(byte_codec()).spec == without_end(ended(byte_codec(), 256, 9)).spec == {"kind": "bytes"}


def test_d2_bytes_with_an_end_are_shown_and_completed():
  pattern = BYTES.parse("é_b", hole="_", pad=True)
  assert pattern.x[pattern.observed].tolist() == [*"é".encode(), ord("b")]
  assert pattern.observed.tolist() == [True, True, False, True, False, False]
  refused("has no hole", LETTERS.parse, "ababab", hole="_", pad=True)
  typed, end = BYTES.typed(["éa"]), 256
  corrected = np.array([0xC3, 0xA8, end, 0x62, end, end])
  lines = BYTES.corrections(typed, corrected, np.full(LENGTH, 0.5), color=False).splitlines()
  assert lines == [
    "[è][∎][b]",
    "  position 2: 'é' -> 'è' (probability 0.50)",
    "  position 3: 'a' -> '∎' (probability 0.50)",
    "  position 4: '∎' -> 'b' (probability 0.50)",
  ]
  states = np.array([[0xC3, 0xA9, end, 257, 0x61, end]])
  assert BYTES.frames(states) == ["é∎░a∎"]
  assert beginning("aéé", ended(byte_codec(), 256, 5), 5) == "aé"
  assert beginning("aé", ended(byte_codec(), 256, 4), 4) == "aé"


IDS = {
  "plain": LabelIds(),
  "ignored": LabelIds(None, (255,)),
  "relabelled": LabelIds(np.array([-7, 24, 2**40])),
  "both": LabelIds(np.array([0, 7, 24]), (255, -1)),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("shape", [(2, 3), (6,), (2, 3, 1)])
def test_d1_ids_come_back_and_so_does_what_is_none(name, shape, tmp_path):
  labels = IDS[name]
  media = media_of(EventSpec(shape, 3), integer_codec(3, shape, None, labels), "pixel")
  x = np.random.default_rng(0).integers(-1, 3, (20, *shape)).astype(np.int32)
  x.reshape(20, -1)[:, -1] = 1
  ids = [0, 1, 2] if labels.ids is None else labels.ids
  np.testing.assert_array_equal(again(media, tmp_path / "x.npy", batch_of(x)), x)
  np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.where(x < 0, labels.nothing, np.take(ids, x)))
  np.save(tmp_path / "none.npy", np.full((2, *shape), labels.nothing))
  refused("none.npy, number 0, has no category at all; leave", media.read, str(tmp_path / "none.npy"))


def test_d1_samples_of_relabelled_maps_are_scored_as_they_were_drawn(tmp_path):
  ids = np.array([7, 24, 26])
  np.save(
    tmp_path / "maps.npy", np.where(np.arange(60).reshape(10, 2, 3) % 5, ids[np.arange(60).reshape(10, 2, 3) % 3], 255)
  )
  source = array_file(str(tmp_path / "maps.npy"), relabel=True, ignore=(255,), splits=(1.0, 0, 0))
  x = np.arange(18).reshape(3, 2, 3) % 3
  run = run_of(source, x, tmp_path)
  sample.sample(run, output=str(tmp_path / "x.npy"), pictures=False)
  np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), ids[x])
  np.testing.assert_array_equal(score.examples_of(run, None, str(tmp_path / "x.npy"), None, None, ())[0].x, x)
  holes = np.where(x[0] == 1, -1, ids[x[0]])
  completed = infill.infill(run, holes, num_samples=2, output=str(tmp_path / "c.npy"), pictures=False)
  np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), ids[completed.x])
  np.testing.assert_array_equal(completed.x[:, x[0] != 1], np.broadcast_to(x[0][x[0] != 1], (2, 4)))


def test_d1_holes_of_a_mask_are_compared_with_the_map(tmp_path):
  maps = np.arange(60).reshape(10, 2, 3) % 3
  np.save(tmp_path / "maps.npy", maps)
  np.save(tmp_path / "mask.npy", np.arange(6).reshape(2, 3) < 2)
  run = run_of(array_file(str(tmp_path / "maps.npy"), splits=(1.0, 0, 0)), maps[:2], tmp_path)
  completed = infill.infill(run, maps[0], mask=str(tmp_path / "mask.npy"), num_samples=1, pictures=False)
  assert completed.agreement == 1.0


def test_d4_categories_are_forbidden_by_the_ids_that_a_user_has():
  labels = IDS["relabelled"]
  media = media_of(EventSpec((2, 2), 3), integer_codec(3, (2, 2), None, labels), "pixel")
  assert media.named("24, -7,1099511627776") == (1, 0, 2)
  refused("no category '1'; the categories are -7, 24, 1099511627776", media.named, "24,1")
  named_by_ids = integer_codec(3, (2, 2), Legend(("-7", "24", "1099511627776"), ("#000000",) * 3), labels)
  refused("are -7, 24, 1099511627776$", media_of(EventSpec((2, 2), 3), named_by_ids, "pixel").named, "1")
  legend = Legend(("void", "road", "sky"), ("#000000", "#804080", "#4682b4"))
  media = media_of(EventSpec((2, 2), 3), integer_codec(3, (2, 2), legend, labels), "pixel")
  assert media.named("sky, 24") == (2, 1)
  config = {"sampling": {"num_steps": None, "temperature": 1.0, "forbid": "road"}}
  assert sample.sample_options(config, media) == SampleOptions(forbid=(1,))


def tokens():
  """Returns the media of tokens of which some join two characters."""
  library = pytest.importorskip("tokenizers")
  made = library.Tokenizer(library.models.BPE({"a": 0, "b": 1, "ab": 2, "é": 3}, [("a", "b")]))
  made.decoder = library.decoders.Fuse()  # nothing between tokens
  return media_of(EventSpec((4,), num_tokens(made.to_str())), token_codec(made.to_str()), "token")


def test_d1_tokens_come_back_one_by_one(tmp_path):
  media = tokens()
  x = np.array([*itertools.product(range(4), repeat=4)], np.int32)
  for ending in (".jsonl", ".npy"):
    np.testing.assert_array_equal(again(media, tmp_path / f"x{ending}", batch_of(x)), x)
  media.written(str(tmp_path / "y.jsonl"), batch_of(np.array([[2, 1, 0, 3], [0, 1, 0, 3]])))
  lines = [json.loads(line) for line in (tmp_path / "y.jsonl").read_text().splitlines()]
  assert lines == [{"text": "abbaé"}, {"categories": [0, 1, 0, 3], "text": "abaé"}]  # the text has the tokens ab, a, é
  refused(
    "cannot hold any tokens, as this model may draw them", media.check_output, str(tmp_path / "x.txt"), invalid=False
  )


def test_d2_holes_and_names_of_tokens_are_positions():
  media = tokens()
  pattern = media.parse("ab_é", hole="_", pad=True)
  assert pattern.observed.tolist() == [True, False, True, False]
  assert pattern.x[pattern.observed].tolist() == [2, 3]
  assert media.named("2, 0") == (2, 0)
  refused("no category 'a'; the categories are 0 to 3", media.named, "a")
  typed = media.typed(["abé"])
  refused("one position is one character", media.corrections, typed, np.array([2, 1, 0, 0]), np.ones(4), color=False)


def test_d1_what_is_refused_after_a_look_at_its_file_leaves_none(tmp_path):
  run = run_of(words(tmp_path, 6, end=False), np.array([[0, 1, 0, 1, 1, 1]]), tmp_path)
  path, old = tmp_path / "x.npy", tmp_path / "old.npy"
  old.write_bytes(b"old")
  for name in (path, old):
    refused("character 'X'", sample.sample, run, forbid="X", output=str(name))
    refused("character 'X'", infill.infill, run, "X_", output=str(name))
    refused("say what to score", score.score, run, output=str(name))
  assert not path.exists()
  assert old.read_bytes() == b"old"
  (tmp_path / "link").symlink_to(path)
  files.check_writable(tmp_path / "link")
  assert (tmp_path / "link").is_symlink()
  assert not path.exists()


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", "+/-"), ("utf-8", "±")])
def test_d3_columns_are_aligned_in_the_characters_that_the_terminal_has(encoding, sign, monkeypatch):
  out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
  monkeypatch.setattr(sys, "stdout", out)
  rows = [["café", terminal.plus_minus(2.5, 0.1), "x"], ["b", "-", "y"]]
  terminal.say(terminal.table(["model", "bits ± error", "z"], rows))
  out.flush()
  lines = out.buffer.getvalue().decode(encoding).splitlines()
  assert sign in lines[0]
  assert sign in lines[2]
  assert len({line.rindex(last) for line, last in zip(lines, "z-xy", strict=True)}) == 1


def test_d1_a_rule_of_splits_that_is_none_is_refused_by_all_alike(tmp_path):
  path = write(tmp_path / "a.txt", "ab\nba\nbb")
  message = "split_rule is 5; it must be one of 1, 2, 3, 4"
  refused(message, text_lines, path, 2, split_rule=5)
  np.save(tmp_path / "a.npy", np.eye(6, dtype=int))
  refused(message, array_file, str(tmp_path / "a.npy"), split_rule=5)
