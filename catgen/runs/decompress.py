"""Files again, of what `compress` made of them."""

import hashlib
import time
import zlib
from collections.abc import Iterable
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from catgen import files
from catgen.coding import container
from catgen.coding.container import Block, Damage, Kind
from catgen.coding.content import Content, parted
from catgen.coding.symbols import Coder
from catgen.interfaces import InputError
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.compress import ENDING, coder_of, content_of, identity, opened
from catgen.runs.load import Run
from catgen.runs.table_content import TableContent


class Decompressed(NamedTuple):
  """What was made of a compressed file."""

  output: str
  num_bytes: int
  num_blocks: int
  missing: tuple[str, ...]  # what is damaged, a line each; then the content is not whole
  seconds: float

  @property
  def exit_code(self) -> int:
    """1 where something is missing."""
    return 1 if self.missing else 0


def decompress(
  run: Run,
  *,
  input: str | None = None,
  output: str | None = None,
  recover: bool = False,
  progress: OpenProgress = no_progress,
) -> Decompressed:
  """Makes the file again that was compressed with the same model, and checks it by its SHA-256.

  The file is read twice, block by block: whether it is whole is known before anything is decoded, and no more than a
  block is held in memory.

  Args:
    run: the model.
    input: a file that compress wrote.
    output: where to; default: --input without its .cg.
    recover: of a damaged file, write all blocks that are whole, one after the other, and say what is missing.
    progress: opens the bar.

  Raises:
    InputError: it is no such file, is damaged, was compressed by another model, or cannot be decoded on this machine.
  """
  if input is None:
    raise InputError("--input is not set; give the file to decompress")
  if output is None and not input.endswith(ENDING):
    raise InputError(f"--input does not end in {ENDING}, so that its name does not say the other one; give --output")
  output, started = output or input.removesuffix(ENDING), time.monotonic()
  with opened(input) as file:
    header = container.read_header(file, input)
    num_blocks, missing = _checked(container.read_blocks(file))
  if missing and not recover:
    raise InputError(f"{input} is damaged: {'; '.join(missing)}. --recover writes what is whole")
  files.check_writable(output)
  coder = coder_of(run, header["num_rows"])
  _check_identity(header, identity(run, coder), input)
  content = content_of(header["content"], run.record, header["num_rows"])
  digest = hashlib.sha256(content.begin())
  with (
    opened(input) as file,
    files.replacing(output, remedy="choose another --output") as target,
    closing(progress(max(1, num_blocks), unit="block", title="decompress")) as bar,
  ):
    num_bytes = target.write(content.begin())
    container.read_header(file, input)
    for block in container.read_blocks(file):
      if isinstance(block, Damage):
        continue
      if block.kind != Kind.END:
        raw = _raw(coder, content, block)
        digest.update(raw)
        num_bytes += target.write(raw)
      elif not missing and block.payload != digest.digest():
        raise InputError(f"{input} was decoded to something else than what was compressed, though no block is damaged")
      bar.update(1)
  return Decompressed(output, num_bytes, num_blocks, tuple(missing), time.monotonic() - started)


def describe(decompressed: Decompressed) -> str:
  """Returns what was written, and what is missing."""
  lines = [f"{decompressed.num_bytes:,} bytes written to {decompressed.output} in {decompressed.seconds:.1f} s"]
  if decompressed.missing:
    return "\n".join([*lines, *(f"missing: {line}" for line in decompressed.missing)])
  return "\n".join([*lines, "its SHA-256 is that of what was compressed"])


def _raw(coder: Coder, content: Content | TableContent, block: Block) -> bytes:
  if block.kind == Kind.STORED:
    return zlib.decompress(block.payload)
  left, stream = parted(block.payload, leaves=isinstance(content, TableContent))
  words = np.frombuffer(stream, "<u4").astype(np.uint32)
  return content.raw(coder.decode(words, content.valid(block.num_symbols)), block.num_symbols, left)


def _checked(found: Iterable[Block | Damage]) -> tuple[int, list[str]]:
  """Returns how many blocks are whole, and a line for each stretch that is missing."""
  number, last, lines, gap = 0, None, [], None
  for each in found:
    if isinstance(each, Damage):
      lines.append(f"{each.reason} after block {each.after}")
      continue
    if each.number != number and gap is None:
      gap = f"block {number} is not there"
    number, last = number + 1, each.kind
  return number, [*lines, *([gap] if gap else []), *([] if last == Kind.END else ["its end is not there"])]


def _check_identity(header: dict[str, Any], here: dict[str, Any], path: str) -> None:
  if header["model"] != here["model"]:
    raise InputError(
      f"{path} was compressed by another model (SHA-256 {header['model'][:12]}, step {header['step']}) than this one "
      f"({here['model'][:12]}, step {here['step']}); give its --workdir, and --step"
    )
  if header["probe"] != here["probe"]:
    wrote, reads = (", ".join([*_versions(each), each["machine"]]) for each in (header, here))
    raise InputError(
      f"{path} cannot be decoded here: the model's probabilities differ in their last digits from those of the machine"
      f" that wrote it ({wrote}; here {reads}); decode it there, or with the same versions"
    )


def _versions(header: dict[str, Any]) -> list[str]:
  return [f"{name} {number}" for name, number in header.get("versions", {}).items()]  # format 1 has none
