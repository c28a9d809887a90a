"""Files in as many bits as a model needs for them."""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import math
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from catgen import __version__, files
from catgen.coding import container
from catgen.coding.container import Block, Kind
from catgen.coding.content import Content, Part, about, check_plain, joined
from catgen.coding.symbols import Coder
from catgen.interfaces import EventSpec, InputError
from catgen.paths import size_of
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.kept import digest_of
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.runs.record import RunRecord, definition
from catgen.runs.table_content import TableContent, about_table, is_table, table_content

ENDING = ".cg"


class BlockSizes(NamedTuple):
  """What a block took."""

  num_bytes: int  # of the content
  num_symbols: int  # that the model coded; 0 where the block is stored
  model_bits: float  # -log2 of the probability of these, and what they leave open of the cells of a table
  stream_bytes: int  # of the stream that holds them
  odd: str | None = None  # what of a table the block is stored for, with line, column and cell
  stored_bytes: int = 0  # deflated, of a block that is stored
  tried: int | None = None  # bytes of the model's stream whether or not it was taken; None: it could make none


class Compressed(NamedTuple):
  """A file that was compressed, decoded again, and found equal."""

  output: str
  num_bytes: int  # of the content
  num_compressed: int
  blocks: tuple[BlockSizes, ...]
  seconds: float
  unit: str  # what a symbol is
  rivals: dict[str, int]  # bytes by other compressors


def compress(
  run: Run,
  *,
  input: str | None = None,
  output: str | None = None,
  encoding: str | None = None,
  num_rows: int = 256,
  compare: bool = False,
  progress: OpenProgress = no_progress,
) -> Compressed:
  """Compresses a file by a model's exact probabilities of one position after another; decodes it again to be sure.

  Args:
    run: an autoregressive model, or a masked one, which is read from left to right.
    input: a text, any file for a model of bytes, a .npy file of integers for a model of arrays, or a text of cells for
      a model of tables, with the same columns in any order.
    output: where to; default: the name of --input and .cg.
    encoding: of a text: "utf-8", "latin-1", "cp1252" ...; default: UTF-8 where the file is, else that of the run's
      data.
    num_rows: examples that are coded at the same time, in a block: more are faster, and lose more where one is damaged.
      A small file, which has fewer of them, is coded by about as many as it has.
    compare: also say what gzip, bzip2 and xz make of the file.
    progress: opens the bar.

  Raises:
    InputError: the model has no such probabilities, or the file does not fit it.
  """
  if input is None:
    raise InputError("--input is not set; give the file to compress")
  if num_rows < 1:
    raise InputError(f"--num_rows is {num_rows}; give at least 1")
  output, started = output or f"{input}{ENDING}", time.monotonic()
  files.check_apart(output, input)
  encoding = encoding_for(run.record, input, encoding)
  with opened(input) as file:
    check_plain(file, run.record.codec, input)
    if is_table(run.record.codec):
      what = about_table(file, run.record.codec, encoding, input)
    else:
      what = about(file, run.record.codec, run.model.event, encoding, input)
  files.check_writable(output)
  num_bytes = size_of(input)
  num_rows = _enough(num_rows, num_bytes, run.model.event)
  content = content_of(what, run.record, num_rows)
  coder = coder_of(run, num_rows)
  digest, sizes = hashlib.sha256(content.begin()), []
  with (
    opened(input) as file,
    files.replacing(output, remedy="choose another --output") as target,
    closing(progress(max(1, num_bytes), unit="byte", title="compress")) as bar,
  ):
    written = container.write_header(target, {"content": what, "num_rows": num_rows, **identity(run, coder)})
    for number, part in enumerate(content.parts(file)):
      digest.update(part.raw)
      block, size = _block(coder, part, number)
      written += container.write_block(target, block)
      sizes.append(size)
      bar.update(size.num_bytes)
    _check_same(input, digest.digest())
    written += container.write_block(target, Block(len(sizes), Kind.END, 0, digest.digest()))
  return Compressed(
    output=output,
    num_bytes=len(content.begin()) + sum(size.num_bytes for size in sizes),
    num_compressed=written,
    blocks=tuple(sizes),
    seconds=time.monotonic() - started,
    unit=run.record.position,
    rivals=_rivals(input) if compare else {},
  )


def describe(compressed: Compressed) -> str:
  """Returns sizes, and what they are beside the model's own bits."""
  found, blocks = compressed, compressed.blocks
  symbols, bits = sum(each.num_symbols for each in blocks), sum(each.model_bits for each in blocks)
  stored = sum(not each.num_symbols for each in blocks)
  share = f" ({_share(found.num_compressed, found)})" if found.num_bytes else ""
  lines = [f"{found.num_bytes:,} bytes -> {found.num_compressed:,} bytes{share}, {found.output}"]
  if symbols:
    stream = 8 * sum(each.stream_bytes for each in blocks)
    lines.append(
      f"{symbols:,} {found.unit}s in {stream / symbols:.4f} bits each; the model needs {bits / symbols:.4f}, so that"
      f" the streams are {stream / bits - 1:.3%} larger"
    )
  if stored:
    unknown = sum(not each.num_symbols and each.tried is None for each in blocks)
    why = [f"{unknown:,} hold what the model does not know"] if unknown else []
    why += [f"{stored - unknown:,} are smaller so than by the model"] if stored > unknown else []
    lines.append(f"{stored:,} of {len(blocks):,} blocks are deflated: {', '.join(why)}")
    odd = next((each.odd for each in blocks if each.odd is not None), None)
    if odd is not None:
      lines.append(f"the first that is not known: {odd}")
  rows = [[name, f"{size:,}", _share(size, found)] for name, size in found.rivals.items()]
  lines += [terminal.table(["beside it", "bytes", "of the file"], rows)] if rows else []
  lines.append(f"decoded again and found equal; {found.seconds:.1f} s in all. The model itself is not counted.")
  return "\n".join(lines)


def _share(size: int, found: Compressed) -> str:
  """Returns what so many bytes are of the file; nothing of an empty one."""
  return f"{size / found.num_bytes:.1%}" if found.num_bytes else ""


def _enough(num_rows: int, num_bytes: int, event: EventSpec) -> int:
  """Returns how many rows hold a file of so many bytes: a power of two, or as many as are asked where that is less.

  No symbol has less than a byte, but that the last line of a table may lack its end.
  """
  most = num_bytes // math.prod(event.shape) + 1
  return min(num_rows, 1 << (most - 1).bit_length())


def content_of(about: dict[str, Any], record: RunRecord, num_rows: int) -> Content | TableContent:
  """Returns how a file is cut into examples, of which a header says so much."""
  if is_table(record.codec):
    return table_content(about, record.codec, num_rows)
  return Content(about, record.codec, record.event, num_rows)


def coder_of(run: Run, num_rows: int) -> Coder:
  """Returns the coder of a run. Raises InputError where several processes share it, or it cannot code."""
  if jax.process_count() > 1:
    raise InputError("compression works in one process; start it without --coordinator, on one host")
  return Coder(run.model, run.params, run.state, num_rows)


def identity(run: Run, coder: Coder) -> dict[str, Any]:
  """Returns what decoding needs to be the same: the model, and the last digits of its probabilities."""
  digest = digest_of(definition(run.record), {"params": run.params, "state": run.state})
  shape = (coder.num_rows, *run.model.event.shape)
  sizes = np.array(run.model.event.sizes or run.model.event.num_classes)
  drawn = np.random.default_rng(0).random((coder.num_rows, coder.num_positions))
  probe = coder.encode(np.floor(drawn * sizes).astype(np.int32).reshape(shape), np.ones(shape, bool))
  device = jax.devices()[0]
  return {
    "model": digest,
    "step": run.step,
    "versions": {"catgen": __version__, "constriction": version("constriction")},
    "machine": f"jax {version('jax')}, jaxlib {version('jaxlib')}, {len(jax.devices())} x {device.device_kind}",
    "probe": hashlib.sha256(probe.words.tobytes()).hexdigest(),
  }


def _block(coder: Coder, part: Part, number: int) -> tuple[Block, BlockSizes]:
  """Returns a part as a block: by the model where that decodes to the same, and is less than the part deflated."""
  stored, tried = zlib.compress(part.raw, 9), None
  if part.x is not None and part.valid is not None:
    coded = coder.encode(part.x, part.valid)
    stream = joined(part.left, coded.words.astype("<u4").tobytes())
    if len(stream) < len(stored) and np.array_equal(coder.decode(coded.words, part.valid), part.x):
      bits = coded.bits + 8 * len(part.left or b"")
      size = BlockSizes(len(part.raw), part.num_symbols, bits, len(stream), tried=len(stream))
      return Block(number, Kind.CODED, part.num_symbols, stream), size
    tried = len(stream)
  size = BlockSizes(len(part.raw), 0, 0.0, 0, part.odd, len(stored), tried)
  return Block(number, Kind.STORED, part.num_symbols, stored), size


def _check_same(path: str, digest: bytes) -> None:
  """Raises InputError unless the parts that were read are the file: not every encoding gives back each byte."""
  found = hashlib.sha256()
  with opened(path) as file:
    while some := file.read(2**20):
      found.update(some)
    if found.digest() != digest:
      raise InputError(
        f"{path} cannot be made again, byte by byte, from its text in this encoding; give another --encoding"
      )


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
  """Gives a file that the user named. Raises InputError where it cannot be read."""
  try:
    with files.reading(path) as file:
      yield file
  except OSError as error:
    raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _rivals(path: str) -> dict[str, int]:
  raw = files.read_bytes(path)
  return {
    "gzip -9": len(gzip.compress(raw, 9)),
    "bzip2 -9": len(bz2.compress(raw, 9)),
    "xz -9e": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
  }
