"""config.json: what is read is what was written, other formats and other runs are refused in one line."""

import copy
import json
import pathlib

import pytest

from catgen.config import load_config
from catgen.data import from_spec
from catgen.interfaces import EventSpec, InputError
from catgen.runs import changes, record
from catgen.runs.changes import Change, changes_between, merged, rule_of
from catgen.runs.record import (
  Ancestor,
  RunRecord,
  check_definition,
  continued,
  definition,
  read_record,
  write_record,
)
from catgen.runs.schema import FORMAT, READABLE
from catgen.sources import Attribute

SPEC = {"kind": "alphabet", "alphabet": "abc"}
CONFIG = load_config("quickstart").values
RECORD = RunRecord(CONFIG, EventSpec((4,), 3), from_spec(SPEC), "character", 1.0, "f" * 64, "letters", "a1b2")


def without_functions(found):
  return found._replace(codec=found.codec.spec)


def changed(**keys):
  config = copy.deepcopy(CONFIG)
  for name, value in keys.items():
    *sections, key = name.split("__")
    inner = config
    for section in sections:
      inner = inner[section]
    inner[key] = value
  return RECORD._replace(config=config)


def test_what_is_read_was_written(tmp_path):
  labels = (Attribute("a", tuple("vwxyz")), Attribute("b", ("", "1")))
  full = RECORD._replace(
    event=EventSpec((2, 2), 3, given=(5, 2), ignores=True, frequencies=(0.1, 0.2, 0.7)),
    longest=3,
    attributes=labels,
    changes=(Change(3, "training.num_steps", 10, 20),),
    lineage=(Ancestor("fork", "/runs/a", 7),),
    started_in="/data",
  )
  for number, each in enumerate((RECORD, full)):
    folder = str(tmp_path / str(number))
    write_record(folder, each)
    assert without_functions(read_record(folder)) == without_functions(each)


def test_a_record_of_before_there_were_frequencies_has_none(tmp_path):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  del content["event"]["frequencies"]
  path.write_text(json.dumps(content))
  assert read_record(str(tmp_path)).event == RECORD.event


@pytest.mark.parametrize("found", [[0.5, 0.5], [0.5, 0.5, 0], [0.5, "a", 0.2], 3])
def test_frequencies_that_are_none_are_refused(tmp_path, found):
  write_record(str(tmp_path), RECORD._replace(event=RECORD.event._replace(frequencies=found)))
  with pytest.raises(InputError, match=r"event\.frequencies is .* 3 numbers above 0"):
    read_record(str(tmp_path))


@pytest.mark.parametrize(("recorded", "meant"), [(True, "full"), (False, "none"), ("dots", "dots")])
def test_what_was_once_true_or_false_has_its_name(tmp_path, recorded, meant):
  write_record(str(tmp_path), changed(model__network__remat=recorded))
  assert read_record(str(tmp_path)).config["model"]["network"]["remat"] == meant


@pytest.mark.parametrize(("width", "meant"), [(128, None), (512, 8), (768, 8)])
def test_hidden_features_of_an_older_run_stay_as_many(tmp_path, width, meant):
  old = changed(model__network__width=width)
  del old.config["model"]["network"]["hidden_multiple"]
  write_record(str(tmp_path), old)
  assert read_record(str(tmp_path)).config["model"]["network"]["hidden_multiple"] == meant


def test_a_record_of_another_format_names_the_version_that_wrote_it(tmp_path):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  assert content["format"] == FORMAT
  for found, shown in (({**content, "format": FORMAT + 1}, FORMAT + 1), ({"code_version": "a1b2"}, 1)):
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=rf"has format {shown}, .* reads {READABLE[0]} to {FORMAT}: use .*a1b2"):
      read_record(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", f'{{"format": {FORMAT}}}', "[" * 100_000, "\xff"])
def test_a_damaged_record_is_one_line(tmp_path, content):
  (tmp_path / "config.json").write_text(content, encoding="latin-1")
  with pytest.raises(InputError, match=r"config\.json cannot be read") as caught:
    read_record(str(tmp_path))
  assert "\n" not in str(caught.value)


def test_names_of_categories_may_change_in_a_run_and_its_checkpoints_stay():
  def named(titles, **keys):
    spec = {"kind": "integers", "num_classes": 2, "shape": [4], "legend": {"names": titles, "colors": ["#000000"] * 2}}
    config = {**CONFIG, "data": {"kind": "label_maps", "path": "maps", **keys}}
    return RECORD._replace(config=config, event=EventSpec((4,), 2), codec=from_spec(spec))

  old, new = named(["a", "b"]), named(["c", "d"], names=["c", "d"])
  before = {**definition(old), "codec": record._hash(old.codec.spec)}  # as versions that hashed names too wrote it
  for found, stored in ((continued(old, new, 3, "runs/a"), definition(old)), (old, before)):
    check_definition(found, stored, 3, "runs/a")
  assert continued(old, new, 3, "runs/a").codec.legend.names == ("c", "d")
  assert continued(old, named(["c", "d"]), 3, "runs/a").codec.legend.names == ("a", "b")
  other = new._replace(codec=from_spec({"kind": "integers", "num_classes": 2, "shape": [4], "ids": [0, 7]}))
  with pytest.raises(InputError, match="codec differs"):
    check_definition(other, definition(old), 3, "runs/a")


def test_a_folder_without_a_record_is_no_run(tmp_path):
  with pytest.raises(InputError, match="holds no run"):
    read_record(str(tmp_path))


@pytest.mark.parametrize(
  ("new", "message"),
  [
    (changed(seed=1), "config.seed is 0 there and 1 here"),
    (changed(model__num_steps=7), r"config\.model\.num_steps"),
    (changed(optimizer__kind="adam"), r"config\.optimizer\.kind"),
    (changed(more=1), r"config\.more is None there and 1 here"),
    (RECORD._replace(fingerprint="0" * 64), "other data"),
    (RECORD._replace(event=EventSpec((8,), 3)), r"other examples \(event\.shape differs: \[4\] there, \[8\] here"),
    (RECORD._replace(codec=from_spec({**SPEC, "alphabet": "abd"})), r"other examples \(codec differs"),
  ],
)
def test_another_run_is_refused(new, message):
  with pytest.raises(InputError, match=message):
    continued(RECORD, new, 0, "there")


def test_what_may_change_is_recorded_or_free():
  new = changed(mesh__data=8, training__report_every=7, training__num_steps=3, optimizer__learning_rate=1.0)
  found = continued(RECORD, new, 5, "there")
  assert {(change.step, change.key, change.after) for change in found.changes} == {
    (5, "training.num_steps", 3),
    (5, "optimizer.learning_rate", 1.0),
  }
  assert found.config == new.config


def test_several_differences_are_counted_and_the_first_is_named():
  new = changed(seed=1, model__num_steps=7, model__shared_time=True)
  with pytest.raises(InputError, match=r"config\.model\..* \(and 2 more keys\); use another"):
    continued(RECORD, new, 0, "there")
  continued(RECORD, RECORD._replace(code_version="other", description="other"), 0, "there")


def test_changes_add_up_and_one_that_was_undone_is_none():
  first, second = Change(3, "a", 1, 2), Change(3, "b", 1, 2)
  assert merged((first, second), (Change(3, "a", 2, 5),)) == (second, Change(3, "a", 1, 5))
  assert merged((first, second), (Change(3, "a", 2, 1),)) == (second,)
  assert merged((first,), (Change(4, "a", 2, 1),)) == (first, Change(4, "a", 2, 1))


def test_every_key_of_every_configuration_has_a_rule_of_its_own():
  for key in changes.flat(CONFIG):
    assert rule_of(key).reason != "it is not known", key
  assert changes_between(CONFIG, copy.deepcopy(CONFIG), 0, "") == ()


def test_the_table_in_the_docs_is_that_of_the_rules():
  text = (pathlib.Path(__file__).parents[2] / "docs" / "CONFIGURATION.md").read_text()
  rows = [line for line in text.splitlines() if line.startswith("| `")]
  assert rows == [f"| `{rule.keys}` | {rule.meaning} | {rule.reason} |" for rule in changes.RULES]


def test_the_identity_leaves_out_the_seed_and_where_the_data_lie():
  one, other = record.identity_without_seed(RECORD), record.identity_without_seed(changed(seed=1, data__path="b"))
  assert one == other != record.identity_without_seed(changed(model__num_steps=7))


def test_half_of_a_record_is_never_taken_for_the_whole(tmp_path):
  write_record(str(tmp_path), RECORD)
  path = tmp_path / "config.json"
  whole = path.read_bytes()
  for size in [*range(0, len(whole), 97), len(whole) - 2]:
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"config\.json (cannot be read|has format)") as caught:
      read_record(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_names_in_any_script_and_of_any_length_survive(tmp_path):
  spec = {"kind": "alphabet", "alphabet": "ä東😀\n\ud800"}
  attributes = (Attribute("Straße", ("x" * 5000, "東")),)
  event = EventSpec((4,), 5, given=(2,))
  written = RECORD._replace(event=event, codec=from_spec(spec), attributes=attributes, description="größer ± 1")
  write_record(str(tmp_path / "a b é"), written)
  assert without_functions(read_record(str(tmp_path / "a b é"))) == without_functions(written)
