"""Files that a run of a table is handed: other separators, signs and encodings than it was trained on; odd cells."""

import json

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.splits import record_split
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.evaluation import spelling
from catgen.evaluation.spelling import Correction
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of, table_files
from catgen.runs.classify import classify
from catgen.runs.correct import correct
from catgen.runs.infill import infill
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.runs.record import RunRecord
from catgen.runs.score import describe, score
from catgen.sources import DataSource
from tests.evaluation.mixtures import make_parameters, mixture

COLUMNS = (
  Column("job", "categorical", ("clerk", "Bäcker"), missing="NA"),
  Column("paid", "numeric", bins=Bins((0.0, 20.0, 70.5), (90.0,)), form=Form(1, ",")),
  Column("size", "ordinal", ("1,5", "2,5", "3,5"), form=Form(1, ",")),
)
EVENT = EventSpec((3,), 3)
CODEC = table_codec(Table(COLUMNS, frozenset({"NA", "-"}), ";"))
X = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]], np.int32)


@pytest.fixture
def run(tmp_path):
  config = {"model": {"kind": "made up"}, "evaluation": {"batch_size": 4}, "sampling": {"batch_size": 4}}
  config["data"] = {"encoding": "latin-1"}
  record = RunRecord(config, EVENT, CODEC, "column", None, "", "", "")
  data = DataSource(EVENT, {"train": record_split(3, lambda i: batch_of(X[i]), ())}, CODEC, "column", None, "", "")
  params = jax.device_put(make_parameters(np.random.default_rng(0)))
  media = media_of(EVENT, CODEC, "column")
  return Run(mixture(3, 3), params, {}, record, media, str(tmp_path / "run"), 0, False, lambda: data)


def test_a_corrected_row_keeps_all_cells_that_are_not_changed(run, tmp_path, monkeypatch):
  def corrected(model, params, state, batch, rate, **_):
    x = np.array([[0, *batch.x[0, 1:]]])
    return Correction(x, np.ones(x.shape), x != batch.x)

  monkeypatch.setattr(spelling, "chosen", lambda *_: ("bayes",))
  monkeypatch.setattr(spelling, "correct", corrected)
  path, output = tmp_path / "a.csv", tmp_path / "b.csv"
  path.write_text("who;size;job;paid\nann;1,5;clerk;19,5\nbo;2,5;B\u00e4cker;25\n", encoding="latin-1")
  correct(run, input=str(path), index=1, output=str(output))
  assert output.read_text(encoding="utf-8") == "who;size;job;paid\nbo;2,5;clerk;25\n"
  correct(run, {"job": "B\u00e4cker", "paid": "25", "size": "2,5"}, output=str(output))
  assert output.read_text(encoding="utf-8") == "job;paid;size\nclerk;25;2,5\n"
  correct(run, split="train", index=1, output=str(output))  # of which only the categories are kept
  assert output.read_text(encoding="utf-8").startswith("job;paid;size\nclerk;")


WAYS = {
  "as trained": "job;paid;size\nclerk;19,5;1,5\nBäcker;1.020,5;2,5\n-;90;3,5\n",
  "commas and points": 'size,job,paid\n1.5,clerk,19.5\n2.5,Bäcker,"1,020.5"\n3.5,NA,90\n',
  "tabs, points": "job\tpaid\tsize\nclerk\t19.5\t1.5\nBäcker\t30\t2.5\nNA\t90.0\t3.5\n",
  "bars": "job|paid|size\nclerk|19,5|1,5\nBäcker|30|2,5\nNA|90|3,5\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_in_another_form_than_that_of_training_has_the_same_rows(way, encoding, run, tmp_path):
  path = tmp_path / "a.csv"
  path.write_bytes(WAYS[way].encode(encoding))
  found = run.media.read(str(path), encoding_for(run.record, str(path), None))
  np.testing.assert_array_equal(found.x, X)


def test_parquet_has_points_whatever_sign_the_training_file_had(run, tmp_path):
  arrow = pytest.importorskip("pyarrow")
  from pyarrow import parquet

  columns = {"job": ["clerk", "Bäcker", None], "paid": [1.125, 30.0, 90.0], "size": [1.5, 2.5, 3.5]}
  parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
  np.testing.assert_array_equal(run.media.read(str(tmp_path / "a.parquet")).x, X)


def test_what_fits_in_no_form_is_the_line_of_the_form_of_training(run, tmp_path):
  path = tmp_path / "a.csv"
  path.write_text("job,paid\nclerk,1\n")
  with pytest.raises(
    InputError, match=r"has no column 'size'; it has 'job', 'paid'\. Name all columns in its first row"
  ):
    run.media.read(str(path))
  path.write_text("job;paid;size\nclerk;1,5;1.5\n")
  with pytest.raises(InputError, match=r"column 'size' has '1.5' in line 2"):
    run.media.read(str(path))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig"])
def test_a_completed_file_keeps_separator_sign_and_byte_order_mark(way, encoding, run, tmp_path):
  path, output = tmp_path / "a.csv", tmp_path / "b.csv"
  gaps = WAYS[way].replace("90.0", "_").replace("90", "_")
  path.write_bytes(gaps.encode(encoding))
  infill(run, input=str(path), output=str(output), pictures=False)
  mark = "utf-8-sig" if encoding == "utf-8-sig" else "utf-8"
  lines, expected = output.read_bytes().decode(mark).split("\n"), WAYS[way].split("\n")
  assert not lines[0].startswith("\ufeff")
  assert lines[:3] == expected[:3]
  np.testing.assert_array_equal(run.media.read(str(output)).x[:2], X[:2])
  before, after = gaps.split("\n")[3].split("_")
  assert lines[3].startswith(before)
  assert lines[3].endswith(after)


def test_the_file_that_is_read_is_never_written(run, tmp_path):
  path = tmp_path / "a.csv"
  path.write_text(WAYS["as trained"])
  link = tmp_path / "link.csv"
  link.symlink_to(path)
  for output in (path, link, tmp_path / "run" / ".." / "a.csv"):
    (tmp_path / "run").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=r"is the file that is read, which would be lost; choose another --output"):
      infill(run, input=str(path), output=str(output), pictures=False)
  with pytest.raises(InputError, match="is the file that is read"):
    score(run, input=str(path), output=str(path))
  with pytest.raises(InputError, match="is the file that is read"):
    classify(run, input=str(path), column="job", output=str(path))
  assert path.read_text() == WAYS["as trained"]


def test_missing_cells_that_stay_are_named_and_one_word_completes_all_spellings(run, tmp_path):
  path = tmp_path / "a.csv"
  path.write_text("job;paid;size\n-;1,5;1,5\n;2;1,5\nNA;2;2,5\n")
  with pytest.raises(InputError, match=r"3 missing cells, in 'job', may be the truth.*--hole= "):
    infill(run, input=str(path), pictures=False)
  for hole in ("", "NA"):
    assert (infill(run, input=str(path), hole=hole, pictures=False).pattern.observed[:, 0] == [False] * 3).all()


def test_a_model_that_continues_names_the_row_and_the_column_of_a_hole(run, tmp_path):
  path = tmp_path / "a.csv"
  path.write_text("job;paid;size\nclerk;1,5;_\nclerk;_;1,5\n")
  prefix = run._replace(model=run.model._replace(infill=run.model.infill._replace(prefix_only=True)))
  with pytest.raises(InputError, match=r"row 2 below the names has a hole in column 'paid' before 'size'"):
    infill(prefix, input=str(path), pictures=False)


def test_a_run_of_rows_without_labels_names_the_flag_for_columns(run, tmp_path):
  with pytest.raises(InputError, match="which column to tell from the others by --column: 'job', 'paid', 'size'"):
    classify(run, [{"job": "clerk"}])


@pytest.mark.parametrize("way", ["as trained", "commas and points"])
def test_a_file_of_rows_is_parsed_once_to_be_scored(way, run, tmp_path, monkeypatch):
  """Another separator is found by reading it a second time."""
  path, opened = tmp_path / "a.csv", []
  path.write_text(WAYS[way])
  plain = table_files.read_table
  monkeypatch.setattr(table_files, "read_table", lambda *words, **more: opened.append(1) or plain(*words, **more))
  found = score(run, input=str(path), reference=0)
  assert len(opened) == (1 if way == "as trained" else 2)
  np.testing.assert_array_equal(found.bits, score(run, X, reference=0).bits)


def test_numbers_beyond_the_bins_are_said_beside_scores_and_in_the_file(run, tmp_path):
  path, output = tmp_path / "a.csv", tmp_path / "scores.jsonl"
  path.write_text("job;paid;size\nclerk;70,4;1,5\nclerk;90;1,5\nclerk;200;1,5\nclerk;-0,1;2,5\nNA;70,5;1,5\n")
  found = score(run, input=str(path), output=str(output), reference=3)
  said = describe(found)
  assert "3 examples with numbers outside the bins of the training rows" in said
  assert "example 2: paid=200 (bins: 0,0 to 70,4)" in said
  assert "beyond the bins" in said.split("\n")[0]
  rows = [json.loads(line)["beyond"] for line in output.read_text().splitlines()]
  assert [len(row) for row in rows] == [0, 0, 1, 1, 1]
  assert rows[3] == [{"column": "paid", "cell": "-0,1", "lowest": "0,0", "highest": "70,4"}]
  assert "beyond" not in describe(score(run, [{"job": "clerk", "paid": 3.5, "size": 1.5}], reference=0))
  typed = score(run, [{"job": "clerk", "paid": 300.5, "size": 1.5}], reference=0)
  assert typed.beyond[0][0].cell == "300,5"
  assert score(run, split="train", reference=0).beyond is None
