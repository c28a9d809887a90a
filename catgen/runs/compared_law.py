"""The law of drawing whose evaluations are compared, by the same options as `evaluate` takes, of each run by itself."""

from collections.abc import Mapping
from typing import Any

from catgen import orders
from catgen.evaluation import results
from catgen.interfaces import InputError, SampleOptions
from catgen.media import media_of
from catgen.runs.exported import written_in
from catgen.runs.record import RunRecord
from catgen.runs.sample import sample_options


def law_of(
  workdir: str, record: RunRecord, split: str, num_calls: int | None, asked: Mapping[str, Any]
) -> SampleOptions:
  """Returns the law of drawing that options mean of one run.

  Args:
    workdir: of the run.
    record: of the run, whose categories `forbid` names as `evaluate` does.
    split: whose evaluations are compared.
    num_calls: with the order blocks, in place of `blocks`: those that an evaluation by so many calls found.
    asked: the options of `SampleOptions` that belong to the law.

  Raises:
    InputError: an option does not fit, or none or several evaluations have so many calls.
  """
  law = sample_options({"sampling": {}}, media_of(record.event, record.codec, record.position), **asked)
  if num_calls is None:
    return law
  if law.order != "blocks" or law.blocks:
    raise InputError("num_calls is of the order 'blocks' without --blocks, whose sizes it finds; leave it out")
  found = {_blocks(each) for each in results.read_results(written_in(workdir)) if _fits(each, split, law, num_calls)}
  if not found:
    raise InputError(
      f"{workdir} has no evaluation of the split {split!r} by the order blocks in {num_calls} calls; run"
      f" launch.evaluate --order=blocks --num_calls={num_calls} on it"
    )
  if len(found) > 1:
    one, other = (",".join(map(str, sizes)) for sizes in sorted(found)[:2])
    raise InputError(
      f"{workdir} has evaluations by several blocks in {num_calls} calls, {one} and {other}; choose by --blocks={one}"
    )
  return law._replace(blocks=found.pop())


def check_same(laws: Mapping[str, SampleOptions]) -> None:
  """Raises InputError where runs, by their folders, share positions out among calls differently: two laws."""
  (first, law), *others = laws.items()
  for folder, other in others:
    if other.blocks != law.blocks:
      raise InputError(
        f"{first} and {folder} were evaluated by different blocks, {','.join(map(str, law.blocks))} and"
        f" {','.join(map(str, other.blocks))}, each by its own loss curve; evaluate both by one --blocks"
      )


def _fits(record: Mapping[str, Any], split: str, law: SampleOptions, num_calls: int) -> bool:
  """Returns whether an evaluation is of a split, and of a law but for its blocks, which are so many."""
  blocks = _blocks(record)
  same = orders.of_record(record) == orders.stated(law._replace(blocks=blocks))
  return record.get("split") == split and len(blocks) == num_calls and same


def _blocks(record: Mapping[str, Any]) -> tuple[int, ...]:
  return tuple(orders.of_record(record).get("blocks", ()))
