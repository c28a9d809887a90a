"""The record of a run, `config.json` of its work directory: all that evaluation needs to know, without the data."""

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from catgen import remote
from catgen.config import fill, flat, make_source
from catgen.config.settings import EXPERIMENT
from catgen.data import UNNAMED_RULES
from catgen.evaluation.results import code_version
from catgen.files import write_text
from catgen.given import label_numbers
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.paths import exists, expanded, is_file, join, matching, name_of
from catgen.records import shown_briefly
from catgen.runs.argument_types import texts
from catgen.runs.changes import Change, changes_between, compared, merged
from catgen.runs.schema import FILE_NAME, FORMAT, Exported, event_of, read_content
from catgen.sources import Attribute, Codec, DataSource


class Ancestor(NamedTuple):
  """Where a run has its first parameters from."""

  how: str  # "fork": it goes on with all of the other run; "init_from": it took parameters
  workdir: str  # absolute, when it was taken
  step: int  # of the checkpoint


@shown_briefly
class RunRecord(NamedTuple):
  """What is known of a run before its first step."""

  config: dict[str, Any]  # resolved
  event: EventSpec
  codec: Codec
  position: str
  bytes_per_position: float | None
  fingerprint: str  # SHA-256 of the data's integers
  description: str
  code_version: str
  attributes: tuple[Attribute, ...] = ()  # the names behind `event.given`
  changes: tuple[Change, ...] = ()  # of the configuration, since the run began
  lineage: tuple[Ancestor, ...] = ()  # the oldest first
  started_in: str = ""  # the folder that relative paths of the data started from
  longest: int | None = None  # see `DataSource.longest`
  exported: Exported | None = None  # of a model that was exported from its run


def record_of(config: Mapping[str, Any], source: DataSource) -> RunRecord:
  """Returns the record that a new run writes to its work directory, with the data's SHA-256 and the code's version."""
  return RunRecord(
    config=json.loads(json.dumps(config)),
    event=source.event,
    codec=source.codec,
    position=source.position,
    bytes_per_position=source.bytes_per_position,
    fingerprint=source.fingerprint,
    description=source.description,
    code_version=code_version(),
    attributes=source.attributes,
    started_in=os.getcwd(),
    longest=source.longest,
  )


def write_record(workdir: str, record: RunRecord) -> None:
  """Writes `config.json`, atomically, in place of what was there. Raises InputError where it cannot be written."""
  content = {"format": FORMAT, **record._asdict(), "codec": record.codec.spec, "event": record.event._asdict()}
  for name in ("attributes", "changes", "lineage"):
    content[name] = [each._asdict() for each in content[name]]
  exported = content.pop("exported")
  content |= {} if exported is None else {"exported": exported._asdict()}
  write_text(join(workdir, FILE_NAME), json.dumps(content, indent=1))


def read_record(workdir: str) -> RunRecord:
  """Returns the record of a work directory; of the data it has the description and the SHA-256.

  Raises:
    InputError: there is none, it is of another format, or a part of it is not what it must be.
  """
  content = read_content(workdir)
  content["changes"] = tuple(Change(**each) for each in content["changes"])
  content["lineage"] = tuple(Ancestor(**each) for each in content["lineage"])
  return RunRecord(**content)


def reached_positions(record: RunRecord) -> Bool[np.ndarray, "*event"]:
  """Returns which positions of an example records of the data have; the others, behind the longest, are not trained."""
  length = record.event.shape[-1]
  reached = np.arange(length) < (length if record.longest is None else record.longest)
  return np.broadcast_to(reached, record.event.shape)


def has_record(workdir: str) -> bool:
  """Returns whether a work directory holds a run."""
  return exists(join(workdir, FILE_NAME))


def continued(old: RunRecord, new: RunRecord, step: int, workdir: str) -> RunRecord:
  """Returns the record of a run that goes on at a step, perhaps with a changed configuration.

  Where no key of the data changes it keeps the codec, whose names and colors another version may choose otherwise.

  Raises:
    InputError: it is another run, with what differs: a key that makes one, data of another SHA-256, or examples of
      another shape or with other meanings of their categories.
  """
  changes = changes_between(old.config, new.config, step, workdir)
  if old.fingerprint != new.fingerprint:
    raise InputError(
      f"{workdir} was trained on other data (SHA-256 {old.fingerprint[:12]} there, {new.fingerprint[:12]} here);"
      " use another --workdir, or the same data and Python version"
    )
  if different := _difference(*({**definition(record), "model": None} for record in (old, new))):
    raise InputError(
      f"{workdir} was trained on other examples ({different}); use another --workdir, which may begin from this one's "
      "parameters: --init_from"
    )
  codec = new.codec if any(change.key.startswith("data.") for change in changes) else old.codec
  return new._replace(changes=merged(old.changes, changes), lineage=old.lineage, codec=codec)


def definition(record: RunRecord) -> dict[str, Any]:
  """Returns what each checkpoint says of its run: the model and its examples, so that a record that was changed by
  hand does not pass for the one that the model was trained with. Names and colors of categories may change."""
  return {
    "format": FORMAT,
    "model": record.config["model"],
    "event": _listed(record.event),
    "codec": _hash({name: value for name, value in record.codec.spec.items() if name != "legend"}),
  }


def check_definition(record: RunRecord, stored: Mapping[str, Any], step: int, workdir: str) -> None:
  """Raises InputError, naming what differs, unless the record describes the model of a checkpoint.

  Args:
    record: of the work directory.
    stored: what `definition` gave when the checkpoint was written; nothing by older versions, which passes.
    step: of the checkpoint.
    workdir: for the message.
  """
  if not stored:
    return
  try:
    model = fill(EXPERIMENT.parts["model"], stored["model"], "model")
    there = {**stored, "model": model, "event": _listed(event_of(stored["event"]))}
  except (KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
    raise InputError(
      f"what checkpoint {step} in {workdir} says of its run cannot be read ({error}); choose another --step"
    ) from error
  here = definition(record)
  if stored.get("codec") == _hash(record.codec.spec):  # of versions that hashed names and colors too
    here["codec"] = stored["codec"]
  if different := _difference(there, here):
    raise InputError(
      f"{join(workdir, FILE_NAME)} describes another model than checkpoint {step} holds ({different}); restore the file"
    )


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
  """Returns what differs first between two definitions, in words; nothing where they are the same."""
  one, other = (flat({name: found.get(name) for name in ("model", "event", "codec")}) for found in (there, here))
  different = [key for key in {**one, **other} if one.get(key) != other.get(key)]
  if not different:
    return ""
  key = different[0]
  if key == "codec":
    return "codec differs: the integers stand for something else"
  return f"{key} differs: {one.get(key)!r} there, {other.get(key)!r} here"


def history_of(record: RunRecord) -> dict[str, Any]:
  """Returns where a run came from and what was changed in it, as JSON; nothing of one that is whole and its own."""
  told: dict[str, tuple[Any, ...]] = {"lineage": record.lineage, "changes": record.changes}
  return {name: [each._asdict() for each in found] for name, found in told.items() if found}


def identity_without_seed(record: RunRecord) -> str:
  """Returns what runs share that differ in nothing but their seed: data (their SHA-256), model and training."""
  fixed = {key: value for key, value in compared(record.config).items() if key != "seed"}
  return json.dumps([fixed, record.fingerprint], sort_keys=True)


def source_of(record: RunRecord, data: Sequence[str] = (), folder: str | None = None) -> DataSource:
  """Returns the data set of a run, wherever it lies now: what counts is the SHA-256 of its integers and splits.

  Args:
    record: of the run. Its paths are only where to look first: as they are, then from the folder that it started in.
    data: where the data are now: a path, or key=value for another key of the section, such as mapping=table.csv.
    folder: of the run, where a file of that name is looked for last: data that `fit` kept there move with it.

  Raises:
    InputError: it cannot be loaded, or is not what the run was trained on, by its SHA-256.
  """
  return found_data(record, data, folder)[1]


def found_data(
  record: RunRecord, data: Sequence[str] = (), folder: str | None = None
) -> tuple[dict[str, Any], DataSource]:
  """Returns the section that the data of a run are read by now, and the data set; see `source_of`."""
  problems = []
  for section in _sections(record, data, folder):
    try:
      source = make_source(section)
    except InputError as error:
      problems.append(error)
      continue
    if source.fingerprint == record.fingerprint:
      return section, source
    problems.append(
      InputError(
        f"the data are not those of the run (SHA-256 {source.fingerprint[:12]} here, {record.fingerprint[:12]} there);"
        " use the same file and Python version"
      )
    )
  remedy = "--data=PATH says where the data of the run are now, --data=KEY=PATH where another of their files is"
  raise InputError(f"{problems[0]}; {remedy}") from problems[0]


def with_data(section: Mapping[str, Any], data: Sequence[str]) -> dict[str, Any]:
  """Returns a section `data` whose path, or another key, is elsewhere; see `source_of`."""
  changed = dict(section)
  for each in data:
    key, equals, value = each.partition("=")
    if equals and key in section:
      changed[key] = value
    elif "path" in section:
      changed["path"] = each
    else:
      raise InputError(f"--data is {each!r}, but data of kind {section['kind']!r} have no path")
  return changed


def _sections(record: RunRecord, data: Sequence[str], folder: str | None) -> Iterator[dict[str, Any]]:
  """Yields the sections that the data of a run may be read by."""
  section = with_data(record.config["data"], data)
  places = [section]
  if record.started_in and not data:
    moved = {key: _moved(value, record.started_in) if key != "kind" else value for key, value in section.items()}
    places += [moved] if moved != section else []
  path = section.get("path")
  if folder is not None and not data and isinstance(path, str) and is_file(kept := join(folder, name_of(path))):
    places.append({**section, "path": kept})
  unknown = "split_rule" in section and section["split_rule"] is None
  for place, rule in itertools.product(places, UNNAMED_RULES if unknown else (None,)):
    yield {**place, "split_rule": rule} if unknown else place


def _moved(value: Any, folder: str) -> Any:
  """Returns a text that is the path of files below a folder, a pattern too, but of none from here, as that path."""
  if not isinstance(value, str) or not value or remote.is_remote(value) or _are_files(value):
    return value
  found = join(folder, expanded(value))
  return found if _are_files(found) else value


def _are_files(path: str) -> bool:
  return exists(path) or (glob.has_magic(path) and bool(matching(path)))


def _listed(event: EventSpec) -> dict[str, Any]:
  return {name: list(value) if isinstance(value, tuple) else value for name, value in event._asdict().items()}


def _hash(spec: Mapping[str, Any]) -> str:
  return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def numbers_of(record: RunRecord, labels: Sequence[str]) -> Int[np.ndarray, "attributes"] | None:
  """Returns what labels such as "color=red" give, and None without any. Raises InputError for an unknown one."""
  return label_numbers(record.attributes, texts(labels, "given")) if labels else None


def with_labels(batch: Batch, record: RunRecord, labels: Sequence[str]) -> Batch:
  """Returns examples that are all given the same labels, see `numbers_of`."""
  numbers = numbers_of(record, labels)
  return batch if numbers is None else batch._replace(given=np.broadcast_to(numbers, (len(batch.x), len(numbers))))
