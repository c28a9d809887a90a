"""config.json: what is read is what was written, other formats and other runs are refused in one line."""

import json
import pathlib

import pytest

from catgen.data import from_spec
from catgen.interfaces import Attribute, EventSpec, InputError
from catgen.runs import record
from catgen.runs.record import FORMAT, RunRecord, check_same_run, read_record, write_record

SPEC = {"kind": "alphabet", "alphabet": "abc"}
CONFIG = {"seed": 0, "data": {"kind": "x"}, "training": {"num_steps": 3, "report_every": 1}, "mesh": {"data": 1}}
RECORD = RunRecord(CONFIG, EventSpec((4,), 3), from_spec(SPEC), "character", 1.0, "f" * 64, "letters", "a1b2")


def without_functions(found):
  return found._replace(codec=found.codec.spec)


def changed(**sections):
  return RECORD._replace(config={**CONFIG, **sections})


def test_what_is_read_was_written(tmp_path):
  for event in (EventSpec((4,), 3), EventSpec((2, 2), 3, given=(5, 2))):
    folder = str(tmp_path / str(len(event.shape)))
    write_record(folder, RECORD._replace(event=event))
    assert without_functions(read_record(folder)) == without_functions(RECORD._replace(event=event))


def test_a_record_of_another_format_names_the_version_that_wrote_it(tmp_path):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  assert content["format"] == FORMAT
  for found, shown in (({**content, "format": FORMAT + 1}, FORMAT + 1), ({"code_version": "a1b2"}, 1)):
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=rf"has format {shown}, .* reads {FORMAT}: use the version .*a1b2"):
      read_record(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", f'{{"format": {FORMAT}}}'])
def test_a_damaged_record_is_one_line(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(InputError, match=r"config\.json cannot be read"):
    read_record(str(tmp_path))


def test_a_folder_without_a_record_is_no_run(tmp_path):
  with pytest.raises(InputError, match="holds no run"):
    read_record(str(tmp_path))


@pytest.mark.parametrize(
  ("new", "message"),
  [
    (changed(seed=1), "config.seed is 0 there and 1 here"),
    (changed(data={"kind": "y"}), "config.data.kind"),
    (changed(training={"num_steps": 4}), r"config\.training\.num_steps"),
    (changed(more={"key": 1}), r"config\.more\.key is None there and 1 here"),
    (RECORD._replace(fingerprint="0" * 64), "other data"),
  ],
)
def test_another_run_is_refused(new, message):
  with pytest.raises(InputError, match=message):
    check_same_run(RECORD, new, "there")


def test_settings_that_change_nothing_may_differ(tmp_path):
  write_record(str(tmp_path), RECORD)
  write_record(str(tmp_path), changed(mesh={"data": 8}, training={"num_steps": 3, "report_every": 7}))
  assert read_record(str(tmp_path)).config["mesh"] == {"data": 8}


def test_the_identity_leaves_out_the_seed_alone():
  one, other = record.identity_without_seed(RECORD), record.identity_without_seed(changed(seed=1))
  assert one == other != record.identity_without_seed(changed(data={"kind": "y"}))


def test_one_process_of_several_writes(tmp_path):
  write_record(str(tmp_path), RECORD, write=False)
  assert not list(pathlib.Path(tmp_path).iterdir())


def test_half_of_a_record_is_never_taken_for_the_whole(tmp_path):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  whole = path.read_bytes()
  for size in [*range(0, len(whole), 23), len(whole) - 2]:
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"config\.json (cannot be read|has format)") as caught:
      read_record(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["config", "event", "codec", "position", "fingerprint", "attributes"])
def test_a_record_without_one_of_its_parts_is_damaged(tmp_path, key):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  del content[key]
  path.write_text(json.dumps(content))
  with pytest.raises(
    InputError, match=r"config\.json cannot be read .*; restore it or train in another work directory"
  ):
    read_record(str(tmp_path))


def test_names_in_any_script_and_of_any_length_survive(tmp_path):
  spec = {"kind": "alphabet", "alphabet": "ä東😀\n\ud800"}
  attributes = (Attribute("Straße", ("x" * 5000, "東")),)
  written = RECORD._replace(codec=from_spec(spec), attributes=attributes, description="größer ± 1")
  write_record(str(tmp_path / "a b é"), written)
  assert without_functions(read_record(str(tmp_path / "a b é"))) == without_functions(written)


FREE = ["report_every", "validate_every", "validation_examples", "validation_samples", "num_microbatches", "prefetch"]


@pytest.mark.parametrize("key", FREE)
def test_what_may_differ_is_free_whichever_run_has_it(key):
  other = changed(training={**CONFIG["training"], key: 12345})
  check_same_run(RECORD, other, "there")
  check_same_run(other, RECORD, "there")


def test_several_differences_are_counted_and_the_first_is_named():
  new = changed(seed=1, data={"kind": "y"}, training={"num_steps": 4})
  with pytest.raises(
    InputError, match=r"config\.data\.kind is 'x' there and 'y' here \(and 2 more keys\); use another"
  ):
    check_same_run(RECORD, new, "there")
  check_same_run(RECORD, RECORD._replace(code_version="other", description="other"), "there")
