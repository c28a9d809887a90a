"""Tables compressed and made again byte by byte, whatever way they are written in; what cannot be is named."""

import csv
import functools
import gzip
import hashlib
import io
import pathlib

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.coding import container
from catgen.coding.container import Block, Kind
from catgen.data.tabular.bins import Bins
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.models import MODELS
from catgen.runs.compress import coder_of, compress, describe, identity
from catgen.runs.decompress import decompress
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from tests.contracts.parts import transformer
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
  "in several ways": text([(a, b, b)[i % 3] for i, (a, b) in enumerate(zip(rows(), TRIMMED, strict=True))])
  .replace("NA", "-", 2)
  .encode(),
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


@pytest.mark.parametrize(
  ("change", "said"),
  [
    (lambda row: [f"{row[0]} ", *row[1:]], "column 'job' has 'one ' in line 22, which the model has not"),
    (lambda row: [row[0], "99.0", "x"], "column 'paid' has '99.0' in line 22, which lies beyond the model's bins"),
    (lambda row: [row[0], "5.12", "x"], "column 'paid' has '5.12' in line 22, which the model would write '5.1'"),
    (lambda row: row[:2], "line 22 has 2 cells, not 3: 'one,"),
  ],
)
def test_the_first_cell_that_costs_a_block_the_model_is_named(change, said, tmp_path):
  table = rows()
  table[20][0] = "one"
  table[20] = change(table[20])
  (tmp_path / "a.csv").write_text(text(table), newline="")
  found = compress(run_of(tmp_path), input=str(tmp_path / "a.csv"), **ROWS)
  (odd,) = [block.odd for block in found.blocks if block.odd is not None]
  assert [block.num_symbols == 0 for block in found.blocks] == [False, True, False, False]
  assert odd.startswith(said)
  said = describe(found)
  assert f"1 of 4 blocks are deflated: 1 hold what the model does not know\nthe first that is not known: {odd}" in said


def test_a_row_in_other_quotes_is_named_and_what_the_streams_take_is_said_to_be_more(tmp_path):
  lines = text(rows()).splitlines(keepends=True)
  lines[21] = lines[21].replace(",x", ',"x"')
  (tmp_path / "a.csv").write_text("".join(lines))
  found = compress(run_of(tmp_path), input=str(tmp_path / "a.csv"), **ROWS)
  assert "line 22 has other quotes, or another line break, than most: " in describe(found)
  coded = [block for block in found.blocks if block.num_symbols]
  more = 8 * sum(block.stream_bytes for block in coded) / sum(block.model_bits for block in coded) - 1
  assert more > 0
  assert f"so that the streams are {more:.3%} larger" in describe(found)


def test_a_flipped_byte_of_a_table_is_found_and_the_other_rows_come_back(tmp_path):
  run, path, lines = run_of(tmp_path), tmp_path / "a.csv", text(rows()).splitlines(keepends=True)
  path.write_text("".join(lines))
  packed = bytearray(pathlib.Path(compress(run, input=str(path), **ROWS).output).read_bytes())
  places = [at for at in range(len(packed)) if packed[at:].startswith(container.BLOCK)]
  assert len(places) == 5
  packed[(places[1] + places[2]) // 2] ^= 16
  (tmp_path / "d.cg").write_bytes(bytes(packed))
  options = {"input": str(tmp_path / "d.cg"), "output": str(tmp_path / "rest.csv")}
  with pytest.raises(InputError, match=r"is damaged: a payload is damaged after block 0; block 1 is not there"):
    decompress(run, **options)
  assert not (tmp_path / "rest.csv").exists()
  found = decompress(run, **options, recover=True)
  assert found.exit_code == 1
  assert (tmp_path / "rest.csv").read_text() == "".join(lines[:17] + lines[33:])


def test_a_file_of_format_1_is_read(tmp_path):
  """Written here as it was then: one style for each column, and places of numbers as digits of a whole number."""
  run, table = run_of(tmp_path), [["one", "12.5", "x"], ["a, b", "3", "x"], ["NA", "90", "x"]]
  coder, path = coder_of(run, 4), tmp_path / "a.csv.cg"
  x, valid = np.array([[2, 0, 0], [0, 0, 0], [3, 2, 0], [0, 0, 0]], np.int32), np.ones((4, 3), bool)
  valid[3] = False
  left = (125 + 30 * 200).to_bytes(2, "little")  # of 200 numbers of the bin, 12.5 and 3.0
  stream = coder.encode(x, valid).words.astype("<u4").tobytes()
  about = {"kind": "table", "encoding": "utf-8", "head": b"job,paid,only\n".hex(), "separator": ","}
  about |= {"order": [0, 1, 2], "styles": ["fixed", "bare", "fixed"], "quoted": "few", "end": "\n"}
  header = {"content": about, "num_rows": 4, **identity(run, coder)}
  del header["versions"]
  with path.open("wb") as file:
    container.write_header(file, header)
    container.write_block(file, Block(0, Kind.CODED, 9, len(left).to_bytes(4, "little") + left + stream))
    container.write_block(file, Block(1, Kind.END, 0, hashlib.sha256(text(table).encode()).digest()))
  content = path.read_bytes()
  path.write_bytes(content.replace(b"catgen\x00\x02", b"catgen\x00\x01", 1))
  decompress(run, input=str(path))
  assert (tmp_path / "a.csv").read_text() == text(table)


@pytest.mark.parametrize(
  ("name", "content", "said"),
  [
    ("a.csv.gz", gzip.compress(b"job,paid,only\n", mtime=0), "is packed by gzip, .*: unpack it first \\(gunzip\\)"),
    ("a.parquet", b"PAR1" + bytes(20) + b"PAR1", "is a Parquet file, .*: write the table as CSV and give that"),
    ("a.csv.cg", b"catgen\x00\x02", "is compressed by catgen already"),
  ],
  ids=["gzip", "Parquet", "catgen"],
)
def test_a_file_that_is_packed_says_what_it_is(name, content, said, tmp_path):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(InputError, match=said):
    compress(run_of(tmp_path), input=str(tmp_path / name))


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
