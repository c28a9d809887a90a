"""The documentation inside this Python as files: held-out text by models of catgen and by other compressors.

  pip install -e ".[compress,rivals]"
  python -m launch.train --config=quickstart_autoregressive --workdir=runs/autoregressive
  python -m launch.train --config=quickstart_absorbing --workdir=runs/absorbing
  python -m benchmarks.compression --models=runs/autoregressive --models=runs/absorbing \\
    --models=pretrained/text-autoregressive
  python -m benchmarks.compression --text=text8_head --size=1000000 --output=outputs/megabyte   # a megabyte of text

The file is the test split of configs/quickstart.py, or the end of --text, whose characters are text8's 27. Every file
that is counted was decoded again and found equal. The models have learned the training split of it, or other text,
and are not counted in the bytes; so other compressors are also given the training split first, where they can take
what they need from it without paying for it: as a dictionary, or by compressing it in front of the file and
subtracting what it takes alone. What is finished is kept, a file for each compressor, so that the same command goes
on where it was stopped.
"""

import bz2
import gzip
import importlib
import json
import lzma
import pathlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.subjects import describe_machine
from catgen.config import make_source
from catgen.data import get_split
from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.runs.command import Command
from catgen.runs.compress import Compressed, compress
from catgen.runs.decompress import decompress
from catgen.runs.load import load
from catgen.trees import leaves
from launch import cli

DATA = {"kind": "stdlib_docs", "length": 64}  # as configs/quickstart.py has it
_ORDER, _MEMORY = 6, 2**26  # of PPMd
_XZ = lzma.PRESET_EXTREME | 9


class Packer(NamedTuple):
  """A compressor of bytes."""

  pack: Callable[[bytes], bytes]
  unpack: Callable[[bytes], bytes]


class Compression(NamedTuple):
  """Sizes of one text, and of what it was."""

  records: list[dict[str, Any]]
  num_bytes: int
  heading: str


def compression(
  *,
  models: Sequence[str] = ("pretrained/text-autoregressive",),
  text: str | None = None,
  size: int | None = None,
  num_rows: int = 256,
  output: str = "outputs/compression",
  say: Callable[[str], None] = print,
) -> Compression:
  """Compresses the text by every model and every other compressor that is installed.

  Args:
    models: work directories, or models of the package; may be repeated.
    text: a file in the place of the test split; other compressors then have the training split in front of it as well.
    size: so many bytes from the end of the text, which is the part that models hold out; default: all of it.
    num_rows: examples of a block.
    output: folder for the text, its compressed files and the records.
    say: receives a line for each compressor.
  """
  folder = pathlib.Path(output)
  folder.mkdir(parents=True, exist_ok=True)
  train = text_of("train")
  content = ending(text_of("test") if text is None else pathlib.Path(text).read_bytes(), size)
  (folder / "test.txt").write_bytes(content)
  records = []

  def kept(name: str, measure: Callable[[], dict[str, Any]]) -> None:
    path = folder / f"{re.sub('[^a-z0-9]+', '_', name.lower())}.json"
    if not path.exists():
      say(name)
      record = {"name": name, **measure(), "machine": describe_machine()}
      path.write_text(json.dumps(record, indent=1))
    records.append(json.loads(path.read_text()))

  for name, packer in packers().items():
    kept(name, lambda packer=packer: _packed(packer, content))
    kept(f"{name}, after the training split", lambda packer=packer: _packed(packer, content, train))
  for model in models:
    kept(model, lambda model=model: _coded(model, str(folder / "test.txt"), num_rows))
  (folder / "results.json").write_text(json.dumps(records, indent=1))
  return Compression(
    records, len(content), f"{len(content):,} characters, {len(train):,} of training; {describe_machine()}"
  )


def text_of(split: str) -> bytes:
  """Returns the text of a split, its sequences one after the other."""
  source = make_source(DATA)
  found = get_split(source, split)
  x = found.examples(np.arange(found.num_examples)).x
  return str(source.codec.decode(x.reshape(-1))).encode()


def ending(text: bytes, size: int | None) -> bytes:
  """Returns so many bytes from the end of a text. Raises InputError where it has fewer."""
  if size is not None and not 0 < size <= len(text):
    raise InputError(f"--size is {size}; the text has {len(text)} bytes, give --text with more, or 1 to {len(text)}")
  return text if size is None else text[-size:]


def packers() -> dict[str, Packer]:
  """Returns what compresses bytes here. Raises InputError where a package of the extra `rivals` is missing."""
  try:
    zstandard, pyppmd = importlib.import_module("zstandard"), importlib.import_module("pyppmd")
  except ImportError as error:
    raise InputError(f"{error}: pip install zstandard pyppmd") from error
  return {
    "gzip -9": Packer(lambda raw: gzip.compress(raw, 9), gzip.decompress),
    "bzip2 -9": Packer(lambda raw: bz2.compress(raw, 9), bz2.decompress),
    "xz -9e": Packer(lambda raw: lzma.compress(raw, preset=_XZ), lzma.decompress),
    "zstd -22": Packer(
      lambda raw: zstandard.ZstdCompressor(level=22).compress(raw),
      lambda raw: zstandard.ZstdDecompressor().decompress(raw),
    ),
    "PPMd (variant H), order 6": Packer(partial(_ppmd, pyppmd), partial(_ppmd_back, pyppmd)),
  }


def _ppmd(pyppmd: Any, raw: bytes) -> bytes:
  encoder = pyppmd.Ppmd7Encoder(_ORDER, _MEMORY)
  return len(raw).to_bytes(4, "little") + encoder.encode(raw) + encoder.flush()


def _ppmd_back(pyppmd: Any, packed: bytes) -> bytes:
  return pyppmd.Ppmd7Decoder(_ORDER, _MEMORY).decode(packed[4:], int.from_bytes(packed[:4], "little"))


def _packed(packer: Packer, text: bytes, before: bytes = b"") -> dict[str, Any]:
  """Returns the bytes of a text, less those of what stands before it."""
  alone = len(packer.pack(before)) if before else 0
  started = time.perf_counter()
  packed = packer.pack(before + text)
  middle = time.perf_counter()
  if packer.unpack(packed) != before + text:
    raise ValueError("what was unpacked is something else")
  return {
    "bytes": len(packed) - alone,
    "pack_seconds": middle - started,
    "unpack_seconds": time.perf_counter() - middle,
  }


def _coded(model: str, path: str, num_rows: int) -> dict[str, Any]:
  """Returns the bytes of a text by a model, which is decompressed again."""
  run = load(model)
  packed, again = f"{path}.{pathlib.Path(model).name}.cg", f"{path}.again"
  found = compress(run, input=path, output=packed, num_rows=num_rows)
  back = decompress(run, input=packed, output=again)
  if pathlib.Path(again).read_bytes() != pathlib.Path(path).read_bytes():
    raise ValueError("what was decompressed is something else")
  sizes = [leaf for _, leaf in leaves(run.params)]
  return {
    "bytes": found.num_compressed,
    "alone_bytes": alone_bytes(found),
    "stream_bytes": sum(block.stream_bytes for block in found.blocks),
    "model_bits": sum(block.model_bits for block in found.blocks),
    "parameters": sum(leaf.size for leaf in sizes),
    "model_bytes": sum(leaf.size * jax.numpy.asarray(leaf).dtype.itemsize for leaf in sizes),
    "step": run.step,
    "config": run.record.config["model"],
    "pack_seconds": found.seconds,
    "unpack_seconds": back.seconds,
  }


def alone_bytes(found: Compressed) -> int | None:
  """Returns what the file would take if no block were deflated; None where the model does not know all of it."""
  if any(block.tried is None for block in found.blocks):
    return None
  taken = sum(block.stream_bytes or block.stored_bytes for block in found.blocks)
  return found.num_compressed - taken + sum(block.tried or 0 for block in found.blocks)


def describe(found: Compression) -> str:
  """Returns the table, fewest bytes first; of catgen's models also what their streams alone would take."""
  rows = []
  for each in sorted(found.records, key=lambda each: each["bytes"]):
    size = f"{each['parameters']:,} ({each['model_bytes'] / 1e6:.1f} MB)" if "parameters" in each else ""
    bits = 8 * each["bytes"] / found.num_bytes
    seconds = [f"{each[key]:.2f}" for key in ("pack_seconds", "unpack_seconds")]
    alone = f"{each['alone_bytes']:,}" if each.get("alone_bytes") is not None else ""
    rows.append([each["name"], f"{each['bytes']:,}", f"{bits:.3f}", alone, size, *seconds])
  header = ["compressor", "bytes", "bits per character", "no block deflated", "parameters", "s to compress", "s back"]
  return f"{found.heading}\n{terminal.table(header, rows)}"


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(compression, describe)))
