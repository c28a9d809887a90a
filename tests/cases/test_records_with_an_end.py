"""Records with an end: their length is part of the likelihood, of samples and of what is typed."""

import itertools
import json

import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.bounds import Estimate, bits_per_position
from catgen.data import from_spec
from catgen.data.codecs import alphabet_codec, byte_codec, ended
from catgen.data.sets.text_lines import text_lines
from catgen.evaluation import ngrams, results
from catgen.evaluation.likelihood import Likelihood
from catgen.interfaces import EventSpec, Infill, Model, Samples
from catgen.media import media_of
from catgen.runs import infill, sample
from catgen.runs.load import Run
from catgen.runs.record import record_of
from tests.cases.texts import texts, write
from tests.refusals import refused

WORDS = ["ab", "b", "bab", "a", "abb", "b", "", "ba", "bbb", "aab"]


def words(tmp_path, length=4, **keywords):
  path = write(tmp_path / "words.txt", "\n".join(WORDS))
  return text_lines(path, length, splits=(1.0, 0, 0), **{"end": True, **keywords})


def test_c6_records_with_an_end_fill_their_example_and_come_back(tmp_path):
  source = words(tmp_path)
  assert source.event == EventSpec((4,), 3)
  batch = source.splits["train"].examples(np.arange(9))
  given = [word for word in WORDS if word]
  np.testing.assert_array_equal(
    batch.x, [["ab".index(letter) for letter in word] + [2] * (4 - len(word)) for word in given]
  )
  assert batch.valid.all()  # what is not valid would tell a network the length
  assert texts(source) == given
  assert (source.position, source.longest) == ("position", None)
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  assert (codec.end, codec.spec) == (2, source.codec.spec)
  for x, word in zip(batch.x, given, strict=True):
    np.testing.assert_array_equal(codec.encode(word), x)
  np.testing.assert_array_equal(codec.encode(""), [2, 2, 2, 2])


def test_c6_decoding_stops_at_the_first_end_and_an_example_without_one_is_whole():
  codec = ended(alphabet_codec("ab"), 2, 4)
  decoded = {"0212": "a", "2000": "", "0101": "abab", "0110": "abba", "0002": "aaa"}
  assert {x: codec.decode(np.array([*map(int, x)])) for x in decoded} == decoded
  assert codec.decode(np.array([0, -1, 2, 1])) == "a\ufffd"
  assert codec.decode(np.array([0, 1, 2, 1]), np.array([True, False, True, True])) == "a\ufffd"
  assert ended(byte_codec(), 256, 8).decode(np.array([*"é".encode(), 256, 0, 0, 0, 0, 0])) == "é"
  refused(r"4 positions, but examples of this model have 4, the end included; cut it to 3", codec.encode, "abab")


def test_c6_a_record_has_room_for_its_end_or_is_cut_or_dropped(tmp_path):
  refused(r"4 lines longer than length = 3, one position of which is the end", words, tmp_path, 3)
  short = [word for word in WORDS if 0 < len(word) < 3]
  assert texts(words(tmp_path, 3, longer="drop")) == short
  cut = words(tmp_path, 2, longer="cut")
  assert texts(cut) == [word[:2] for word in WORDS if word]  # a record that was cut has no end
  refused("length is 1; it must be at least 2", words, tmp_path, 1)
  refused('longer="windows" cuts records where they do not end', words, tmp_path, 4, longer="windows")


def test_c6_the_end_changes_no_split(tmp_path):
  path = write(tmp_path / "a.txt", "\n".join("".join(word) for word in itertools.product("abc", repeat=5)))
  with_end, without = (text_lines(path, 8, end=end) for end in (True, False))
  assert {name: texts(with_end, name) for name in with_end.splits} == {
    name: texts(without, name) for name in without.splits
  }


def test_c6_the_length_is_part_of_the_likelihood(tmp_path):
  """Probabilities of all texts of any length add up to one, and what an event has is at most what its text has."""
  rng = np.random.default_rng(0)
  records = ["".join(rng.choice(["a", "b"], length)) for length in rng.integers(1, 4, 900)]
  source = text_lines(write(tmp_path / "a.txt", "\n".join(records)), 4, splits=(1.0, 0, 0), end=True)
  rows = ngrams.training_rows(source.splits["train"])
  model = ngrams.fit(rows, order=4, num_classes=3)
  events = np.array([*itertools.product(range(3), repeat=4)], np.int32)
  probability = np.exp(ngrams.log_prob(model, batch_of(events), order=4).sum(axis=1))
  assert probability.sum() == pytest.approx(1)
  found = {}
  for x, p in zip(events, probability, strict=True):
    found[source.codec.decode(x)] = found.get(source.codec.decode(x), 0.0) + p
  assert len(found) == sum(2**length for length in range(5))
  for word in map("".join, itertools.chain(*(itertools.product("ab", repeat=n) for n in range(4)))):
    x = batch_of(source.codec.encode(word)[None])
    assert ngrams.log_prob(model, x, order=4).sum() <= np.log(found[word]) + 1e-9  # what is filled up is one way to end


def test_c6_bits_per_byte_are_those_of_the_text_whatever_the_length_of_examples(tmp_path):
  for length in (4, 9):
    source = words(tmp_path, length)
    nats = 50.0  # of all nine examples
    value = bits_per_position(nats, 9 * length)
    assert value / source.bytes_per_position == pytest.approx(bits_per_position(nats, len("".join(WORDS))))


def test_c6_bits_per_byte_are_of_the_records_that_were_scored_and_not_of_average_ones(tmp_path):
  path = write(tmp_path / "words.txt", "\n".join(WORDS))
  source = text_lines(path, 4, splits=(6, 2, 1), end=True)
  batch = source.splits["test"].examples(np.arange(1))
  found = likelihood_of(source)._replace(class_counts=np.bincount(batch.x.reshape(-1), minlength=3))
  record = results.likelihood_record(found, source, split="test", step=1, ema=False, config={})
  assert record["bits_per_byte"] == pytest.approx(record["value"] * 4 / len("aab"))


def likelihood_of(source):
  estimate = Estimate(1.0, 0.1, 0.0)
  ones = np.ones(3, np.int64)
  return Likelihood(estimate, {}, np.arange(3), ones[None] * 1.0, ones, "exact", 1, 1, None, None, ())


@pytest.mark.parametrize(
  ("keywords", "expected"),
  [({"end": True}, "scored"), ({"end": False}, "given"), ({"end": False, "longer": "cut", "length": 1}, None)],
)
def test_c6_results_say_whether_the_length_is_scored(tmp_path, keywords, expected):
  source = words(tmp_path, **keywords)
  record = results.likelihood_record(likelihood_of(source), source, split="train", step=1, ema=False, config={})
  assert record.get("length") == expected


def run_of(source, x, folder):
  """Returns a run whose samples and completions are always x."""

  def draw(params, keys, *, given=None, state, options):
    return Samples(jnp.asarray(x), jnp.ones(x.shape, bool))

  def complete(params, x_observed, observed, keys, *, given=None, state, options):
    return Samples(jnp.where(observed, x_observed, x[: len(keys)]), jnp.ones(x_observed.shape, bool))

  config = {"sampling": {"num_samples": len(x), "batch_size": len(x)}, "evaluation": {"split": "train"}, "model": {}}
  model = Model(source.event, None, None, draw, infill=Infill(complete, True, "as told"))
  media = media_of(source.event, source.codec, source.position)
  return Run(model, {}, {}, record_of(config, source), media, str(folder), 1, False, lambda: source)


def test_c6_samples_are_cut_where_no_record_reaches_and_say_so(tmp_path):
  source = words(tmp_path, 6, end=False)
  assert source.longest == 3
  run = run_of(source, np.array([[0, 1, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]), tmp_path)
  drawn = sample.sample(run, compare=True)
  assert drawn.lines == ["aba", "bbb"]
  assert "cut after 3 of 6 positions: no record of the data is longer" in sample.describe(drawn)
  entropy = next(row for row in drawn.statistics if row[0].startswith("entropy"))
  assert entropy[1] == "0.918"  # of 2 a and 4 b; all positions, 5 a and 7 b, have 0.980
  completed = infill.infill(run, "b_a_a_", num_samples=2, pictures=False)
  assert completed.lines == ["bba\ufffda", "bba\ufffda"]  # what was typed is shown


def test_c6_samples_with_an_end_stop_there(tmp_path):
  source = words(tmp_path, 6)
  x = np.array([[0, 1, 2, 1, 2, 0], [2, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]])
  run = run_of(source, x, tmp_path)
  drawn = sample.sample(run)
  assert "cut after" not in sample.describe(drawn)
  assert drawn.lines == ["ab", "", "ababab"]
  completed = infill.infill(run, "b_", num_samples=2, pictures=False)
  np.testing.assert_array_equal(completed.x[0], [1, 1, 2, 1, 2, 0])
  assert completed.lines == ["bb", "bbbaaa"]


def test_c6_what_is_typed_has_its_end_too(tmp_path):
  source = words(tmp_path, 6)
  media = media_of(source.event, source.codec, source.position)
  batch = media.read(write(tmp_path / "a.txt", "ab\n\nbba\n"))
  assert batch.x.tolist() == [[0, 1, 2, 2, 2, 2], [1, 1, 0, 2, 2, 2]]
  assert batch.valid.all()
  assert media.shown(batch) == ["ab", "bba"]
  refused("line 1: the text has 6 positions, .* cut it to 5", media.read, write(tmp_path / "a.txt", "ababab"))
  pattern = media.parse("a__b", hole="_", pad=True)
  assert pattern.x[pattern.observed].tolist() == [0, 1]  # ends are no part of a pattern: the rest is to be completed
  assert pattern.observed.tolist() == [True, False, False, True, False, False]
  typed = media.typed(["ab"])
  shown = media.corrections(typed, np.array([0, 1, 1, 2, 0, 2]), np.full(6, 0.5), color=False)
  assert shown.splitlines()[0] == "ab[b]∎"
  assert media.frames(np.array([[3, 3, 3, 3, 3, 3], [0, 2, 3, 1, 2, 2]])) == ["░░░░░░", "a∎░b∎∎"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diffusion", "autoregressive"])
def test_c6_samples_have_the_lengths_of_the_data(tmp_path, kind):
  """Both families learn where records end: one sees all positions at once, the other those before."""
  from catgen.config import load_config
  from catgen.runs.load import load
  from catgen.runs.train import train

  rng = np.random.default_rng(0)
  records = ["".join(rng.choice(list("abcd"), length)) for length in rng.choice([2, 5, 6], 3000, p=[0.5, 0.3, 0.2])]
  changes = {
    "data.path": write(tmp_path / "a.txt", "\n".join(records)),
    "data.length": 10,
    "data.end": True,
    "model.kind": kind,
    "model.network.width": 32,
    "model.network.num_layers": 1,
    "model.network.num_heads": 2,
    "training.batch_size": 64,
    "training.num_steps": 500,
    "training.validate_every": 500,
    "training.validation_examples": 64,
  } | ({"model.num_steps": 50} if kind == "diffusion" else {})
  train(load_config("text_lines", changes).values, str(tmp_path / "run"), say=lambda line: None)
  run = load(str(tmp_path / "run"), say=lambda line: None)
  lengths = np.array([len(run.decode(x)) for x in run.sample(512, batch_size=256).x])
  for length, share in {2: 0.5, 5: 0.3, 6: 0.2}.items():
    assert abs((lengths == length).mean() - share) < 0.09  # four standard errors of 512 samples
