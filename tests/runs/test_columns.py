"""The columns of a table, listed and written; rows of a file completed; data frames that are handed to fit."""

import json

import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import load_config
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec, table_of
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.runs.baselines import baselines
from catgen.runs.choose import choose
from catgen.runs.columns import columns, describe
from catgen.runs.infill import describe as described
from catgen.runs.infill import infill
from catgen.runs.load import Run, load
from catgen.runs.record import RunRecord
from catgen.runs.sample import sample
from catgen.runs.score import score
from tests.evaluation.mixtures import make_parameters, mixture
from tests.tiny_run import SIZES, quiet, trained

CONTENT = "age,job,ok\n" + "".join(f"{i},{'clerk' if i % 3 else ''},{i % 2 == 0}\n" for i in range(90))


def table_config(folder, **changes):
  (folder / "people.csv").write_text(CONTENT)
  path = str(folder / "people.csv")
  return load_config("table", {"data.path": path, "data.splits": (1.0, 0, 0), **changes}).values


def test_columns_are_listed_and_the_file_that_is_written_gives_them_again(tmp_path):
  schema = str(tmp_path / "schema.json")
  found = columns(table_config(tmp_path), output=schema)
  lines = describe(found).split("\n")
  assert lines[0] == str(tmp_path / "people.csv")
  rows = {line.split()[0]: line.split()[1:4] for line in lines[3:6]}
  assert rows == {"age": ["numeric", "64", "no"], "job": ["categorical", "2", "yes,"], "ok": ["categorical", "2", "no"]}
  assert lines[-1] == f"written to {schema}"
  assert json.loads((tmp_path / "schema.json").read_text())["columns"][2]["values"] == ["False", "True"]
  assert columns(table_config(tmp_path, **{"data.schema": schema})).columns == found.columns
  labelled = describe(columns(table_config(tmp_path, **{"data.labels": ("job",)})))
  assert "given with each row: job (1 values)" in labelled


def test_a_schema_is_begun_where_only_a_schema_settles_columns(tmp_path):
  """What is guessed is all that it says of them: what is corrected there is found again."""
  days = [f"{1 + i % 12:02d}/{1 + i // 12 % 12:02d}/2020" for i in range(144)]
  lines = "".join(f"{day},{'-' if i == 5 else i / 4},{'ab'[i % 2]}\n" for i, day in enumerate(days))
  (tmp_path / "a.csv").write_text(f"day,paid,job\n{lines}")
  schema = tmp_path / "schema.json"

  def config(**changes):
    return load_config("table", {"data.path": str(tmp_path / "a.csv"), **changes}).values

  with pytest.raises(InputError, match=r"say which in a schema, which launch.columns --output=schema.json begins, as"):
    columns(config())
  found = columns(config(), output=str(schema))
  doubts = [line for line in describe(found).split("\n") if "is a guess: settle it there" in line]
  assert len(doubts) == 2
  assert f"may be %d/%m/%Y or %m/%d/%Y; {schema} says date %d/%m/%Y" in doubts[0]
  assert f"column 'paid' has numbers, but in line 7 '-'; {schema} says kind categorical" in doubts[1]
  begun = json.loads(schema.read_text())["columns"]
  assert begun[:2] == [{"name": "day", "date": "%d/%m/%Y"}, {"name": "paid", "kind": "categorical"}]
  assert begun[2]["values"] == ["a", "b"]
  again = columns(config(**{"data.schema": str(schema), "data.unknown": "other"}))
  assert again.columns == found.columns
  begun[0]["date"], begun[1]["kind"] = "%m/%d/%Y", "numeric"
  schema.write_text(json.dumps({"columns": begun}))
  settled = columns(config(**{"data.schema": str(schema), "data.missing": ("-",)})).columns
  assert (settled[0].form, settled[1].kind, settled[1].missing) == (Form(date="%m/%d/%Y"), "numeric", "-")
  with pytest.raises(InputError, match="column 'paid' has numbers, but in line 7 '-'"):
    columns(config(**{"data.schema": str(schema)}), output=str(tmp_path / "other.json"))


def test_columns_of_no_table_are_a_line(tmp_path):
  (tmp_path / "a.txt").write_text("abc" * 400)
  with pytest.raises(InputError, match="data of kind 'text_file' have no columns; take table_file"):
    columns(load_config("text_file", {"data.path": str(tmp_path / "a.txt"), "data.length": 8}).values)


def test_the_rival_of_a_table_is_its_columns_by_themselves(tmp_path):
  """Four rows (x, x, x, y) to train on: p(x) = 4/6 and p(y) = 2/6, each having been seen once more."""
  (tmp_path / "a.csv").write_text("a,b\nx,1\nx,2\nx,1\ny,2\ny,1\n")
  config = load_config("table", {"data.path": str(tmp_path / "a.csv"), "data.splits": (4, 0, 1)}).values
  found = baselines(config | {"evaluation": {**config["evaluation"], "split": "test"}})
  assert found.bits == {"columns by themselves": pytest.approx(-np.log2(1 / 3 * 1 / 2) / 2)}


COLUMNS = (
  Column("a", "categorical", ("x", "y"), missing="NA"),
  Column("b", "ordinal", ("1", "2", "3"), form=Form(0)),
  Column("c", "ordinal", ("1.5", "2.5", "3.5"), form=Form(1)),
  Column("d", "categorical", ("p", "q", "r")),
)
CODEC = table_codec(Table(COLUMNS, frozenset({"NA"})))


@pytest.fixture
def run(tmp_path):
  """A mixture of categoricals over four columns of three categories, as if it had been trained."""
  event = EventSpec((4,), 3, sizes=(3, 3, 3, 3))
  config = table_config(tmp_path)
  record = RunRecord(config, event, CODEC, "column", None, "", "", "")
  media = media_of(event, CODEC, "column")
  model, params = mixture(4, 3), make_parameters(np.random.default_rng(2))
  return Run(model, params, {}, record, media, str(tmp_path), 0, False, lambda: None)


def test_every_row_of_a_file_is_completed_where_it_has_holes_and_nowhere_else(run, tmp_path):
  gaps, output = tmp_path / "gaps.csv", tmp_path / "filled.csv"
  gaps.write_text("id,a,b,c,d\n" + "1,x,_,1.5,p\n2,_,2,,_\n3,NA,3,2.5,q\n" * 8)
  found = infill(run, input=str(gaps), output=str(output), num_samples=2, say=quiet)
  before = [line.split(",") for line in gaps.read_text().split("\n")[1:-1]]
  after = [line.split(",") for line in output.read_text().split("\n")[1:-1]]
  assert len(after) == 2 * len(before) == len(found.x)
  for number, row in enumerate(after):
    for name, old, new in zip("iabcd", before[number // 2], row, strict=True):
      if old == "_" or (old == "" and name == "c"):
        assert new in {"a": ("x", "y", "NA"), "b": "123", "c": ("1.5", "2.5", "3.5"), "d": "pqr"}[name]
      else:
        assert new == old
  assert len({tuple(row) for row in after}) > 8  # rows that are alike are completed differently
  assert "48 completions written" in described(found)
  assert "of 96 columns are holes" in described(found)
  again = infill(run, input=str(gaps), num_samples=1, say=quiet)
  assert len(again.lines) == 2 + 24


def test_one_row_is_completed_as_often_as_is_asked(run, tmp_path):
  gaps = tmp_path / "gaps.csv"
  gaps.write_text("a,b,c,d\nx,1,1.5,p\nx,?,1.5,q\n")
  found = infill(run, input=str(gaps), index=1, hole="?", num_samples=5)
  assert found.x.shape == (5, 4)
  assert (found.x[:, [0, 2, 3]] == [0, 0, 1]).all()
  typed = infill(run, {"a": "y", "d": "r"}, num_samples=3)
  assert (typed.x[:, [0, 3]] == [1, 2]).all()
  assert [line.split()[0] for line in typed.lines[2:]] == ["y"] * 3
  with pytest.raises(InputError, match=r"the example has no hole; write '\?' in each cell to fill"):
    infill(run, input=str(gaps), index=0, hole="?")
  gaps.write_text("a,b,c,d\nx,1,1.5,p\n")
  with pytest.raises(InputError, match="has no hole; write '_' in each cell"):
    infill(run, input=str(gaps))
  with pytest.raises(InputError, match="num_samples is 0"):
    infill(run, {"a": "y"}, num_samples=0)
  with pytest.raises(InputError, match="--mask hides cells of one row"):
    infill(run, input=str(gaps), mask="a.npy")


def test_written_completions_are_read_as_the_same_categories(run, tmp_path):
  x = np.array([[0, 1, 2, 0], [2, 0, 0, 1]], np.int32)
  run.media.written(str(tmp_path / "a.csv"), batch_of(x))
  np.testing.assert_array_equal(run.media.read(str(tmp_path / "a.csv")).x, x)


@pytest.mark.parametrize("number", [40, 300])
def test_a_frame_is_kept_as_a_table_and_its_rows_come_back(number, tmp_path):
  frame = {"n": list(range(number)), "t": ["x, y" if i % 2 else None for i in range(number)]}
  chosen = choose(frame, tmp_path)
  assert chosen.config["data"]["kind"] == "table_file"
  assert chosen.config["model"]["process"] == {"kind": "absorbing"}
  assert "conv_width" not in chosen.config["model"]["network"]
  assert chosen.reasons[0] == f"{number} rows of 2 columns: a table"
  assert ("splits" in chosen.config["data"]) == (number == 40)
  lines = (tmp_path / "data.csv").read_text().split("\n")
  assert lines[0] == "n,t"
  assert sorted(lines[1:-1]) == sorted(f'{i},"x, y"' if i % 2 else f"{i}," for i in range(number))
  assert choose(frame, tmp_path).config == chosen.config


@pytest.mark.slow
def test_a_table_is_trained_on_sampled_scored_and_completed(tmp_path):
  sizes = {key: value for key, value in SIZES.items() if key not in ("data.length", "model.num_steps")}
  config = table_config(tmp_path, **{**sizes, "data.splits": (70, 10, 10), "data.unknown": "other"})
  run = load(trained(config, tmp_path / "run"), say=quiet)
  assert run.record.event.sizes == tuple(column.size for column in table_of(run.record.codec.spec).columns)
  output = str(tmp_path / "synthetic.csv")
  drawn = sample(run, num_samples=6, num_steps=3, output=output, compare=True, say=quiet)
  assert (tmp_path / "synthetic.csv").read_text().split("\n")[0] == "age,job,ok"
  assert drawn.statistics[1][0] == "rows"
  if (drawn.x < run.record.event.sizes).all():  # models that know the sizes of columns draw nothing else
    np.testing.assert_array_equal(run.media.read(output).x, drawn.x)
  scored = score(run, input=str(tmp_path / "people.csv"), reference=0, num_draws=1, say=quiet)
  assert len(scored.bits) == 90
  (tmp_path / "gaps.csv").write_text("age,job,ok\n_,clerk,True\n12.,,_\n")
  filled = str(tmp_path / "filled.csv")
  infill(run, input=str(tmp_path / "gaps.csv"), output=filled, num_steps=3, say=quiet)
  first, second = (line.split(",") for line in (tmp_path / "filled.csv").read_text().split("\n")[1:3])
  assert first[1:] == ["clerk", "True"]
  assert second[:2] == ["12.", ""]
