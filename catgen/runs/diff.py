"""Two runs side by side: where their configurations differ, what their evaluations found, and their curves."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from catgen import orders
from catgen.config import flat
from catgen.evaluation import comparison, results
from catgen.evaluation.comparison import Evaluation
from catgen.interfaces import InputError
from catgen.paths import exists, expanded, join, name_of
from catgen.reporting import charts, terminal, writers
from catgen.reporting.drawing import boxed
from catgen.runs.by_products import ByProducts
from catgen.runs.compare import expanded as folders_of
from catgen.runs.exported import evaluations, written_in
from catgen.runs.record import RunRecord, read_record

# What evaluations of two runs need not share to be set side by side.
_OWN = ("step", "ema", "config_hash", "data_fingerprint")
_ABSENT = "not there"


class Setting(NamedTuple):
  """A key whose values differ; `_ABSENT` where one run has no such key."""

  key: str
  first: Any
  second: Any


class Outcome(NamedTuple):
  """An evaluation of each of two runs, made alike, in bits per position; None for what is missing."""

  name: str  # "test, elbo"
  first: Mapping[str, Any] | None  # of results.json
  second: Mapping[str, Any] | None
  difference: comparison.Difference | None  # second less first
  paired: bool  # by the scores of the same examples


class Differences(NamedTuple):
  """What tells two runs apart."""

  workdirs: tuple[str, str]
  settings: tuple[Setting, ...]  # of the configuration
  facts: tuple[Setting, ...]  # of data, code and history
  outcomes: tuple[Outcome, ...]
  unit: str
  picture: str | None
  notes: tuple[str, ...]


def diff(
  *,
  workdirs: tuple[str, ...] = (),
  output: str = "diff.png",
  say: Callable[[str], None] = print,
) -> Differences:
  """Sets two runs side by side; it reads only, also where they are running.

  Results are paired by example where both were scored on the same ones; otherwise the error of a difference is as if
  the two were independent, which overstates it.

  Args:
    workdirs: folders of two runs or exported models, separated by a comma.
    output: picture of both loss curves.
    say: receives a line where the picture cannot be written.

  Raises:
    InputError: these are not two runs, or a record of theirs cannot be read.
  """
  folders = folders_of(workdirs)
  if len(folders) != 2:
    raise InputError(f"give two different runs, --workdirs=runs/a,runs/b; these are {len(folders)}")
  first, second = folders
  one, other = read_record(first), read_record(second)
  notes, unit = [], f"bits per {one.position}"
  if one.position != other.position:
    unit = "bits per position"
    notes.append(f"positions are {one.position}s there and {other.position}s here: bits per position do not compare")
  lines = {name: _lines(folder, notes.append) for name, folder in zip(_names(folders), folders, strict=True)}
  notes += [f"{name} has no loss curve: its folder has no metrics.jsonl" for name in lines if not lines[name]]
  picture = None
  with ByProducts(say).may_fail("picture of the curves"):
    path = expanded(output)
    picture = path if charts.curves_beside(lines, path, unit=unit) else None
  notes += boxed(lines) if picture else ()
  return Differences(
    (first, second),
    tuple(_settings(flat(one.config), flat(other.config))),
    tuple(_settings(_facts(one), _facts(other))),
    tuple(_outcomes(first, second)),
    unit,
    picture,
    tuple(notes),
  )


def describe(found: Differences) -> str:
  """Returns three tables: keys that differ, facts that differ, and evaluations with errors and differences."""
  first, second = _names(found.workdirs)
  parts = []
  for title, settings in (("configuration", found.settings), ("data, code and history", found.facts)):
    rows = [[each.key, _shown(each.first), _shown(each.second)] for each in settings]
    parts.append(terminal.table([title, first, second], rows) if rows else f"{title}: the same")
  if found.outcomes:
    header = ["evaluation", first, second, f"{second} minus {first}", "paired by example"]
    parts.append(terminal.table(header, [_row(each) for each in found.outcomes]))
    parts[-1] += f"\nin {found.unit}, ± standard error {results.error_over(consecutive=_of_pieces(found))}"
  else:
    parts.append("evaluations: none yet; run launch.evaluate on both")
  notes = [*found.notes, *([f"curves: {found.picture}"] if found.picture else [])]
  return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _of_pieces(found: Differences) -> bool:
  """Returns whether the errors of all numbers are over pieces of one stream; older records take them as independent."""
  records = [record for each in found.outcomes for record in (each.first, each.second) if record is not None]
  return all(record.get("consecutive", False) for record in records)


def _names(folders: Sequence[str]) -> list[str]:
  """Returns the last parts of the folders' names, or where these are the same, all of them."""
  names = [name_of(folder) for folder in folders]
  return names if len(set(names)) == len(names) else list(folders)


def _settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Setting]:
  for key in dict.fromkeys((*first, *second)):
    one, other = first.get(key, _ABSENT), second.get(key, _ABSENT)
    if one != other:
      yield Setting(key, one, other)


def _facts(record: RunRecord) -> dict[str, Any]:
  """Returns what is known of a run beside its configuration."""
  found: dict[str, Any] = {
    "data": record.description,
    "SHA-256 of the data": record.fingerprint[:12],
    "example": f"{' x '.join(map(str, record.event.shape))} {record.position}s, {record.event.num_classes} categories",
    "code": record.code_version,
    "began from": ", ".join(f"{each.how} {each.workdir}@{each.step}" for each in record.lineage) or "nothing",
    "changed on the way": "; ".join(map(str, record.changes)) or "nothing",
  }
  if record.exported is not None:
    found["exported"] = f"step {record.exported.step}, {record.exported.dtype}"
  return found


def _lines(workdir: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
  path = join(workdir, writers.FILE_NAME)
  return writers.read_metrics(path, say) if exists(path) else []


def _outcomes(first: str, second: str) -> Iterator[Outcome]:
  """Yields evaluations that were made alike, the last of each kind, those that only one run has at the end."""
  one, other = (_evaluated(folder) for folder in (first, second))
  for key in sorted({**one, **other}, key=lambda key: (key in one) + (key in other), reverse=True):
    ours, theirs = one.get(key), other.get(key)
    name = _name(ours or theirs or {})
    if ours is None or theirs is None:
      yield Outcome(name, ours, theirs, None, False)
      continue
    found = _paired(first, second, ours, theirs)
    yield Outcome(name, ours, theirs, found or _unpaired(ours, theirs), found is not None)


def _evaluated(workdir: str) -> dict[tuple[str, ...], dict[str, Any]]:
  """Returns the records of a run by what they share with one of another run; of an exported model also its own."""
  found = {}
  for record in evaluations(workdir):
    results.check_has(record, ("split", "estimator", "num_draws", "value", "step", "ema"), workdir)
    found[tuple(json.dumps(record.get(name)) for name in results.IDENTITY if name not in _OWN)] = record
  return found


def _name(record: Mapping[str, Any]) -> str:
  parts = [record["split"], orders.named(orders.of_record(record)) or record["estimator"]]
  parts += [f"{record['num_draws']} draws"] if record["num_draws"] > 1 else []
  parts += [record["protocol"]] if results.reads_before(record) and "protocol" in record else []
  return ", ".join([*parts, *([f"labels: {record['given']}"] if "given" in record else [])])


def _paired(
  first: str, second: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> comparison.Difference | None:
  """Returns the difference on the examples that both have; None where their scores are not there, or of others."""
  try:
    one, other = (
      [Evaluation(record, comparison.read_scores(results.scores_path(written_in(folder), record)))]
      for folder, record in ((first, ours), (second, theirs))
    )
    for record, folder in ((ours, first), (theirs, second)):
      results.check_has(record, ("data_fingerprint",), folder)
    return comparison.difference(other, one)
  except InputError:
    return None


def _unpaired(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> comparison.Difference | None:
  """Returns the difference of two numbers of the same data, with the error that it has at most; None of others."""
  same = all(ours.get(name) == theirs.get(name) for name in ("unit", "data_fingerprint"))
  numbers = [record.get(name) for name in ("value", "data_error") for record in (ours, theirs)]
  known = [float(number) for number in numbers if number is not None]
  if not same or len(known) < len(numbers):
    return None
  return comparison.Difference(known[1] - known[0], math.hypot(*known[2:]), 0)


def _row(each: Outcome) -> Sequence[Any]:
  cells = []
  for record in (each.first, each.second):
    averaged = "" if record is None or not record["ema"] else ", averaged"
    cells.append(
      ""
      if record is None
      else f"{terminal.plus_minus(record['value'], record.get('data_error'))} (step {record['step']:,}{averaged})"
    )
  less = each.difference
  told = "" if less is None else terminal.plus_minus(less.bits, less.error)
  how = f"{less.num_examples:,} examples" if less is not None and each.paired else "no" if less is not None else ""
  return [each.name, *cells, told, how]


def _shown(value: Any) -> str:
  text = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
  return text if len(text) <= 60 else f"{text[:57]}..."
