"""A run keeps the rule by which its records were split, whatever is the rule of new runs."""

import json

import numpy as np
import pytest

from catgen.config import load_config, make_source
from catgen.interfaces import InputError
from catgen.runs.command import Command
from catgen.runs.record import has_record, read_record, record_of, source_of, write_record
from catgen.runs.train import joined
from tests.runs.test_command import performed

LETTERS = np.random.default_rng(0).choice(list("abcde"), (400, 3)).tolist()
TEXTS = "\n".join(map("".join, LETTERS))
TABLE = "x,y,z\n" + "\n".join(map(",".join, LETTERS))


def begun(folder, kind, rule, *, named):
  """Returns the configuration of today's new run, and the work directory of one that began by an earlier rule.

  named: whether its record has the key.
  """
  name, ending, content = {
    "text_lines": ("text_lines", ".txt", TEXTS),
    "array_file": ("array_file", ".npy", None),
    "table_file": ("table", ".csv", TABLE),
  }[kind]
  path = folder / f"data{ending}"
  if content is None:
    np.save(path, np.array(LETTERS).view(np.uint32) - 97)
  else:
    path.write_text(content)
  config = load_config(name, {"data.path": str(path)}).values
  old = {**config, "data": {**config["data"], "split_rule": rule}}
  workdir = folder / "run"
  write_record(str(workdir), record_of(old, make_source(old["data"])))
  if not named:
    found = json.loads((workdir / "config.json").read_text())
    del found["config"]["data"]["split_rule"]
    (workdir / "config.json").write_text(json.dumps(found))
  return config, str(workdir)


OLDER = [("text_lines", rule) for rule in (2, 3)] + [("array_file", rule) for rule in (1, 2, 3)] + [("table_file", 3)]


@pytest.mark.parametrize(("kind", "rule"), [*OLDER, ("text_lines", 4), ("array_file", 4), ("table_file", 4)])
@pytest.mark.parametrize("named", [False, True])
def test_evaluation_and_training_find_the_data_of_a_run_by_its_own_rule(tmp_path, kind, rule, named):
  if rule == 4 and not named:
    return  # there were no such runs
  config, workdir = begun(tmp_path, kind, rule, named=named)
  assert config["data"]["split_rule"] == 4
  assert (make_source(config["data"]).fingerprint == read_record(workdir).fingerprint) == (rule == 4)
  record = read_record(workdir)
  assert source_of(record).fingerprint == record.fingerprint
  found, source = joined(config, workdir)
  source = source or make_source(found["data"])
  assert source.fingerprint == record.fingerprint
  if rule > 2 or named:  # else two rules may have split alike
    assert found["data"]["split_rule"] == rule


@pytest.mark.parametrize("named", [False, True])
def test_a_command_on_a_work_directory_reads_its_configuration_with_its_rule(tmp_path, named):
  _, workdir = begun(tmp_path, "table_file", 3, named=named)
  assert has_record(workdir)
  said = performed((Command(rule_of, lambda rule: f"rule {rule}"),), config=None, workdir=workdir)[1]
  assert said == ["rule 3"]


def rule_of(config):
  """Returns the rule that a command gets."""
  return config["data"]["split_rule"]


@pytest.mark.parametrize("rule", [1, 2, 5])
def test_a_table_has_no_rule_but_3_and_4(tmp_path, rule):
  config, _ = begun(tmp_path, "table_file", 3, named=True)
  with pytest.raises(InputError, match=f"split_rule is {rule}; it must be one of 3, 4"):
    make_source({**config["data"], "split_rule": rule})
