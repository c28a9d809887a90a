"""What devices exchange when a compiled program runs: which collectives, of how many bytes, how often."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from catgen.training.hlo import ArrayType, Computation, Instruction, Program, read

KINDS = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "ragged-all-to-all",
  "collective-permute",
  "collective-broadcast",
  "recv",  # from another slice, or from the host
)
_GROUPS = re.compile(
  r"\breplica_groups=(\{\{[\d,]+\}"  # the first of some lists
  r"|\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?"
  r"|mesh\[[^\]]*\](?:, device_ids=\([^{]*\))? ?\{[^}]*\})"
)
_PAIRS = re.compile(r"\bsource_target_pairs=\{\{([\d,]+)\}")
_ORDER = re.compile(r"device_ids=\((\[[\d,]+\](?:T\([\d,]+\))?)\)")
_AXIS = re.compile(r"'(\w+)'=(\d+)")
_CHOSEN = re.compile(r"'(\w+)'(?::\(\d+\)(\d+))?")


class Collective(NamedTuple):
  """An exchange that one instruction asks for."""

  kind: str  # of `KINDS`
  arrays: tuple[ArrayType, ...]  # its results on one device
  runs: int  # times that a device takes part in one run of the program
  members: tuple[int, ...]  # numbers of the devices that take part in one exchange, the first of several at once
  source: str  # the name that JAX gave to the operation
  bounded: bool = True  # False: within a loop of unknown length, whose body is counted once

  @property
  def group(self) -> int:
    """How many devices take part in one exchange."""
    return len(self.members)

  @property
  def num_bytes(self) -> int:
    """The bytes of its results on one device, of all runs together."""
    return self.runs * sum(array.num_bytes for array in self.arrays)

  @property
  def sent_bytes(self) -> float:
    """The bytes that each device must at least send, of all runs together: those of the best ring or torus."""
    return self.num_bytes * self._share(self.group)

  def between(self, slices: Sequence[int]) -> float:
    """Returns the bytes that each device must at least send to other slices, of all runs together.

    Args:
      slices: of each device, the number of the slice (or host) that it belongs to.
    """
    if self.kind == "recv":
      return float(self.num_bytes)
    spanned = len({slices[member] for member in self.members})
    if spanned == 1:
      return 0.0
    return self.num_bytes * self._share(spanned) * spanned / self.group  # the devices of a slice share what it sends

  def _share(self, number: int) -> float:
    others = (number - 1) / number
    factors = {"all-reduce": 2 * others, "reduce-scatter": others * self.group, "collective-permute": 1.0, "recv": 1.0}
    return factors.get(self.kind, others)


class Total(NamedTuple):
  """All collectives of a kind."""

  runs: int
  num_bytes: int  # of results, on one device
  sent_bytes: float  # by each device


def collectives(text: str) -> tuple[Collective, ...]:
  """Returns the collectives of one run of a program, in the order in which they stand.

  Bodies of loops count as often as they run, a conditional as its branch of most bytes. The pieces of an asynchronous
  collective (a start and a done, or a chain of fusions) are one, and so is an all-reduce of which a fusion keeps this
  device's part: it is a reduce-scatter.

  Args:
    text: of `compiled.as_text()`.

  Raises:
    InputError: it is no such text.
  """
  return of_program(read(text))


def of_program(program: Program) -> tuple[Collective, ...]:
  """Returns the collectives of a program that has been read; see `collectives`."""
  known: dict[str, tuple[Collective, ...]] = {}

  def within(name: str) -> tuple[Collective, ...]:
    if name not in known:
      inside = program.computations[name]
      known[name] = tuple(each for one in inside.instructions.values() for each in of(one, inside))
    return known[name]

  def of(one: Instruction, inside: Computation) -> Iterable[Collective]:
    if found := _collective(one, inside, program):
      return [found]
    if one.opcode == "while":
      length = program.length(one, inside)
      runs, known_length = (1, False) if length is None else (length, True)
      return [
        each._replace(runs=each.runs * runs, bounded=each.bounded and known_length) for each in within(one.called[0])
      ]
    if one.opcode == "conditional":
      return max(map(within, one.called), key=lambda branch: sum(each.num_bytes for each in branch))
    if one.opcode == "fusion" and (scattered := _reduce_scatter(one, program)):
      return [scattered]
    if one.opcode.endswith(("-done", "-update")):
      return []  # some versions name the computation of the start again
    return [each for called in one.called for each in within(called)]

  return within(program.entry)


def by_kind(found: Iterable[Collective]) -> Mapping[str, Total]:
  """Returns the totals of each kind that occurs, those of most bytes first."""
  totals: dict[str, Total] = {}
  for each in found:
    runs, num_bytes, sent = totals.get(each.kind, (0, 0, 0.0))
    totals[each.kind] = Total(runs + each.runs, num_bytes + each.num_bytes, sent + each.sent_bytes)
  return dict(sorted(totals.items(), key=lambda item: -item[1].num_bytes))


def _collective(one: Instruction, inside: Computation, program: Program) -> Collective | None:
  """Returns what an instruction exchanges. An asynchronous one counts where it is done: there its result is plain."""
  kind = one.opcode.removesuffix("-done")
  if kind not in KINDS or (kind == "recv") != (one.opcode == "recv-done") or _later_piece(one, inside):
    return None
  start = one
  while start.opcode != kind + "-start" and start.operands and start.opcode.startswith(kind + "-"):
    start = inside.instructions[start.operands[0]]
  source = one.source or start.source
  return Collective(kind, one.arrays, 1, _members(start, program.num_partitions), source)


def _later_piece(one: Instruction, inside: Computation) -> bool:
  """Whether this repeats a collective that another fusion has started: a TPU spreads it over a chain of fusions."""
  if "chain_id=" not in one.attributes:
    return False
  starts = [each for each in inside.instructions.values() if '"AsyncCollectiveStart"' in each.attributes]
  return not any(one.name in start.operands for start in starts)


def _reduce_scatter(fusion: Instruction, program: Program) -> Collective | None:
  """Returns the reduce-scatter that a fusion of an all-reduce and the choice of this device's part is."""
  fused = program.computations[fusion.called[0]]
  sums = [each for each in fused.instructions.values() if each.opcode == "all-reduce"]
  if len(sums) != 1:
    return None
  taken = [each for each in fused.instructions.values() if sums[0].name in each.operands]
  if [each.opcode for each in taken] != ["dynamic-slice"]:
    return None
  members = _members(sums[0], program.num_partitions)
  return Collective("reduce-scatter", taken[0].arrays, 1, members, sums[0].source or fusion.source)


def _members(one: Instruction, num_partitions: int) -> tuple[int, ...]:
  """Returns the devices of the first group: {{0,1},{2,3}}, [2,4]<=[4,2]T(1,0), or mesh['a'=2,'b'=4] {'b'}."""
  if pairs := _PAIRS.search(one.attributes):
    return tuple(map(int, pairs[1].split(",")))
  found = _GROUPS.search(one.attributes)
  if found is None:
    return tuple(range(num_partitions))
  groups = found[1]
  if groups.startswith("{"):
    return tuple(map(int, groups.strip("{}").split(",")))
  if groups.startswith("["):
    shape, _, order = groups.partition("<=")
    return tuple(_numbered(order).reshape(_axes(shape))[0].tolist())
  sizes = {name: int(size) for name, size in _AXIS.findall(groups)}
  order = _ORDER.search(groups)
  devices = (_numbered(order[1]) if order else np.arange(math.prod(sizes.values()))).reshape(tuple(sizes.values()))
  chosen = {name: int(part or sizes[name]) for name, part in _CHOSEN.findall(groups[groups.rindex("{") :])}
  first = tuple(slice(chosen.get(name, 1)) for name in sizes)
  return tuple(devices[first].flatten().tolist())


def _numbered(order: str) -> np.ndarray:
  """Returns the devices in the order of "[4,2]T(1,0)": numbered along these axes, which then change places."""
  shape, _, places = order.partition("T")
  devices = np.arange(math.prod(_axes(shape))).reshape(_axes(shape))
  return devices.transpose(_axes(places)) if places else devices


def _axes(text: str) -> tuple[int, ...]:
  return tuple(map(int, text.strip("[]()").split(",")))
