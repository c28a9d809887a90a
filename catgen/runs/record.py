"""The record of a run, `config.json` of its work directory: all that evaluation needs to know, without the data."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from catgen.config import make_source
from catgen.data import from_spec
from catgen.evaluation.results import code_version
from catgen.files import write_text
from catgen.given import label_numbers
from catgen.interfaces import Attribute, Batch, Codec, DataSource, EventSpec, InputError

FILE_NAME = "config.json"
FORMAT = 2  # of config.json and of the names of parameters; 1 had no number
# What may differ when a run goes on: none of it changes what the run computes, beyond rounding.
_FREE_SECTIONS = ("mesh", "checkpoint", "evaluation", "sampling")
_FREE_TRAINING_KEYS = (
  "report_every",
  "validate_every",
  "validation_examples",
  "validation_samples",
  "num_microbatches",
  "prefetch",
)


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
  format: int = FORMAT


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
  )


def write_record(workdir: str, record: RunRecord, *, write: bool = True) -> None:
  """Writes `config.json`, atomically; refuses a work directory that holds another run. One process of several writes.

  Raises:
    InputError: the directory holds a run with another config or data of another SHA-256, or cannot be written.
  """
  path = os.path.join(workdir, FILE_NAME)
  if os.path.exists(path):
    check_same_run(read_record(workdir), record, workdir)
  if write:
    content = {**record._asdict(), "codec": record.codec.spec, "event": record.event._asdict()}
    content["attributes"] = [attribute._asdict() for attribute in record.attributes]
    write_text(path, json.dumps(content, indent=1))


def read_record(workdir: str) -> RunRecord:
  """Returns the record of a work directory; of the data it has the description and the SHA-256.

  Raises:
    InputError: there is none, it is of another format, or it cannot be read.
  """
  path = os.path.join(workdir, FILE_NAME)
  try:
    with open(path, encoding="utf-8") as file:
      content = json.load(file)
    found = content.get("format", 1)
    if found != FORMAT:
      raise InputError(
        f"{path} has format {found}, this version of catgen reads {FORMAT}: use the version that wrote it "
        f"({content.get('code_version', 'unknown')}), or train again in another work directory"
      )
    event: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content["event"].items()}
    attributes = tuple(Attribute(each["name"], tuple(each["values"])) for each in content["attributes"])
    read = {"event": EventSpec(**event), "codec": from_spec(content["codec"]), "attributes": attributes}
    return RunRecord(**{**content, **read})
  except FileNotFoundError as error:
    raise InputError(f"{workdir} holds no run (no {FILE_NAME}); train one there first, or correct --workdir") from error
  except InputError:
    raise
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f"{path} cannot be read ({error}); restore it or train in another work directory") from error


def check_same_run(old: RunRecord, new: RunRecord, workdir: str) -> None:
  """Raises InputError, naming what differs, unless `new` goes on with what `old` began, on data of the same SHA-256."""
  before, now = _fixed_part(old.config), _fixed_part(new.config)
  different = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
  if different:
    key = different[0]
    more = f" (and {len(different) - 1} more keys)" if len(different) > 1 else ""
    raise InputError(
      f"{workdir} holds another run: config.{key} is {before.get(key)!r} there and {now.get(key)!r} here{more};"
      " use another --workdir, or the same config to go on"
    )
  if old.fingerprint != new.fingerprint:
    raise InputError(
      f"{workdir} was trained on other data (SHA-256 {old.fingerprint[:12]} there, {new.fingerprint[:12]} here);"
      " use another --workdir, or the same data and Python version"
    )


def identity_without_seed(record: RunRecord) -> str:
  """Returns what runs share that differ in nothing but their seed: data (their SHA-256), model and training."""
  fixed = {key: value for key, value in _fixed_part(record.config).items() if key != "seed"}
  return json.dumps([fixed, record.fingerprint], sort_keys=True)


def source_of(record: RunRecord) -> DataSource:
  """Returns the data set of a run.

  Raises:
    InputError: it cannot be loaded, or is not what the run was trained on, by its SHA-256.
  """
  source = make_source(record.config["data"])
  if source.fingerprint != record.fingerprint:
    raise InputError(
      f"the data are not those of the run (SHA-256 {source.fingerprint[:12]} here, {record.fingerprint[:12]} there);"
      " use the same file and Python version"
    )
  return source


def numbers_of(record: RunRecord, labels: Sequence[str]) -> Int[np.ndarray, "attributes"] | None:
  """Returns what labels such as "color=red" give, and None without any. Raises InputError for an unknown one."""
  return label_numbers(record.attributes, labels) if labels else None


def with_labels(batch: Batch, record: RunRecord, labels: Sequence[str]) -> Batch:
  """Returns examples that are all given the same labels, see `numbers_of`."""
  numbers = numbers_of(record, labels)
  return batch if numbers is None else batch._replace(given=np.broadcast_to(numbers, (len(batch.x), len(numbers))))


def _fixed_part(config: Mapping[str, Any]) -> dict[str, Any]:
  fixed = {key: value for key, value in config.items() if key not in _FREE_SECTIONS}
  fixed["training"] = {key: value for key, value in config["training"].items() if key not in _FREE_TRAINING_KEYS}
  return _flat(fixed)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for key, value in tree.items():
    flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
  return flat
