"""A synthetic table beside real ones, from files to a page; rows that a model knows too well."""

import csv
import json
import pathlib
import re

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.splits import record_split
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.evaluation import table_trees
from catgen.interfaces import Bound, EventSpec, InputError
from catgen.media import media_of
from catgen.reporting.progress import no_progress
from catgen.runs import membership as members
from catgen.runs.compare_tables import compare_tables, describe
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from catgen.sources import DataSource
from tests.evaluation.mixtures import mixture
from tests.tiny_run import quiet

NAMES = ("age", "job", "born", "paid")


def people(seed: int, number: int, honest: bool = True) -> list[list]:
  rng, rows = np.random.default_rng(seed), []
  for _ in range(number):
    job, age = rng.choice(["a, b", "clerk", ""], p=(0.3, 0.5, 0.2)), rng.integers(18, 80)
    paid = (age > 50) ^ (job == "clerk") if honest else rng.random() < 0.5
    rows.append([age, job, f"19{rng.integers(10, 99)}-0{rng.integers(1, 10)}-11", "yes" if paid else "no"])
  return rows


def written(path, rows, names=NAMES) -> str:
  with open(path, "w", newline="") as file:
    csv.writer(file).writerows([names, *rows])
  return str(path)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
  """Has rows told apart on two halves of them, not on five parts."""
  monkeypatch.setattr(table_trees, "_FOLDS", 2)


@pytest.fixture
def files(tmp_path):
  return {
    "real": written(tmp_path / "real.csv", people(0, 80)),
    "synthetic": written(tmp_path / "made.csv", people(1, 100, honest=False)),
    "train": written(tmp_path / "train.csv", people(2, 120)),
    "output": str(tmp_path / "judged"),
  }


def test_a_table_is_judged_beside_a_real_one_in_its_place(files, tmp_path):
  found = compare_tables(**files, bootstraps=2)
  assert found.tables.synthetic.number == found.tables.rival.number == 100
  assert found.tables.target.number == 80
  by_name = {each.name: each for each in found.measures}
  learned = by_name["paid learned, AUC"]
  assert learned.synthetic < 0.7 < 0.9 < learned.real
  assert by_name["shape, mean of columns"].real > 0.8
  assert by_name["copies of training rows"].synthetic == 0.0
  lines = describe(found).split("\n")
  assert "100 synthetic rows, and in their place as many real ones, each beside 80 real rows; 4 columns" in lines[0]
  results = json.loads((tmp_path / "judged" / "results.json").read_text())
  assert [each["kind"] for each in results["columns"]] == ["numeric", "categorical", "numeric", "categorical"]
  assert len(results["pairs"]) == 6
  page = (tmp_path / "judged" / "report.html").read_text()
  assert len(re.findall(r'<img alt="[^"]+" src="data:image/png;base64,[A-Za-z0-9+/=]+"', page)) == 3
  assert not re.search(r"(?:src|href)=\"(?!data:)", page)
  assert "paid learned, AUC" in page


def test_columns_that_may_be_meant_otherwise_are_told_once_each(tmp_path):
  """Amounts in two of the tables, and in the synthetic one alone names that all differ."""
  real = [[f"${i}.50", "ann", f"2020010{1 + i % 9}"] for i in range(60)]
  made = [[f"${i}.50", f"name {i}", f"2020010{1 + i % 9}"] for i in range(60)]
  names = ("paid", "name", "day")
  files = {
    "real": written(tmp_path / "real.csv", real, names),
    "synthetic": written(tmp_path / "made.csv", made, names),
  }
  options = {"output": str(tmp_path / "judged"), "bootstraps": 0, "target": "name"}
  found = compare_tables(**files, **options)
  told = [line for line in describe(found).split("\n") if "column '" in line]
  assert len(told) == 2
  assert f"note: {files['real']}: column 'paid' has '$0.50' in line 2: texts that nearly all differ" in told[0]
  assert f"{files['synthetic']}: column 'name' has 'name 0' in line 2" in told[1]
  (tmp_path / "schema.json").write_text('{"columns": [{"name": "paid", "kind": "categorical"}]}')
  known = compare_tables(**files, **options, schema=str(tmp_path / "schema.json"))
  assert not any("'paid'" in note for note in known.notes)


def test_without_training_rows_one_half_of_the_real_ones_is_compared_with_the_other(files, tmp_path):
  (tmp_path / "schema.json").write_text('{"columns": [{"name": "born", "kind": "drop"}]}')
  options = {"schema": str(tmp_path / "schema.json"), "drop": ("job",), "target": "age", "bootstraps": 0}
  found = compare_tables(**{**files, "train": None}, max_rows=60, **options)
  assert found.tables.target.names == ("age", "paid")
  assert found.tables.target.number == found.tables.synthetic.number == found.tables.rival.number == 30
  assert "age learned, R²" in {each.name for each in found.measures}
  assert "note: of " in describe(found)
  assert "one half of --real" in describe(found)


def test_values_that_nobody_knows_count_as_one_and_columns_may_stand_in_any_order(files, tmp_path):
  rows = [[paid, born, "spy" if i % 2 else job, age, i] for i, (age, job, born, paid) in enumerate(people(3, 40))]
  made = written(tmp_path / "other.csv", rows, ("paid", "born", "job", "age", "id"))
  found = compare_tables(**{**files, "synthetic": made}, bootstraps=0)
  assert "--synthetic has values in job that" in describe(found)
  assert found.synthetic.columns[1] < 0.6 < found.synthetic.columns[3]


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"real": None}, "give two tables"),
    ({"target": "x"}, "there is no column 'x' to predict"),
    ({"drop": ("x",)}, "has no column 'x'"),
    ({"drop": NAMES}, "has no column that is not left out"),
    ({"max_rows": 3}, "--max_rows and --max_scored are at least 20"),
    ({"synthetic": "/no/a.csv"}, "/no/a.csv"),
  ],
)
def test_mistakes_are_one_line(files, change, message):
  with pytest.raises(InputError, match=message):
    compare_tables(**{**files, **change})


def test_tables_that_do_not_fit_are_one_line(files, tmp_path):
  few = written(tmp_path / "few.csv", people(0, 5))
  with pytest.raises(InputError, match=r"few.csv has 5 rows; bring at least 20"):
    compare_tables(**{**files, "real": few})
  lacking = written(tmp_path / "lacking.csv", [row[:2] for row in people(0, 30)], NAMES[:2])
  with pytest.raises(InputError, match=r"lacking.csv has no column 'born'.*--drop=born"):
    compare_tables(**{**files, "synthetic": lacking})
  texts = written(tmp_path / "texts.csv", [["old", *row[1:]] for row in people(0, 30)])
  with pytest.raises(InputError, match=r"texts.csv: column 'age' has 'old' in line 2"):
    compare_tables(**{**files, "synthetic": texts})


COLUMNS = tuple(Column(name, "categorical", ("x", "y", "z")) for name in "abcd")


def grid_run(tmp_path, monkeypatch, knows, data_there=True):
  """Three tables of one grid and a model that gives each training row some nats more than another, or none."""
  rng, event = np.random.default_rng(0), EventSpec((4,), 3, sizes=(3, 3, 3, 3))
  cells = rng.permutation(81)
  tables = [np.stack(np.unravel_index(own, (3,) * 4), axis=1) for own in (cells[:40], cells[40:80], cells[20:60])]
  named = [[["xyz"[k] for k in row] for row in table] for table in tables]
  files = dict(zip(("train", "real", "synthetic"), named, strict=True))
  files = {name: written(tmp_path / f"{name}.csv", rows, tuple("abcd")) for name, rows in files.items()}
  there = {tuple(row) for row in tables[0].tolist()}

  def bound(params, batch, keys, *, state, train, strata=None):
    extra = jax.pure_callback(
      lambda x: np.array([3.0 * (knows and tuple(row) in there) for row in np.asarray(x).tolist()], np.float32),
      jax.ShapeDtypeStruct((len(batch.x),), np.float32),
      batch.x,
    )
    return Bound(extra - 5.0 + batch.x.sum(axis=1) * 1e-3, {})

  codec = table_codec(Table(COLUMNS, frozenset({"NA"})))
  config = {"model": {"kind": "made up"}, "evaluation": {"batch_size": 20}}
  record = RunRecord(config, event, codec, "column", None, "", "", "")
  model = mixture(4, 3)._replace(bound=bound, log_prob=None)
  read = lambda numbers: batch_of(tables[0][numbers].astype(np.int32), index=numbers)  # noqa: E731
  data = DataSource(event, {"train": record_split(40, read, ())}, codec, "column", None, "", "")

  def source():
    if not data_there:
      raise InputError("people.csv does not exist")
    return data

  run = Run(model, {}, {}, record, media_of(event, codec, "column"), str(tmp_path), 0, False, source)
  monkeypatch.setattr(members, "load", lambda *_, **__: run)
  return files


def judged(files, tmp_path):
  return members.membership(
    str(tmp_path), files, step="best", num_draws=1, most=40, seed=0, say=quiet, progress=no_progress
  )


@pytest.mark.parametrize("data_there", [False, True])
def test_rows_that_were_trained_on_are_not_taken_for_held_out_ones(tmp_path, monkeypatch, data_there):
  """--real is the training file, or has rows of it; --train has rows that the run has not seen."""
  files = grid_run(tmp_path, monkeypatch, knows=True, data_there=data_there)
  own = "the training split" if data_there else "--train"
  with pytest.raises(InputError, match=f"40 of 40 rows of .*train.csv are rows of {own}, .* 0 would be by chance"):
    judged({**files, "real": files["train"]}, tmp_path)
  with pytest.raises(InputError, match="20 of 40 rows"):
    judged({**files, "real": files["synthetic"]}, tmp_path)
  lines = [pathlib.Path(files[name]).read_text().splitlines() for name in ("train", "real")]
  whole = tmp_path / "whole.csv"
  whole.write_text("\n".join([*lines[0], *lines[1][1:21]]))
  few = tmp_path / "few.csv"
  few.write_text("\n".join([lines[0][0], lines[0][1], *lines[1][21:]]))
  found = judged({**files, "train": str(whole), "real": str(few)}, tmp_path)
  assert found.num_members == 40
  assert any("1 of 21 rows" in note for note in found.notes)
  assert any("stand for what it was trained on" in note for note in found.notes) == (not data_there)


def test_rows_in_common_are_said_where_trees_tell_worse_than_chance(files):
  found = compare_tables(**{**files, "real": files["train"]}, bootstraps=0)
  said = describe(found)
  assert "120 of 120 rows of --real are rows of --train, where about 0 would be by chance" in said
  assert "of 100 rows in their place are also rows of --real" in said
  assert "synthetic rows are also rows" not in said


@pytest.mark.parametrize("knows", [False, True])
def test_scores_tell_training_rows_apart_where_the_model_knows_them(tmp_path, monkeypatch, knows):
  files = grid_run(tmp_path, monkeypatch, knows)
  found = judged(files, tmp_path)
  assert found.num_members == found.num_others == 40
  assert abs(found.by_chance.probability - 0.5) < 4 * found.by_chance.error
  if knows:
    assert found.found.probability == 1.0  # no row is of both
  else:
    assert abs(found.found.probability - 0.5) < 4 * found.found.error


def test_copies_of_training_rows_and_scores_of_the_run_are_judged_with_the_table(tmp_path, monkeypatch):
  """Half of the synthetic rows are training rows, the other half are rows of --real; the run knows its own."""
  files = grid_run(tmp_path, monkeypatch, knows=True)
  output = tmp_path / "judged"
  found = compare_tables(**files, workdir=str(tmp_path), num_draws=1, bootstraps=3, output=str(output))
  by_name = {each.name: each for each in found.measures}
  copies, member = by_name["copies of training rows"], by_name["membership AUC"]
  assert (copies.synthetic, copies.real) == (0.5, 0.0)
  assert copies.synthetic_error == pytest.approx(0.5 / 40**0.5, rel=0.05)
  assert 0 < copies.real_error < 1.5 / 40  # none of forty
  assert 0 < member.synthetic_error < 0.06  # all of forty
  assert (member.synthetic, found.members.estimator) == (1.0, "elbo")
  assert "how well the model's own score tells 40 training rows from 40" in describe(found)
  assert set(found.members.bits) == {"training rows", "held-out rows", "synthetic rows"}
  records = {each["name"]: each for each in json.loads((output / "results.json").read_text())["measures"]}
  shape = records["shape, mean of columns"]
  assert shape["difference"] == pytest.approx(shape["synthetic"] - shape["real"])
  assert shape["difference_error"] > 0
  assert records["membership AUC"]["difference_error"] is None
