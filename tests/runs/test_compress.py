"""Files compressed by a model and made again: text, bytes, arrays; what cannot be decoded says so before it begins."""

import functools
import hashlib
import os
import tracemalloc
import zlib

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.coding import container
from catgen.coding.container import Block, Kind
from catgen.data.characters import TEXT8_ALPHABET
from catgen.data.codecs import alphabet_codec, byte_codec, integer_codec
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.models import MODELS
from catgen.runs import compress as packing
from catgen.runs.compress import compress, describe
from catgen.runs.decompress import decompress
from catgen.runs.decompress import describe as describe_decompressed
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from tests.contracts.parts import transformer
from tests.parameters import filled

ROWS = {"num_rows": 4}
CODECS = {
  "text": (alphabet_codec(TEXT8_ALPHABET), EventSpec((8,), 27)),
  "bytes": (byte_codec(), EventSpec((8,), 256)),
  "map": (integer_codec(3, (2, 4)), EventSpec((2, 4), 3)),
}
TEXT = "the cat sat on the mat and looked at the dog " * 3


@functools.cache
def parts(kind: str):
  _, event = CODECS[kind]
  model = MODELS["autoregressive"].make(event=event, network=transformer())
  shapes, _ = jax.eval_shape(model.init, batch_of(np.zeros((1, *event.shape), np.int32)), jax.random.key(0))
  return model, jax.device_put(filled(shapes)), {}


def run_of(kind: str, tmp_path, step: int = 1) -> Run:
  codec, event = CODECS[kind]
  model, params, state = parts(kind)
  record = RunRecord({"model": {"kind": "autoregressive"}}, event, codec, "character", None, "f" * 64, "made up", "a1")
  return Run(model, params, state, record, media_of(event, codec, "character"), str(tmp_path), step, False, None)


def written(path, content: bytes) -> str:
  path.write_bytes(content)
  return str(path)


def test_an_empty_file_comes_back_and_nothing_is_a_share_of_it(tmp_path):
  run = run_of("text", tmp_path)
  found = compress(run, input=written(tmp_path / "a.txt", b""), compare=True, **ROWS)
  assert describe(found).startswith(f"0 bytes -> {found.num_compressed} bytes, {found.output}\n")
  assert "%" not in describe(found)
  decompress(run, input=found.output, output=str(tmp_path / "b.txt"))
  assert (tmp_path / "b.txt").read_bytes() == b""


def test_a_text_comes_back_and_what_the_model_does_not_know_is_stored(tmp_path):
  run, content = run_of("text", tmp_path), (TEXT + "Capital!\r\n" + TEXT).encode()
  found = compress(run, input=written(tmp_path / "a.txt", content), compare=True, **ROWS)
  assert found.output == str(tmp_path / "a.txt.cg")
  assert found.num_bytes == len(content)
  coded = [size for size in found.blocks if size.num_symbols]
  assert 0 < len(coded) < len(found.blocks) == -(-len(content) // 32)
  for size in coded:
    assert 8 * size.stream_bytes <= size.model_bits * 1.001 + 64
  assert f"{len(found.blocks) - len(coded)} of {len(found.blocks)} blocks are deflated: " in describe(found)
  known = [size for size in found.blocks if size.tried is not None]
  assert len(coded) <= len(known) < len(found.blocks)
  assert all(size.tried == size.stream_bytes for size in coded)
  assert set(found.rivals) == {"gzip -9", "bzip2 -9", "xz -9e"}
  again = decompress(run, input=found.output, output=str(tmp_path / "b.txt"))
  assert (tmp_path / "b.txt").read_bytes() == content
  assert "its SHA-256 is that" in describe_decompressed(again)


@pytest.mark.parametrize("content", [b"", b"\x00", bytes(range(256)) * 2, "ünï".encode() * 5])
def test_bytes_of_all_kinds_come_back(tmp_path, content):
  run = run_of("bytes", tmp_path)
  found = compress(run, input=written(tmp_path / "a.bin", content), **ROWS)
  decompress(run, input=found.output, output=str(tmp_path / "b.bin"))
  assert (tmp_path / "b.bin").read_bytes() == content


@pytest.mark.parametrize(("num_bytes", "asked", "num_rows", "num_blocks"), [(20, 256, 4, 1), (20, 2, 2, 2)])
def test_a_small_file_is_coded_by_no_more_rows_than_it_needs(tmp_path, num_bytes, asked, num_rows, num_blocks):
  run = run_of("bytes", tmp_path)
  found = compress(run, input=written(tmp_path / "a.bin", bytes(num_bytes)), num_rows=asked)  # examples of eight
  assert len(found.blocks) == num_blocks
  with open(found.output, "rb") as file:
    assert container.read_header(file, found.output)["num_rows"] == num_rows
  decompress(run, input=found.output, output=str(tmp_path / "b.bin"))
  assert (tmp_path / "b.bin").read_bytes() == bytes(num_bytes)


@pytest.mark.parametrize("recover", [False, True])
def test_a_large_file_is_made_again_with_a_block_of_it_in_memory(tmp_path, recover):
  """Stored blocks of noise, in the place of those that the model would make: 8 MB, of which 200 KB may be held."""
  run, raw = run_of("bytes", tmp_path), np.random.default_rng(0).bytes(40_000)
  found = compress(run, input=written(tmp_path / "a.bin", raw[:32]), **ROWS)
  with open(found.output, "rb") as file:
    header = container.read_header(file, found.output)
  digest, lost = hashlib.sha256(), b"?" * 100_000 if recover else b""
  with open(found.output, "wb") as file:
    container.write_header(file, header)
    for number in range(200):
      digest.update(raw)
      container.write_block(file, Block(number, Kind.STORED, 1, zlib.compress(raw)))
      file.write(lost if number == 100 else b"")
    container.write_block(file, Block(200, Kind.END, 0, digest.digest()))
  decompress(run, input=found.output, output=str(tmp_path / "b.bin"), recover=recover)  # what is compiled is held too
  tracemalloc.start()
  again = decompress(run, input=found.output, output=str(tmp_path / "b.bin"), recover=recover)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert again.num_bytes == os.path.getsize(tmp_path / "b.bin") == 200 * len(raw)
  assert again.exit_code == recover
  assert peak < 1_000_000


def test_maps_come_back_with_their_dtype_and_shape(tmp_path):
  run, x = run_of("map", tmp_path), np.random.default_rng(0).integers(0, 3, (10, 2, 4)).astype(">i2")
  np.save(tmp_path / "x.npy", x)
  found = compress(run, input=str(tmp_path / "x.npy"), **ROWS)
  decompress(run, input=found.output, output=str(tmp_path / "y.npy"))
  assert (tmp_path / "y.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
  np.save(tmp_path / "z.npy", np.zeros((2, 3, 4), np.uint8))
  with pytest.raises(InputError, match=r"holds uint8 of shape \(2, 3, 4\); integers of shape \(2, 4\) are needed"):
    compress(run, input=str(tmp_path / "z.npy"))
  with pytest.raises(InputError, match=r"is no \.npy file"):
    compress(run, input=written(tmp_path / "a.txt", b"text"))
  for content in ((tmp_path / "x.npy").read_bytes()[:-3], (tmp_path / "x.npy").read_bytes() + b"xyz"):
    found = compress(run, input=written(tmp_path / "odd.npy", content), **ROWS)
    decompress(run, input=found.output, output=str(tmp_path / "y.npy"))
    assert (tmp_path / "y.npy").read_bytes() == content  # cut short, or with more behind it


def test_damage_is_found_and_the_rest_recovered(tmp_path):
  run, content = run_of("text", tmp_path), TEXT.encode()
  found = compress(run, input=written(tmp_path / "a.txt", content), **ROWS)
  packed = bytearray((tmp_path / "a.txt.cg").read_bytes())
  packed[-62] ^= 1  # in the last block but the end
  damaged, rest = written(tmp_path / "d.cg", bytes(packed)), tmp_path / "rest.txt"
  with pytest.raises(InputError, match="is damaged: a payload is damaged after block"):
    decompress(run, input=damaged, output=str(rest))
  assert not rest.exists()
  recovered = decompress(run, input=damaged, output=str(rest), recover=True)
  assert recovered.exit_code == 1
  assert "missing: a payload is damaged after block" in describe_decompressed(recovered)
  assert content.startswith(rest.read_bytes())
  assert len(rest.read_bytes()) == 32 * (len(found.blocks) - 1)


def test_another_model_or_other_last_digits_are_named_before_anything_is_done(tmp_path, monkeypatch):
  run = run_of("text", tmp_path)
  found = compress(run, input=written(tmp_path / "a.txt", TEXT.encode()), **ROWS)
  other = run._replace(params=jax.tree.map(lambda leaf: leaf * 1.5, run.params), step=2)
  with pytest.raises(InputError, match=r"was compressed by another model \(SHA-256 .*, step 1\)"):
    decompress(other, input=found.output, output=str(tmp_path / "b.txt"))
  as_here = packing.identity
  monkeypatch.setattr("catgen.runs.decompress.identity", lambda *all: {**as_here(*all), "probe": "0"})
  wrote = (
    r"cannot be decoded here: the model's probabilities differ .*wrote it \(catgen [0-9.]+, constriction [0-9.]+, jax "
  )
  with pytest.raises(InputError, match=wrote):
    decompress(run, input=found.output, output=str(tmp_path / "b.txt"))
  assert not (tmp_path / "b.txt").exists()


def test_a_stream_that_does_not_come_back_is_stored_instead(tmp_path, monkeypatch):
  run = run_of("bytes", tmp_path)
  monkeypatch.setattr("catgen.coding.symbols.Coder.decode", lambda self, words, valid: np.full(valid.shape, -1))
  found = compress(run, input=written(tmp_path / "a.bin", bytes(range(64))), **ROWS)
  assert not any(size.num_symbols for size in found.blocks)
  monkeypatch.undo()
  decompress(run, input=found.output, output=str(tmp_path / "b.bin"))
  assert (tmp_path / "b.bin").read_bytes() == bytes(range(64))


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"encoding": "utf-16"}, "utf-16 marks the beginning of a text; name it with its byte order"),
    ({"encoding": "utf-99"}, "there is no encoding 'utf-99'"),
    ({"encoding": "ascii"}, "the text is not in ascii"),
    ({"num_rows": 0}, "--num_rows is 0"),
    ({"input": "/no/file.txt"}, "cannot read /no/file.txt"),
    ({"input": None}, "--input is not set"),
  ],
)
def test_mistakes_are_one_line(tmp_path, options, message):
  path = written(tmp_path / "a.txt", "käse".encode())
  with pytest.raises(InputError, match=message):
    compress(run_of("text", tmp_path), **{"input": path, **ROWS, **options})
  assert not (tmp_path / "a.txt.cg").exists()
