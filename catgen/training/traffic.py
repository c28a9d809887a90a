"""What a compiled program reads from and writes to a device's memory, and the arrays that it puts there."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from catgen.training.hlo import ArrayType, Computation, Instruction, Program

_FREE = {  # they name what is there already
  *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"),
  *("while", "conditional", "call", "opt-barrier", "add-dependency"),
}
_CALLS_THAT_MOVE_NOTHING = re.compile(r'custom_call_target="(AllocateBuffer|ConcatBitcast)"')  # of programs for TPUs
_CUT = ("dynamic-slice", "slice", "gather")  # they read of their first operand what they give
_FILLED = ("dynamic-update-slice", "scatter")  # they write in place: what they are given, and not the whole


class Kept(NamedTuple):
  """An array that an instruction writes to the memory of each device."""

  array: ArrayType
  source: str  # the name that JAX gave to the operation


def traffic(program: Program) -> int:
  """Returns the bytes that each device reads from and writes to its memory in one run of a program.

  Each instruction reads its operands once and writes its result once, a fusion what goes in and comes out; of an array
  that is cut, or filled in place, only the piece counts. Bodies of loops count as often as they run (once where that
  is unknown), a conditional as its dearest branch. Arrays that stay on the chip count nothing.
  """
  known: dict[str, int] = {}

  def within(name: str) -> int:
    if name not in known:
      inside = program.computations[name]
      known[name] = sum(of(one, inside) for one in inside.instructions.values())
    return known[name]

  def of(one: Instruction, inside: Computation) -> int:
    if one.opcode == "while":
      length = program.length(one, inside)
      return within(one.called[0]) * (1 if length is None else length)
    if one.opcode == "conditional":
      return max(map(within, one.called))
    if one.opcode == "call":
      return sum(map(within, one.called))
    return 0 if _is_free(one) else _read(one, inside, program) + _written(one, inside, program)

  return within(program.entry)


def kept(program: Program) -> Iterator[Kept]:
  """Yields the arrays that the program's instructions write to memory, those within fusions left out."""
  seen, waiting = {program.entry}, [program.entry]
  while waiting:
    for one in program.computations[waiting.pop()].instructions.values():
      if one.opcode in ("while", "conditional", "call"):
        new = [name for name in one.called if name not in seen]
        seen.update(new)
        waiting += new
      elif not _is_free(one) and not one.opcode.endswith("-start"):
        yield from (Kept(array, one.source) for array in one.arrays if array.space == 0)


def _is_free(one: Instruction) -> bool:
  """Returns whether an instruction only names memory, which others read and write."""
  is_call = one.opcode == "custom-call"
  return one.opcode in _FREE or (is_call and _CALLS_THAT_MOVE_NOTHING.search(one.attributes) is not None)


def _read(one: Instruction, inside: Computation, program: Program) -> int:
  if one.opcode.endswith("-done") or one.opcode in ("iota", "rng-bit-generator"):
    return 0  # the start has read them
  operands = [inside.instructions[name] for name in one.operands if name in inside.instructions]
  if one.opcode == "fusion":
    return sum(min(_size(operand), _used(number, one, program)) for number, operand in enumerate(operands))
  if one.opcode == "slice-start":
    return one.arrays[1].num_bytes  # (what it is cut from, what is cut, ...)
  if one.opcode in _CUT:
    return _size(one) + sum(map(_size, operands[1:]))
  if one.opcode in _FILLED:
    return sum(map(_size, operands[1:]))
  return sum(map(_size, operands))


def _used(number: int, fusion: Instruction, program: Program) -> int:
  """Returns how many bytes of one of its operands a fusion reads: all of them, unless it only cuts or fills it."""
  fused = program.computations[fusion.called[0]]
  inputs = {int(each.arguments): each for each in fused.instructions.values() if each.opcode == "parameter"}
  return _read_of(inputs[number], fused, program) if number in inputs else 0


def _read_of(given: Instruction, fused: Computation, program: Program) -> int:
  whole, total = _whole(given), 0
  for one in fused.instructions.values():
    places = [place for place, name in enumerate(one.operands) if name == given.name]
    if one.opcode == "fusion":
      total += sum(_used(place, one, program) for place in places)
    elif places and one.opcode == "bitcast":
      total += _read_of(one, fused, program)
    elif places == [0] and one.opcode in _CUT:
      total += _whole(one)
    elif places and not (places == [0] and one.opcode in _FILLED):
      return whole
  return min(whole, total)


def _written(one: Instruction, inside: Computation, program: Program) -> int:
  if one.opcode.endswith("-start"):
    return 0  # counted where it is done
  if one.opcode in _FILLED:
    return _size(inside.instructions[one.operands[-1 if one.opcode == "scatter" else 1]])
  if one.opcode == "custom-call":  # a library's, with room to work in behind its result
    return sum(array.num_bytes for array in one.arrays if array.space == 0 and array.dtype not in ("s8", "u8"))
  if one.opcode != "fusion":
    return _size(one)
  fused = program.computations[one.called[0]]
  root = fused.instructions[fused.root]
  parts = [fused.instructions[name] for name in root.operands] if root.opcode == "tuple" else [root]
  if len(parts) != len(one.arrays):
    return _size(one)
  return sum(
    min(array.num_bytes, _filled(part, fused))
    for array, part in zip(one.arrays, parts, strict=True)
    if array.space == 0
  )


def _filled(part: Instruction, fused: Computation) -> int:
  """Returns how much of a result of a fusion it writes."""
  while part.opcode in ("bitcast", "copy", "convert") and part.operands:
    part = fused.instructions[part.operands[0]]
  if part.opcode in _FILLED:
    return _whole(fused.instructions[part.operands[-1 if part.opcode == "scatter" else 1]])
  return 2**62  # all of it


def _size(one: Instruction) -> int:
  """Returns the bytes of a result that are in the main memory."""
  return sum(array.num_bytes for array in one.arrays if array.space == 0)


def _whole(one: Instruction) -> int:
  return sum(array.num_bytes for array in one.arrays)
