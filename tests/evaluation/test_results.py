"""results.json: what a record says, merging, and what happens when it cannot be read or written."""

import json
import pathlib
import re
import subprocess

import jax
import numpy as np
import pytest

from catgen.evaluation import results
from catgen.evaluation.likelihood import evaluate
from catgen.interfaces import EventSpec, InputError
from catgen.orders import LAW
from catgen.sources import Codec, DataSource
from tests.evaluation.mixtures import make_parameters, mixture, walk

SOURCE = DataSource(
  EventSpec((4,), 3), {}, Codec(list, list, {}), "character", 1.25, "feed" * 16, "synthetic, four positions"
)


def record(estimator="exact", step=10, context=0, source=SOURCE, config=None, **keywords):
  x = np.random.default_rng(0).integers(0, 3, (9, 4)).astype(np.int32)
  batches = walk(x, np.ones(x.shape, bool), 3)
  params = make_parameters(np.random.default_rng(1))
  likelihood = evaluate(mixture(4), params, {}, batches, key=jax.random.key(0), estimator=estimator, **keywords)
  return results.likelihood_record(
    likelihood,
    source,
    split="test",
    step=step,
    ema=True,
    config=config or {"b": 1, "a": [2]},
    protocol=results.Protocol(context),
  )


def test_a_record_states_unit_estimator_errors_and_origin():
  entry = record("full", num_replicates=2)
  assert entry["unit"] == "bits per character"
  assert entry["estimator"] == "full"
  np.testing.assert_allclose(entry["bits_per_byte"], entry["value"] / 1.25)
  assert (entry["num_examples"], entry["num_positions"]) == (9, 36)
  assert (entry["split"], entry["step"], entry["ema"]) == ("test", 10, True)
  assert entry["data_error"] > 0
  np.testing.assert_allclose(entry["monte_carlo_error"], 0, atol=1e-7)  # this full bound has no randomness
  np.testing.assert_allclose(sum(entry["terms"].values()), entry["value"], rtol=1e-6)
  assert entry["data_fingerprint"] == SOURCE.fingerprint
  assert entry["config_hash"] == results.config_hash({"a": [2], "b": 1})
  json.dumps(entry, allow_nan=False)


def test_bits_per_byte_are_of_what_was_scored_where_categories_have_sizes():
  sizes = np.array([1, 3, 0])  # the last one ends a text
  x = np.random.default_rng(0).integers(0, 3, (9, 4))  # as `record` scores
  source = SOURCE._replace(codec=Codec(list, list, {}, num_bytes=sizes))
  entry = record("exact", source=source)
  np.testing.assert_allclose(entry["bits_per_byte"], entry["value"] * x.size / sizes[x].sum())
  assert record("exact", source=source._replace(bytes_per_position=None))["bits_per_byte"] is None


def test_a_record_says_where_its_examples_are_pieces_of_one_stream():
  said, unsaid = record("exact", consecutive=True), record("exact")
  assert said["consecutive"] is True
  assert "consecutive" not in unsaid
  assert said["data_error"] is None  # nine pieces are too few
  assert {**said, "consecutive": None, "data_error": None} == {**unsaid, "consecutive": None, "data_error": None}
  found = [results.consecutive(each) for each in (said, unsaid, {"protocol": "chunks"}, {"consecutive": False})]
  assert found == [True, False, True, False]


def test_an_unknown_error_is_null():
  assert record("elbo", num_replicates=1)["monte_carlo_error"] is None


def test_results_of_several_estimators_coexist_and_repeats_replace(tmp_path):
  results.add_results(tmp_path / "new", record("exact"), record("elbo"))
  results.add_results(tmp_path / "new", record("exact", step=20))
  path = pathlib.Path(results.add_results(tmp_path / "new", {**record("elbo"), "value": 7.0}))
  found = [(entry["estimator"], entry["step"]) for entry in results.read_results(tmp_path / "new")]
  assert found == [("exact", 10), ("exact", 20), ("elbo", 10)]
  assert json.loads(path.read_text())[-1]["value"] == 7.0
  assert [file.name for file in path.parent.iterdir()] == ["results.json"]  # no temporary file stays


def test_numbers_with_and_without_context_stand_side_by_side(tmp_path):
  plain, read = record(), record(context=3)
  assert "context" not in plain  # as in files that were written before there was any
  assert read["context"] == 3
  results.add_results(tmp_path, plain, read, record(context=2))
  results.add_results(tmp_path, {**read, "value": 7.0})
  assert [entry.get("context", 0) for entry in results.read_results(tmp_path)] == [0, 2, 3]
  assert len({results.scores_path(tmp_path, entry) for entry in results.read_results(tmp_path)}) == 3


def test_numbers_of_different_protocols_have_names_and_stand_side_by_side(tmp_path):
  likelihood = {**record(), "value": 1.0}
  protocols = [
    results.Protocol(),
    results.Protocol(context=3),
    results.Protocol(memory=8),
    results.Protocol(memory=8, segment=2),
    results.Protocol(memory=8, segment=2, max_distance=5),
    results.Protocol(memory=8, segment=2, max_distance=5, same_length=True),
  ]
  for protocol in protocols:
    added = {name: value for name, value in protocol._asdict().items() if value}
    results.add_results(tmp_path, {**likelihood, **added})
  stored = results.read_results(tmp_path)
  assert len(stored) == len({results.scores_path(tmp_path, each) for each in stored}) == len(protocols)
  assert len({protocol.named(16, 4) for protocol in protocols}) == len(protocols)
  assert len({results.protocol_of(each) for each in stored}) == len(protocols)
  assert len({protocol.named(16, streams) for protocol in protocols for streams in (1, 2)}) == 2 + 2 * 4


@pytest.mark.parametrize(
  ("protocol", "message"),
  [
    (results.Protocol(memory=-1), "memory is -1; it must be at least 0"),
    (results.Protocol(memory=8, context=3), "memory and context are two ways"),
    (results.Protocol(segment=2), "segment is of a memory"),
    (results.Protocol(same_length=True), "same_length is of a memory"),
  ],
)
def test_protocols_that_make_no_sense_are_refused(protocol, message):
  with pytest.raises(InputError, match=message):
    protocol.checked()


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
  results.add_results(tmp_path, record())
  before = (tmp_path / "results.json").read_text()

  def full_disk(*arguments):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(results.os, "fsync", full_disk)
  with pytest.raises(InputError, match="No space left on device"):
    results.add_results(tmp_path, record("elbo"))
  assert (tmp_path / "results.json").read_text() == before
  assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["[{", "{}"])
def test_a_damaged_file_is_named_and_kept(tmp_path, content):
  (tmp_path / "results.json").write_text(content)
  with pytest.raises(InputError, match=r"results\.json"):
    results.add_results(tmp_path, record())
  assert (tmp_path / "results.json").read_text() == content


def test_an_unwritable_work_directory_is_named(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match=r"results\.json"):
    results.add_results(tmp_path / "file", record())


def test_code_version_without_git_falls_back_to_the_package(monkeypatch):
  def missing(*arguments, **keywords):
    raise FileNotFoundError("git")

  assert results.code_version()
  monkeypatch.setattr(subprocess, "run", missing)
  monkeypatch.setattr(results.importlib.metadata, "version", lambda name: "1.2.3")
  assert results.code_version() == "1.2.3"


ENTRY = {"split": "test", "step": 3, "ema": False, "estimator": "elbo", "num_draws": 1, "value": 1.5}


def test_half_of_a_file_is_never_taken_for_the_whole(tmp_path):
  path = pathlib.Path(results.add_results(tmp_path, ENTRY, {**ENTRY, "step": 4, "note": "größer"}))
  whole = path.read_bytes().rstrip()
  for size in range(len(whole)):
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"results\.json"):
      results.read_results(tmp_path)
  path.write_bytes(whole)
  assert len(results.read_results(tmp_path)) == 2


@pytest.mark.parametrize(
  "content", ["[1]", '["a"]', "[[]]", "[null]", "null", "3", '"text"', '[{"value": 1}, 2]', "\xff"]
)
def test_a_file_that_holds_no_records_is_named_and_kept(tmp_path, content):
  path = tmp_path / "results.json"
  path.write_bytes(content.encode("latin-1"))
  for use in (lambda: results.read_results(tmp_path), lambda: results.add_results(tmp_path, ENTRY)):
    with pytest.raises(InputError, match=r"results\.json.*: move it away to start a new one$") as caught:
      use()
    assert "\n" not in str(caught.value)
  assert path.read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_numbers_that_are_not_finite_are_null_at_any_depth(tmp_path, number):
  record = {**ENTRY, "terms": {"a": [1.0, (number, {"b": number})]}, "value": number, 3: "three"}
  path = pathlib.Path(results.add_results(tmp_path, record))
  found = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))[0]
  assert (found["value"], found["terms"], found["3"]) == (None, {"a": [1.0, [None, {"b": None}]]}, "three")
  assert results.without_nan(found) == found


@pytest.mark.parametrize("key", results.IDENTITY)
def test_each_part_of_the_identity_tells_evaluations_apart(tmp_path, key):
  results.add_results(tmp_path, ENTRY)
  numbers = {*results.Protocol._fields, "streams", *LAW} - {"same_length", "order", "forbid", "blocks"}
  kind = {"same_length": bool, "forbid": list, "blocks": list}.get(key, int if key in numbers else None)
  other = {bool: not ENTRY.get(key), int: 12345, list: [1]}.get(kind or type(ENTRY.get(key)), "other")
  results.add_results(tmp_path, {**ENTRY, key: other, "value": 2.5})
  assert [entry["value"] for entry in results.read_results(tmp_path)] == [1.5, 2.5]
  results.add_results(tmp_path, {**ENTRY, "note": "again"})
  assert [entry["value"] for entry in results.read_results(tmp_path)] == [2.5, 1.5]  # replaced, as the newest


@pytest.mark.parametrize(
  "key", ["split", "step", "estimator", "num_draws", *results.Protocol._fields, "streams", "ema", "given"]
)
def test_scores_of_different_evaluations_lie_in_different_files(tmp_path, key):
  other = {"split": "train", "step": 4, "estimator": "iwbo", "num_draws": 9, "ema": True, "given": "none"}
  other |= {"context": 2, "memory": 8, "segment": 4, "max_distance": 5, "same_length": True, "streams": 3}
  paths = {results.scores_path(tmp_path, record) for record in (ENTRY, {**ENTRY, key: other[key]})}
  assert len(paths) == 2
  assert {pathlib.Path(path).parent for path in paths} == {tmp_path / "scores"}


def test_runs_that_are_evaluated_into_one_folder_keep_their_scores_apart(tmp_path):
  records = [record(), record(config={"b": 2}), record(source=SOURCE._replace(fingerprint="beef" * 16))]
  results.add_results(tmp_path, *records)
  names = {pathlib.Path(results.scores_path(tmp_path, each)).name for each in results.read_results(tmp_path)}
  assert len(names) == 3
  assert all(re.fullmatch(r"test_10_ema_exact_1_[0-9a-f]{8}\.npz", name) for name in names)
  of_before = {key: value for key, value in records[0].items() if key != "run"}
  assert pathlib.Path(results.scores_path(tmp_path, of_before)).name == "test_10_ema_exact_1.npz"


def test_the_hash_of_a_configuration_is_of_its_values_alone():
  one = {"a": {"x": 1, "y": [1, 2]}, "b": None}
  assert results.config_hash(one) == results.config_hash({"b": None, "a": {"y": [1, 2], "x": 1}})
  others = [{**one, "b": 0}, {**one, "c": None}, {"a": {"x": 1, "y": [2, 1]}, "b": None}, {"a.x": 1, "b": None}]
  assert len({results.config_hash(each) for each in [one, *others]}) == 5
