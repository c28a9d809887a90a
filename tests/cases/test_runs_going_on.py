"""b: runs that could not go on, and now do, or say in one line why not."""

import json
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest

from catgen.config import make_source
from catgen.interfaces import InputError
from catgen.runs import lock
from catgen.runs.fork import fork
from catgen.runs.load import load
from catgen.runs.ls import describe, ls
from catgen.runs.record import read_record, record_of, source_of
from catgen.runs.train import train
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.restoring import restore_params
from tests.tiny_run import plain_config, quiet, tiny_config


@pytest.fixture
def copied(workdir, tmp_path):
  """A copy of the work directory of a run of 30 steps."""
  shutil.copytree(workdir, tmp_path / "run")
  return tmp_path / "run"


def go_on(config, workdir, **options):
  """Trains on one device and returns what was said."""
  said = []
  train(config, str(workdir), devices=jax.devices()[:1], say=said.append, **options)
  return said


def edited(workdir, **keys):
  """Changes keys of config.json, "model__num_steps", by hand."""
  path = pathlib.Path(workdir) / "config.json"
  content = json.loads(path.read_text())
  for name, value in keys.items():
    *outer, last = name.split("__")
    inner = content
    for key in outer:
      inner = inner[key]
    if value is None:
      del inner[last]
    else:
      inner[last] = value
  path.write_text(json.dumps(content))


def test_b1_what_the_message_advises_is_possible_and_recorded(text, tmp_path):
  steps = {"training.num_steps": 8, "training.validate_every": 4}
  with pytest.raises(InputError, match=r"is not finite .*; start again with a lower optimizer\.learning_rate"):
    go_on(plain_config(text, **steps, **{"optimizer.learning_rate": 1e38}), tmp_path)
  begun = checkpoint_steps(tmp_path)
  advised = {"optimizer.learning_rate": 1e-4, "optimizer.warmup_steps": 1, "optimizer.clip_norm": 1.0}
  # where nothing was saved yet, the run is at step 0
  said = go_on(plain_config(text, **steps, **advised), tmp_path)
  record = read_record(str(tmp_path))
  assert checkpoint_steps(tmp_path)[-1] == 8
  assert record.config["optimizer"]["learning_rate"] == 1e-4
  changed = {change.key: (change.step, change.before, change.after) for change in record.changes}
  at = begun[-1] if begun else 0
  assert changed["optimizer.learning_rate"] == (at, 1e38, 1e-4)
  assert any(line.startswith("config.optimizer.learning_rate changed from 1e+38 to 0.0001") for line in said)


def test_b3_a_finished_run_is_extended_and_says_what_else_changes(plain_workdir, text, tmp_path):
  copied = shutil.copytree(plain_workdir, tmp_path / "run")
  constant = {"optimizer.decay": "constant", "training.num_steps": 32}
  said = go_on(plain_config(text, **constant), copied)
  assert checkpoint_steps(copied)[-1] == 32
  assert "config.training.num_steps changed from 30 to 32 at step 30" in said
  assert any(line.startswith("the learning rate of step 30 is ") for line in said)  # it was decayed to nothing
  said = go_on(plain_config(text, **{**constant, "training.num_steps": 33}), copied)
  assert "config.training.num_steps changed from 32 to 33 at step 32" in said
  assert not any("learning rate" in line for line in said)


def test_b4_parameters_of_another_run_by_name_and_shape(plain_workdir, text, tmp_path):
  workdir = plain_workdir
  config = plain_config(text, **{"data.alphabet": "bytes", "training.num_steps": 2, "optimizer.learning_rate": 1e-30})
  said = go_on(config, tmp_path / "new", init_from=f"{workdir}@30")
  old, new = (restore_params(folder, step) for folder, step in ((workdir, 30), (tmp_path / "new", 2)))
  taken = old.params if old.ema is None else old.ema
  kept, fresh = 0, 0
  for (path, theirs), ours in zip(jax.tree_util.tree_leaves_with_path(taken), jax.tree.leaves(new.params), strict=True):
    if theirs.shape == ours.shape:
      kept += 1
      np.testing.assert_allclose(theirs, ours, rtol=1e-6, err_msg=str(path))
    else:
      fresh += 1
  assert (kept > 0, fresh > 0) == (True, True)
  assert any(f"took {kept} of {kept + fresh} arrays" in line for line in said)
  assert any("left as they were drawn" in line and "(11, 16) there, (257, 16) here" in line for line in said)
  (ancestor,) = read_record(str(tmp_path / "new")).lineage
  assert ancestor == ("init_from", os.path.abspath(workdir), 30)
  with pytest.raises(InputError, match="did not begin from"):
    go_on(config, tmp_path / "new", init_from=str(tmp_path))


def test_b5_the_data_may_lie_elsewhere(copied, text, tmp_path, monkeypatch):
  moved = tmp_path / "elsewhere" / "moved.txt"
  moved.parent.mkdir()
  moved.write_bytes(text.read_bytes())
  edited(copied, config__data__path="moved.txt", started_in=str(tmp_path))
  with pytest.raises(InputError, match=r"moved\.txt does not exist.*; --data=PATH says .*, --data=KEY=PATH where"):
    load(copied, say=quiet).source()
  assert load(copied, data=str(moved), say=quiet).source().fingerprint == read_record(str(copied)).fingerprint
  edited(copied, started_in=str(moved.parent))
  for folder in (tmp_path, moved.parent):
    monkeypatch.chdir(folder)
    assert load(copied, say=quiet).source().fingerprint == read_record(str(copied)).fingerprint
  moved.write_text("other data " * 500)
  with pytest.raises(InputError, match="not those of the run"):
    load(copied, data=["path=" + str(moved)], say=quiet).source()
  # and training goes on from a path that is spelled otherwise
  assert not [line for line in go_on(tiny_config(os.path.relpath(text)), copied) if "changed" in line]


def test_b5_a_pattern_of_files_is_found_from_the_folder_that_the_run_started_in(tmp_path, monkeypatch):
  (tmp_path / "books").mkdir()
  (tmp_path / "books" / "a.txt").write_text("abab" * 50)
  monkeypatch.chdir(tmp_path)
  section = {"kind": "text_folder", "path": "boo*/*.txt", "length": 4, "splits": (1.0, 0.0, 0.0)}
  record = record_of({"data": section}, make_source(section))
  monkeypatch.chdir(tmp_path / "books")
  assert source_of(record).fingerprint == record.fingerprint
  with pytest.raises(InputError, match="names no file"):
    source_of(record._replace(started_in=str(tmp_path / "books")))


def test_b6_without_a_validation_the_newest_checkpoint_is_taken(copied):
  for step in checkpoint_steps(copied):
    shutil.rmtree(copied / "checkpoints" / str(step) / "metrics")
  said = []
  assert load(copied, say=said.append).step == 30
  assert len(said) == 1
  assert "has a validation result; taking the newest, of step 30" in said[0]


def test_b7_a_key_that_a_record_lacks_has_its_default(copied, text):
  edited(copied, format=2, config__training__skip_nonfinite=None, config__model__network__dropout=None)
  for key in ("changes", "lineage", "started_in", "longest"):
    edited(copied, **{key: None})
  record = read_record(str(copied))
  assert record.config["model"]["network"]["dropout"] == 0.0
  assert load(copied, step="latest", say=quiet).step == 30
  assert go_on(tiny_config(text), copied)
  edited(copied, format=99)
  with pytest.raises(InputError, match=r"has format 99, this version of catgen reads 2 to 3: use the"):
    load(copied, say=quiet)


@pytest.mark.parametrize(
  ("change", "named"),
  [
    ({"config__model__num_steps": 10}, r"model\.num_steps differs: 20 there, 10 here"),
    ({"config__model__process": {"kind": "absorbing"}}, r"model\.process\.kind differs: 'uniform' there"),
    ({"codec": {"kind": "alphabet", "alphabet": " acehmnos"}}, r"codec differs"),
    ({"event__num_classes": 9}, r"event\.num_classes differs: 10 there, 9 here"),
  ],
)
def test_b9_a_record_that_was_changed_by_hand_is_not_the_model_of_the_checkpoint(copied, text, change, named):
  edited(copied, **change)
  with pytest.raises(InputError, match=rf"config\.json describes another model than checkpoint \d+ holds \({named}"):
    load(copied, say=quiet)


@pytest.mark.parametrize(
  ("change", "named"),
  [
    ({"config": []}, "config is"),
    ({"config__training__batch_size": "8"}, r"config\.training\.batch_size is '8'; a whole number"),
    ({"config__training__batchsize": 8}, r"config\.training has no key 'batchsize'"),
    ({"config__model__kind": 3}, r"config\.model\.kind is 3"),
    ({"config__model": None}, r"config\.model is not set"),
    ({"config__optimizer": {"kind": "adam", "decay": {"decay": {"decay": {}}}}}, r"config\.optimizer\.decay"),
    ({"config__data__length": [1, 2]}, r"config\.data\.length"),
    ({"event__shape": "16"}, r"event\.shape is '16'"),
    ({"event__shape": [16, -1]}, r"event\.shape"),
    ({"event__num_classes": 2.5}, r"event\.num_classes is 2\.5"),
    ({"event__given": [2]}, r"attributes have \(\) values"),
    ({"codec": {"kind": "alphabet"}}, "codec is"),
    ({"codec": {"kind": "runes"}}, "codec kind 'runes' is unknown"),
    ({"codec": None}, "there is no 'codec'"),
    ({"position": 3}, "position is 3; a text"),
    ({"bytes_per_position": "one"}, "bytes_per_position is 'one'"),
    ({"attributes": [{"name": "x"}]}, "attributes holds"),
    ({"changes": [{"step": "x", "key": "a", "before": 1, "after": 2}]}, "changes holds the step 'x'"),
    ({"lineage": {}}, r"lineage is \{\}; a list"),
    ({"fingerprint": None}, "there is no 'fingerprint'"),
  ],
)
def test_b10_a_record_with_a_wrong_part_names_the_file_and_the_key(workdir, tmp_path, change, named):
  shutil.copy(os.path.join(workdir, "config.json"), tmp_path)
  edited(tmp_path, **change)
  with pytest.raises(InputError, match=rf"config\.json cannot be read: .*{named}") as caught:
    read_record(str(tmp_path))
  assert "\n" not in str(caught.value)


def test_a_fork_begins_with_all_of_the_other_run_and_says_so(plain_workdir, text, tmp_path):
  workdir = plain_workdir
  first = checkpoint_steps(workdir)[0]
  made = fork(str(tmp_path / "fork"), origin=f"{workdir}@{first}")
  assert made.step == first
  record, lines = read_record(made.workdir), (tmp_path / "fork" / "metrics.jsonl").read_text().splitlines()
  assert record.lineage == (("fork", os.path.abspath(workdir), first),)
  assert max(json.loads(line)["step"] for line in lines) == first
  go_on(plain_config(text), made.workdir)
  jax.tree.map(  # what was forked and not changed ends as the other run did, bit by bit
    np.testing.assert_array_equal, restore_params(made.workdir, 30).params, restore_params(workdir, 30).params
  )
  run = load(made.workdir, step=30, say=quiet)
  evaluated = run.evaluate(max_examples=8, num_replicates=1, say=quiet)
  assert evaluated.result["lineage"] == [record.lineage[0]._asdict()]
  with pytest.raises(InputError, match="holds a run already"):
    fork(made.workdir, origin=workdir)
  with pytest.raises(InputError, match="no checkpoint of step 7"):
    fork(str(tmp_path / "other"), origin=f"{workdir}@7")
  assert not (tmp_path / "other").exists()


def test_runs_are_listed_with_their_state_and_last_numbers(copied, tmp_path):
  shutil.copytree(copied, tmp_path / "a" / "b")
  edited(tmp_path / "a" / "b", position=7)
  with lock.held(copied, say=quiet):
    damaged, running = ls(folder=str(tmp_path)).runs
  assert (running.step, running.num_steps, running.family) == (30, 30, "diffusion")
  assert running.state.startswith(f"running: process {os.getpid()} on ")
  assert running.validation > 0
  assert running.size > 10_000
  assert "position is 7; a text is needed" in damaged.state
  (_, finished) = ls(folder=str(tmp_path)).runs
  assert finished.state == "finished"
  shown = describe(ls(folder=str(tmp_path)))
  assert f"{finished.validation:.4f} bits per character" in shown
