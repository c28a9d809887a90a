"""Every reader of bytes that come from outside, as a function of bytes, with contents that it takes.

Each takes a content of any kind, and a folder of its own to put it in, and returns, or raises InputError.
"""

import bz2
import functools
import gzip
import json
import lzma
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from catgen.config import load_config
from catgen.config.arguments import arguments_of, split_overrides
from catgen.config.overrides import apply_overrides
from catgen.data import from_spec, tokens
from catgen.data.category_table import make_table
from catgen.data.label_images import read_png, read_png_colors
from catgen.data.labels import load_labels
from catgen.data.map_folders import labels_of_files
from catgen.data.sets.array_file import array_file
from catgen.data.sets.fasta import fasta
from catgen.data.sets.table_file import table_file
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_folder import text_folder
from catgen.data.sets.text_lines import text_lines
from catgen.data.sets.text_table import text_table
from catgen.data.tables import read_rows
from catgen.data.tabular.cells import Form
from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.data.tabular.schema import read_schema
from catgen.evaluation import comparison, infilling
from catgen.evaluation.results import check_has, read_results
from catgen.files import from_json
from catgen.given import label_numbers
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.reporting import writers
from catgen.runs import exported, lock
from catgen.runs.compare import NEEDED
from catgen.runs.initial import split_step
from catgen.runs.partial import Partial
from catgen.runs.record import RunRecord, check_definition, definition, read_record, write_record
from catgen.runs.sample import sample
from catgen.runs.tensors import packed, unpacked
from catgen.sources import Attribute
from catgen.training import nonfinite, ranking
from launch.parsing import parse
from tests.rough.damage import evaluated
from tests.rough.shelf import MAPS, npy, npz, png

SPLITS = (1.0, 0.0, 0.0)
ALPHABET = from_spec({"kind": "alphabet", "alphabet": " acehmnost"})
TEXT = media_of(EventSpec((16,), 10), ALPHABET, "character")
BYTES = media_of(EventSpec((16,), 256), from_spec({"kind": "bytes"}), "byte")
VALUES = media_of(EventSpec((8, 8), 3), from_spec({"kind": "integers", "num_classes": 3, "shape": [8, 8]}), "pixel")
COLUMNS = (Column("a", "ordinal", ("1", "2"), form=Form(0), missing=""), Column("b", "categorical", ("x",), missing=""))
ROWS = media_of(EventSpec((2,), 3, sizes=(3, 2)), table_codec(Table(COLUMNS, frozenset())), "column")
ATTRIBUTES = (Attribute("color", ("red", "green")),)
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-32-be", "latin-1", "cp1252", "utf-7", "shift_jis", "unicode_escape")
TOKENIZER = {
  "version": "1.0",
  "truncation": None,
  "padding": None,
  "added_tokens": [],
  "normalizer": None,
  "pre_tokenizer": None,
  "post_processor": None,
  "decoder": None,
  "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"},
}


class Reader(NamedTuple):
  """A reader and contents that it takes."""

  read: Callable[[bytes, pathlib.Path], Any]
  contents: tuple[bytes, ...]


def at(name: str, read: Callable[[str], Any]) -> Callable[[bytes, pathlib.Path], Any]:
  """Returns a reader of the path of a file."""

  def read_file(content: bytes, folder: pathlib.Path) -> Any:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return read(str(folder / name))

  return read_file


def inside(name: str, read: Callable[[pathlib.Path], Any]) -> Callable[[bytes, pathlib.Path], Any]:
  """Returns a reader of the folder that holds a file."""

  def read_folder(content: bytes, folder: pathlib.Path) -> Any:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return read(folder)

  return read_folder


def typed(read: Callable[[str], Any]) -> Callable[[bytes, pathlib.Path], Any]:
  """Returns a reader of what is typed: no word of a command line holds a zero."""
  return lambda content, _: read(content.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


def _record() -> RunRecord:
  config = load_config("quickstart").values
  return RunRecord(config, EventSpec((16,), 10), ALPHABET, "character", 1.0, "f" * 64, "letters", "a1b2")


def _config_json(folder: pathlib.Path) -> bytes:
  write_record(str(folder), _record())
  return (folder / "config.json").read_bytes()


def _definition(content: bytes, folder: pathlib.Path) -> None:
  try:
    stored = from_json(content)
  except ValueError:
    return
  if isinstance(stored, dict):
    check_definition(_record(), stored, 3, str(folder))


def _results_compared(folder: pathlib.Path) -> Any:
  content = (folder / "results.json").read_bytes()
  evaluated()(folder)
  (folder / "results.json").write_bytes(content)
  return _compared(folder)


def _compared(folder: pathlib.Path) -> Any:
  found = list(comparison.read_evaluations(folder, split="test").values())
  for one in found:
    check_has(one.record, NEEDED, folder)
  return [(comparison.summarize([one]), comparison.difference([one], found[:1])) for one in found]


def _scores(content: bytes, folder: pathlib.Path) -> Any:
  evaluated(content)(folder)
  return _compared(folder)


def _reopened(folder: pathlib.Path) -> None:
  writers.open_writers(folder, 3, tensorboard=False, say=str).close()


def _partial(content: bytes, folder: pathlib.Path) -> Any:
  partial = Partial(folder, {})
  path = pathlib.Path(partial.path)
  path.parent.mkdir(exist_ok=True)
  path.write_bytes(content)
  return partial.load()


def _read_holes(path: str) -> Any:
  assert VALUES.read_holes is not None
  return VALUES.read(path), VALUES.read_holes(path)


def _rows(path: str) -> Any:
  assert ROWS.read_holes is not None
  return ROWS.read_holes(path), ROWS.read(path)


def _override(text: str) -> Any:
  _, changes = split_overrides(text.split("\n"), "config")
  return apply_overrides({"data": {"kind": "text_file", "path": "a"}, "model": {"kind": "diffusion"}}, changes)


def _words(text: str) -> Any:
  words, _ = split_overrides(text.split("\n"), "config")
  return parse(arguments_of(sample, leave_out=("progress", "say")), words)


def _in_any_encoding(content: bytes, folder: pathlib.Path) -> Any:
  (folder / "a.txt").write_bytes(content[1:])
  encoding = ENCODINGS[(content or b"\0")[0] % len(ENCODINGS)]
  return text_file(str(folder / "a.txt"), length=2, splits=SPLITS, encoding=encoding)


def _pattern(text: str) -> Any:
  assert TEXT.parse is not None
  assert BYTES.parse is not None
  return TEXT.parse(text, hole="_", pad=True), BYTES.parse(text, hole="_", pad=True)


@functools.cache
def readers() -> dict[str, Reader]:
  """Returns all readers by their names."""
  with tempfile.TemporaryDirectory() as folder:
    return _readers(pathlib.Path(folder))


def _readers(folder: pathlib.Path) -> dict[str, Reader]:
  lines, table = b"the cat\nsat on\n" * 3, b'text,label\n"the cat",a\nsat,b\n'
  scores = npz(nats=np.zeros((4, 3)), numbers=np.arange(3), positions=np.full(3, 16))
  part = {"0.numbers": np.arange(3), "0.positions": np.ones(3, int), "0.nats": np.zeros((1, 3))}
  owner = dict.fromkeys(("host", "started", "boot", "born", "token"), "a")
  evaluated()(folder)
  array = {"splits": SPLITS}
  return {
    "config.json": Reader(inside("config.json", lambda path: read_record(str(path))), (_config_json(folder),)),
    "run of a checkpoint": Reader(_definition, (json.dumps(definition(_record())).encode(),)),
    "metrics of a checkpoint": Reader(
      inside("3/metrics/metrics", lambda path: ranking.best_step(str(path), [3], "bits")), (b'{"bits": 2.5}',)
    ),
    "metrics.jsonl": Reader(
      at("metrics.jsonl", writers.read_metrics), (b'{"step": 3, "train/bits": 2.5}\n{"step": 4, "valid/bits": null}\n',)
    ),
    "metrics.jsonl, gone on with": Reader(inside("metrics.jsonl", _reopened), (b'{"step": 3}\n{"step": 4}\n',)),
    "results.json": Reader(inside("results.json", read_results), ((folder / "results.json").read_bytes(),)),
    "results.json, compared": Reader(
      inside("results.json", _results_compared), ((folder / "results.json").read_bytes(),)
    ),
    "scores": Reader(_scores, (scores,)),
    "unfinished scores": Reader(_partial, (npz(count=1, **part),)),
    "model.safetensors": Reader(
      lambda content, _: unpacked(content), (packed({"layers/0/a": np.ones((2, 3), np.float32)}, {}),)
    ),
    "SHA256SUMS": Reader(
      inside("SHA256SUMS", lambda path: exported.sums_of(str(path))), (exported.sealed({"a": b"", "b": b"x"}),)
    ),
    "lock.json": Reader(inside("lock.json", lock.owner_of), (json.dumps({**owner, "pid": 3}).encode(),)),
    "nonfinite": Reader(
      inside("nonfinite/3/metrics.json", lambda path: nonfinite.skipped_steps(str(path), before=9)),
      (b'{"step": 3, "skipped": true}',),
    ),
    "arrays": Reader(at("a.npy", lambda path: array_file(path, **array)), (npy(MAPS), npy(MAPS.astype(">i8")))),
    "archives": Reader(at("a.npz", lambda path: array_file(path, **array)), (npz(train=MAPS), npz(x=MAPS))),
    "labels of archives": Reader(at("a.npz", load_labels), (npz(x=MAPS, given=np.arange(40)),)),
    "pictures": Reader(lambda content, _: read_png(content, "a.png"), (png(MAPS[0]),)),
    "pictures in colors": Reader(
      lambda content, _: read_png_colors(content, "a.png"), (png(MAPS[0]), png(np.zeros((4, 4, 3), np.uint8)))
    ),
    "text in any encoding": Reader(
      _in_any_encoding, (b"\0the cat", b"\1\xff\xfet\0h\0e\0", b"\6+AGE-b", b"\7\x82\xa0ab")
    ),
    "packed text": Reader(
      at("a.txt.gz", lambda path: text_file(path, length=2, splits=SPLITS)), (gzip.compress(lines),)
    ),
    "text packed by xz": Reader(
      at("a.xz", lambda path: text_file(path, length=2, splits=SPLITS)), (lzma.compress(lines),)
    ),
    "text packed by bz2": Reader(
      at("a.bz2", lambda path: text_file(path, length=2, splits=SPLITS)), (bz2.compress(lines),)
    ),
    "lines": Reader(at("a.txt", lambda path: text_lines(path, length=9, splits=SPLITS, longer="windows")), (lines,)),
    "lines with labels": Reader(
      at("a.txt", lambda path: text_lines(path, splits=SPLITS, label_column=0, end=True)), (b"a\tthe\nb\tcat\n",)
    ),
    "documents": Reader(
      at("books/a.txt", lambda path: text_folder(str(pathlib.Path(path).parent), 4, splits=SPLITS)), (lines,)
    ),
    "rows": Reader(at("a.csv", lambda path: text_table(path, labels=["label"], splits=SPLITS)), (table,)),
    "rows without names": Reader(
      at("a.tsv", lambda path: text_table(path, "0", ["-1"], splits=SPLITS, alphabet="bytes")), (b"the\ta\ncat\tb\n",)
    ),
    "tables of all columns": Reader(
      at("a.csv", lambda path: table_file(path, splits=SPLITS, unknown="other", labels=["label"])),
      (table, b'a;label;c\n1,5;x;2020-01-31\n;"y\nz";31.01.2020\n'),
    ),
    "schemas of tables": Reader(
      at("a.json", read_schema),
      (b'{"columns": [{"name": "a", "kind": "numeric", "edges": [0, 1.5], "points": [], "decimals": 1}]}',),
    ),
    "rows of tables": Reader(at("a.csv", _rows), (b"a,b\n1,x\n2,\n",)),
    "JSON lines of rows": Reader(at("a.jsonl", _rows), (b'{"a": 1, "b": "x"}\n{"a": null}\n',)),
    "objects": Reader(
      at("a.jsonl", lambda path: text_table(path, labels=["label"], splits=SPLITS)),
      (b'{"text": "the", "label": 1}\n{"text": "cat"}\n',),
    ),
    "sequences": Reader(
      at("a.fasta", lambda path: fasta(path, splits=SPLITS, case="upper")), (b">a b\nACGT\nac\n>c\nGG\n",)
    ),
    "tokenizers": Reader(
      lambda content, _: tokens.num_tokens(content.decode("utf-8", "replace")), (json.dumps(TOKENIZER).encode(),)
    ),
    "tables": Reader(
      at("a.csv", lambda path: read_rows(path, "table", (2, 4))), (b'sep=;\na;1\n"b";2\n', b"a,b,c,d\n")
    ),
    "JSON tables": Reader(at("a.json", lambda path: read_rows(path, "table")), (b'{"1": 0, "2": "a"}',)),
    "labels of maps": Reader(
      at("a.csv", lambda path: labels_of_files("maps", {"": ["maps/a.png", "maps/b/c.png"]}, path)),
      (b"a.png,red\nb/c.png,\n",),
    ),
    "mappings": Reader(
      typed(lambda text: make_table(text, None, None)), (b"7:0 8:1 9:ignore other:2", b"#804080:0 #f423e8:1")
    ),
    "tables of mappings": Reader(
      at("a.csv", lambda path: make_table(path, None, None)), (b"r,g,b,name\n1,2,3,a\n4,5,6,b\n", b"1;0\n2;ignore\n")
    ),
    "overrides": Reader(
      typed(_override),
      (b"--config.training.num_steps=3\n--config.data.splits=(1,2,3)", b"--config.model.process=absorbing"),
    ),
    "words": Reader(typed(_words), (b"--num_samples=3\n--temperature=0.5\n--chain\n--given=a=b",)),
    "regions": Reader(typed(lambda text: infilling.parse_regions([text], (8, 8))), (b"1,2,3,4",)),
    "patterns": Reader(typed(_pattern), (b"the ___t",)),
    "labels": Reader(typed(lambda text: label_numbers(ATTRIBUTES, [text])), (b"color=red",)),
    "forbidden categories": Reader(typed(lambda text: (TEXT.named(text), VALUES.named(text))), (b"1, 2",)),
    "places of checkpoints": Reader(typed(split_step), (b"runs/a@3",)),
    "lines of samples": Reader(at("a.txt", TEXT.read), (lines,)),
    "JSON lines of samples": Reader(
      at("a.jsonl", TEXT.read), (b'{"text": "the cat"}\n{"categories": [1, -1, 2]}\n', b'{"text": "\\ud83d\\ude42"}')
    ),
    "JSON lines of bytes": Reader(at("a.jsonl", BYTES.read), (b'{"text": "\\u00e9"}\n{"categories": [255]}\n',)),
    "arrays of samples": Reader(at("a.npy", TEXT.read), (npy(np.zeros((2, 16), np.int32)),)),
    "maps of samples": Reader(at("a.npy", _read_holes), (npy(MAPS), npy(-MAPS[0].astype(np.int8)))),
  }


def answered(reader: Reader, content: bytes, folder: pathlib.Path) -> str | None:
  """Returns the line in which a content is refused, None where it is taken; any other exception passes."""
  try:
    reader.read(content, folder)
  except InputError as error:
    return str(error)
  return None
