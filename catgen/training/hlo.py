"""Reads the text of a compiled program: computations, instructions with the arrays that they give, lengths of loops.

XLA offers no other description of an optimized program that holds for every kind of device. Only what is asked for
here is understood; all else is passed over.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from catgen.interfaces import InputError

_BITS = re.compile(r"\D+(\d+)")  # of bf16, f8e4m3fn, s4, ...: the first number
_ARRAY = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_OPERAND = re.compile(r"%([\w.\-]+)")
_OPCODE = re.compile(r"\s*([a-z][\w\-]*)\(")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\b(?:branch_computations|called_computations)=\{([^}]*)\}")
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_DIRECTION = re.compile(r"\bdirection=(\w+)")
_INDEX = re.compile(r"\bindex=(\d+)")
_KNOWN_LENGTH = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_NAME = re.compile(r'\bop_name="([^"]*)"')
_PARTITIONS = re.compile(r"\bnum_partitions=(\d+)")


class ArrayType(NamedTuple):
  """An array as the program has it on one device."""

  dtype: str  # as XLA writes it: "f32", "bf16", "pred", ...
  shape: tuple[int, ...]
  space: int = 0  # 0: the device's main memory; others are on the chip, or the host's

  @property
  def num_bytes(self) -> int:
    """The bytes of its elements, without the padding of a device's layout."""
    return -(-math.prod(self.shape) * _bits(self.dtype) // 8)

  def __str__(self) -> str:
    return f"{self.dtype}[{','.join(map(str, self.shape))}]"


class Instruction(NamedTuple):
  """One line of a computation."""

  name: str
  opcode: str
  arrays: tuple[ArrayType, ...]  # its result; several where that is a tuple, however deep
  operands: tuple[str, ...]  # names of instructions of the same computation
  arguments: str  # what stands between the parentheses: a constant's value, a parameter's number
  attributes: str  # the rest of the line

  @property
  def source(self) -> str:
    """The name that JAX gave to the operation: a path of functions, ending with the primitive."""
    found = _NAME.search(self.attributes)
    return found[1] if found else ""

  @property
  def called(self) -> tuple[str, ...]:
    """Names of the computations that it runs, the condition of a loop left out."""
    names = _CALLED.findall(self.attributes)
    for several in _BRANCHES.findall(self.attributes):
      names += [name.strip().lstrip("%") for name in several.split(",") if name.strip()]
    return tuple(names)


class Computation(NamedTuple):
  """Instructions in the order in which they run."""

  name: str
  instructions: Mapping[str, Instruction]  # by name
  root: str  # the name of the instruction whose result is the computation's


class Program(NamedTuple):
  """A compiled program, the same on every device that runs it."""

  computations: Mapping[str, Computation]
  entry: str  # the name of the computation that is run
  num_partitions: int  # devices that the program is spread over

  def length(self, loop: Instruction, inside: Computation) -> int | None:
    """Returns how often the body of a `while` runs; None where that is known only when it runs.

    Args:
      loop: an instruction "while".
      inside: the computation that it stands in.
    """
    if known := _KNOWN_LENGTH.search(loop.attributes):
      return int(known[1])
    condition = _CONDITION.search(loop.attributes)
    return None if condition is None else _counted(self, loop, inside, self.computations[condition[1]])


def read(text: str) -> Program:
  """Returns the program that `compiled.as_text()` describes.

  Raises:
    InputError: the text holds no computation that is run.
  """
  computations, entry, name, root = {}, "", "", ""
  instructions: dict[str, Instruction] = {}
  for line in text.splitlines():
    if head := _HEAD.match(line):
      name, root, instructions = head[2], "", {}
      entry = name if head[1] else entry
    elif found := _INSTRUCTION.match(line):
      instructions[found[2]] = _instruction(found[2], line[found.end() :])
      root = found[2] if found[1] else root
    elif line == "}" and name:
      computations[name] = Computation(name, instructions, root)
  if entry not in computations:
    raise InputError("this is no text of a compiled program: it has no ENTRY computation")
  partitions = _PARTITIONS.search(text.split("\n", 1)[0])
  return Program(computations, entry, int(partitions[1]) if partitions else 1)


def _instruction(name: str, text: str) -> Instruction:
  """Reads "type opcode(arguments), attributes"."""
  end = _closing(text, 0) if text.startswith("(") else text.index(" ")
  arrays = tuple(_arrays(text[:end]))
  opcode = _OPCODE.match(text, end)
  if opcode is None:
    return Instruction(name, "", arrays, (), "", "")
  last = _closing(text, opcode.end() - 1)
  arguments = text[opcode.end() : last - 1]
  return Instruction(name, opcode[1], arrays, tuple(_OPERAND.findall(arguments)), arguments, text[last:])


def _closing(text: str, start: int) -> int:
  """Returns the place behind the parenthesis that closes the one at `start`."""
  depth = 0
  for place in range(start, len(text)):
    depth += (text[place] == "(") - (text[place] == ")")
    if depth == 0:
      return place + 1
  return len(text)


def _arrays(text: str) -> Iterator[ArrayType]:
  for dtype, axes, layout in _ARRAY.findall(text):
    if dtype != "token":
      space = _SPACE.search(layout)
      shape = tuple(int(axis.lstrip("<=")) for axis in axes.split(",") if axis)
      yield ArrayType(dtype, shape, int(space[1]) if space else 0)


def _bits(dtype: str) -> int:
  found = _BITS.match(dtype)
  return 8 if dtype == "pred" or found is None else int(found[1])


def _counted(program: Program, loop: Instruction, inside: Computation, condition: Computation) -> int | None:
  """Returns the length of a loop whose counter starts at a constant, grows by one and is compared with another."""
  test = _Place(program, condition, condition.root).seen()
  bounds = [_Place(program, test.inside, operand, test.bound) for operand in test.instruction.operands]
  direction = _DIRECTION.search(test.instruction.attributes)
  if test.instruction.opcode != "compare" or len(bounds) != 2 or direction is None:
    return None
  counter, limit = bounds[0].element(), bounds[1].constant()
  body = program.computations[loop.called[0]]
  if counter is None or limit is None or direction[1] not in ("LT", "LE"):
    return None
  start = _Place(program, inside, loop.operands[0]).part(counter)
  step = _Place(program, body, body.root).part(counter)
  first, by = start and start.constant(), step and step.increment(counter)
  if first is None or not by:
    return None
  return max(0, -(-(limit + (direction[1] == "LE") - first) // by))


class _Place(NamedTuple):
  """An instruction where it stands, and what the parameters of a fusion around it are."""

  program: Program
  inside: Computation
  name: str
  bound: tuple["_Place", ...] | None = None

  @property
  def instruction(self) -> Instruction:
    return self.inside.instructions[self.name]

  def seen(self) -> "_Place":
    """Returns the place where the value is made: through copies, fusions and calls, and out of them again."""
    one = self.instruction
    if one.opcode in ("copy", "bitcast", "convert"):
      return self._replace(name=one.operands[0]).seen()
    if one.opcode in ("fusion", "call"):
      inner, own = self.program.computations[one.called[0]], self._replace
      return _Place(self.program, inner, inner.root, tuple(own(name=name) for name in one.operands)).seen()
    if one.opcode == "parameter" and self.bound is not None:
      return self.bound[int(one.arguments)].seen()
    if one.opcode == "get-tuple-element" and (index := self.element()) is not None:
      whole = self._replace(name=one.operands[0]).seen()
      part = whole.part(index)
      return self if part is None else part.seen()
    return self

  def part(self, index: int) -> "_Place | None":
    """Returns an element of a tuple, where the tuple is made here."""
    whole = self.seen()
    if whole.instruction.opcode != "tuple":
      return None
    return whole._replace(name=whole.instruction.operands[index])

  def element(self) -> int | None:
    """Returns the number of the element of a tuple that this is."""
    place = self if self.instruction.opcode == "get-tuple-element" else self.seen()
    found = _INDEX.search(place.instruction.attributes)
    return int(found[1]) if found and place.instruction.opcode == "get-tuple-element" else None

  def constant(self) -> int | None:
    """Returns the value of an integer constant."""
    found = self.seen().instruction
    number = found.arguments.strip()
    return int(number) if found.opcode == "constant" and re.fullmatch(r"-?\d+", number) else None

  def increment(self, counter: int) -> int | None:
    """Returns c where this is element `counter` of the parameter, plus c."""
    place = self.seen()
    if place.instruction.opcode != "add":
      return None
    parts = [place._replace(name=operand) for operand in place.instruction.operands]
    for one, other in (parts, parts[::-1]):
      if one.element() == counter and (number := other.constant()) is not None:
        return number
    return None
