"""Files of blocks: what is damaged is found, wherever it is, and all other blocks are read."""

import io
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catgen.coding import container
from catgen.coding.container import Block, Damage, Kind
from catgen.interfaces import InputError

BLOCKS = [Block(i, Kind.CODED if i % 2 else Kind.STORED, 7 * i, bytes(range(10 * i))) for i in range(5)]
BLOCKS.append(Block(5, Kind.END, 0, b"\x00" * 32))


def packed() -> tuple[bytes, int]:
  file = io.BytesIO()
  begin = container.write_header(file, {"format": 1})
  for block in BLOCKS:
    container.write_block(file, block)
  return file.getvalue(), begin


def read(content: bytes) -> list[Block | Damage]:
  return list(container.read_blocks(io.BytesIO(content)))


def test_blocks_come_back():
  content, begin = packed()
  for version in (b"\x01", b"\x02"):
    file = io.BytesIO(content[:7] + version + content[8:])
    assert container.read_header(file, "x.cg") == {"format": 1}
    assert file.tell() == begin
    assert list(container.read_blocks(file)) == BLOCKS


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_changed_byte_costs_its_block_and_no_other(data):
  content, begin = packed()
  place = data.draw(st.integers(begin, len(content) - 1))
  bit = data.draw(st.integers(0, 7))
  changed = bytearray(content)
  changed[place] ^= 1 << bit
  found = read(bytes(changed[begin:]))
  blocks = [each for each in found if isinstance(each, Block)]
  (damage,) = [each for each in found if isinstance(each, Damage)]
  assert len(blocks) == len(BLOCKS) - 1
  assert all(block in BLOCKS for block in blocks)
  assert BLOCKS[damage.after + 1] not in blocks


@settings(max_examples=100, deadline=None)
@given(size=st.integers(0, 400), rest=st.binary(max_size=40))
@example(size=27, rest=b"\xd9")  # which is the byte that was cut off: the first block is whole
def test_a_file_that_ends_early_or_goes_on_is_read_as_far_as_it_goes(size, rest):
  content, begin = packed()
  whole = content[begin:]
  given = whole[:size] + rest
  blocks = [each for each in read(given) if isinstance(each, Block)]
  assert blocks == BLOCKS[: len(blocks)]
  assert len(blocks) == sum(given.startswith(whole[:end]) for end in ends(whole))


def ends(content: bytes) -> list[int]:
  sizes = [28 + len(block.payload) for block in BLOCKS]
  assert sum(sizes) == len(content)
  return [sum(sizes[: i + 1]) for i in range(len(sizes))]


def test_whole_fields_are_found_wherever_they_lie_in_what_is_looked_through(monkeypatch):
  content, begin = packed()
  for window in range(container._SIZE, 3 * container._SIZE):
    monkeypatch.setattr(container, "_WINDOW", window)
    damage, *blocks = read(b"cgB\ncgB" + content[begin:])
    assert damage == Damage(-1, "the fields of a block are damaged")
    assert blocks == BLOCKS


def test_a_kind_of_block_that_is_not_known_is_a_damage():
  file = io.BytesIO()
  for block in BLOCKS[:2]:
    container.write_block(file, block._replace(kind=7) if block.number else block)
  assert read(file.getvalue()) == [BLOCKS[0], Damage(0, "the fields of a block are damaged")]


@pytest.mark.parametrize("damaged", [b"", b"\x00" * 10**6])
def test_one_block_of_a_file_is_held_at_a_time(damaged):
  payload, handed, blocks = bytes(50_000), [], 0

  class Source:
    def __init__(self) -> None:
      file = io.BytesIO()
      for number in range(100):
        container.write_block(file, Block(number, Kind.STORED, 1, payload))
      self._file = io.BytesIO(damaged + file.getvalue())

    def read(self, size: int) -> bytes:
      handed.append(size)
      return self._file.read(size)

  tracemalloc.start()
  source = Source()
  before, _ = tracemalloc.get_traced_memory()
  tracemalloc.reset_peak()
  for found in container.read_blocks(source):
    blocks += isinstance(found, Block)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert blocks == 100
  assert max(handed) <= max(len(payload), container._WINDOW)
  assert peak - before < 6 * max(len(payload), container._WINDOW)  # of a file of 5 MB


def test_what_is_no_such_file_is_a_line():
  content, begin = packed()
  for damaged, message in (
    (b"\x89PNG", "was not written by compress"),
    (b"", "was not written by compress"),
    (content[:7] + b"\x03" + content[8:], "another version of catgen, which wrote format 3; this one reads 1 to 2"),
    (content[: begin - 1], "the header of x.cg is damaged"),
    (content[: begin - 6] + b"?" + content[begin - 5 :], "the header of x.cg is damaged"),
  ):
    with pytest.raises(InputError, match=message):
      container.read_header(io.BytesIO(damaged), "x.cg")
