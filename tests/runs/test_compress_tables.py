"""Tables compressed and made again byte by byte, whatever way they are written in; what cannot be is named."""

import csv
import functools
import io

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.models import MODELS
from catgen.runs.compress import compress, describe
from catgen.runs.decompress import decompress
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from tests.contracts.families import transformer
from tests.parameters import filled

COLUMNS = (
  Column("job", "categorical", ("a, b", "größer", "one"), missing="NA"),
  Column("paid", "numeric", bins=Bins((0.0, 20.0, 70.0), (90.0,)), form=Form(1)),
  Column("only", "categorical", ("x",)),
)
SIZES = tuple(column.size for column in COLUMNS)
EVENT = EventSpec((3,), max(SIZES), sizes=SIZES)
ROWS = {"num_rows": 16}


@functools.cache
def model_of():
  model = MODELS["autoregressive"].make(event=EVENT, network=transformer())
  shapes, _ = jax.eval_shape(model.init, batch_of(np.zeros((1, 3), np.int32)), jax.random.key(0))
  return model, jax.device_put(filled(shapes)), {}


def run_of(tmp_path, columns=COLUMNS) -> Run:
  codec = table_codec(Table(columns, frozenset({"NA", "-"})))
  model, params, state = model_of()
  record = RunRecord({"model": {"kind": "autoregressive"}}, EVENT, codec, "column", None, "f" * 64, "made up", "a1")
  return Run(model, params, state, record, media_of(EVENT, codec, "column"), str(tmp_path), 1, False, None)


def rows(number=64):
  rng = np.random.default_rng(0)
  jobs, paid = rng.choice(["a, b", "größer", "one", "NA"], number), rng.integers(0, 699, number) / 10
  return [
    [job, f"{90.0 if i % 5 == 0 else value:.1f}", "x"] for i, (job, value) in enumerate(zip(jobs, paid, strict=True))
  ]


def text(table, names=("job", "paid", "only"), **options) -> str:
  file = io.StringIO()
  csv.writer(file, **{"lineterminator": "\n", **options}).writerows([names, *table])
  return file.getvalue()


TRIMMED = [[job, paid.removesuffix(".0"), x] for job, paid, x in rows()]
WAYS = {
  "plain": text(rows()).encode(),
  "of Windows": text(rows(), lineterminator="\r\n").encode("cp1252"),
  "all in quotes": text(rows(), quoting=csv.QUOTE_ALL).encode("utf-8-sig"),
  "another order": text([row[::-1] for row in rows()], ("only", "paid", "job")).encode(),
  "few decimals": text(TRIMMED).encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_comes_back_byte_by_byte_in_the_way_that_it_was_written(way, tmp_path):
  run, path = run_of(tmp_path), tmp_path / "a.csv"
  path.write_bytes(WAYS[way])
  encoding = {"encoding": "cp1252"} if way == "of Windows" else {}
  found = compress(run, input=str(path), **ROWS, **encoding)
  assert [bool(size.num_symbols) for size in found.blocks] == [True] * 4
  assert all(8 * size.stream_bytes <= size.model_bits * 1.001 + 64 + 32 for size in found.blocks)
  assert "192 columns in" in describe(found)
  decompress(run, input=found.output, output=str(tmp_path / "b.csv"))
  assert (tmp_path / "b.csv").read_bytes() == WAYS[way]


@pytest.mark.parametrize(
  "change",
  [
    lambda s: s.replace("one", "ONE", 1),  # no category
    lambda s: s.replace("NA", "-", 1),  # another word for nothing
    lambda s: s.replace("90.0", "90.00", 1),
    lambda s: s.replace("90.0", "99.0", 1),  # beyond the bins
    lambda s: s[:-1],  # no line break at the end
    lambda s: s + "\n\n",
    lambda s: s.replace(",x\n", ",x,\n", 1),
    lambda s: s + '"',
    lambda s: s.replace("\n", "\r\n", 3),
    lambda s: s[: s.index("\n") + 1],  # no rows
  ],
)
def test_blocks_that_are_written_in_another_way_are_stored(change, tmp_path):
  run, content = run_of(tmp_path), change(text(rows())).encode()
  (tmp_path / "a.csv").write_bytes(content)
  found = compress(run, input=str(tmp_path / "a.csv"), **ROWS)
  assert sum(not size.num_symbols for size in found.blocks) <= 2
  decompress(run, input=found.output, output=str(tmp_path / "b.csv"))
  assert (tmp_path / "b.csv").read_bytes() == content


def test_the_first_row_that_costs_a_block_the_model_is_told(tmp_path):
  table = rows()
  table[20][0] += " "  # a blank that nobody sees
  (tmp_path / "a.csv").write_text(text(table))
  found = compress(run_of(tmp_path), input=str(tmp_path / "a.csv"), **ROWS)
  assert [block.odd for block in found.blocks] == [None, text(table).splitlines(keepends=True)[21], None, None]
  assert f"the first row that has other values, or is written in another way: {found.blocks[1].odd!r}" in describe(
    found
  )


def test_tables_of_other_columns_and_numbers_that_cannot_be_made_again_are_one_line(tmp_path):
  path = tmp_path / "a.csv"
  path.write_text("job,paid,only,id\na,1,x,1\n")
  with pytest.raises(InputError, match=r"a.csv has column 'id', which the model has not; a table of the columns job"):
    compress(run_of(tmp_path), input=str(path))
  path.write_text("job,paid\na,1\n")
  with pytest.raises(InputError, match="lacks columns of the model"):
    compress(run_of(tmp_path), input=str(path))
  path.write_bytes("job,paid,only\ngrößer,1,x\n".encode("latin-1"))
  with pytest.raises(InputError, match="the text is not in utf-8"):
    compress(run_of(tmp_path), input=str(path))
  lossy = (COLUMNS[0], COLUMNS[1]._replace(form=Form(None)), COLUMNS[2])
  with pytest.raises(InputError, match="numbers of 'paid' have any digits or an exponent"):
    compress(run_of(tmp_path, lossy), input=str(path))
  assert not (tmp_path / "a.csv.cg").exists()
