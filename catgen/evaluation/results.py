"""Keeps evaluations as `results.json`: every number with its unit, estimator, errors and origin."""

import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from catgen.evaluation.likelihood import Likelihood
from catgen.evaluation.samples import Invalid
from catgen.files import DAMAGED_ARRAYS, from_json, on_disk, read_bytes, replacing, rewrite
from catgen.interfaces import InputError
from catgen.orders import LAW, stated
from catgen.paths import join, size_of
from catgen.sources import DataSource

FILE_NAME = "results.json"
SCORES_FOLDER = "scores"
_DIGEST = 8  # digits
_LONGEST_NAME = 64  # of one value in the name of a file
_TYPES: Mapping[str, Any] = {  # what readers of a record rely on
  "split": str,
  "estimator": str,
  "unit": str,
  "value": (int, float, type(None)),
  "step": int,
  "num_draws": int,
  "num_examples": int,
  "ema": bool,
  "num_replicates": int,
  "monte_carlo_error": (int, float, type(None)),
  "data_fingerprint": str,
  "context": int,
  "memory": int,
  "segment": int,
  "max_distance": int,
  "same_length": bool,
  "consecutive": bool,
  "streams": int,
  "protocol": str,
  "request": str,
  "run": str,
  "density": dict,
  "order": str,
  "positions_per_call": int,
  "entropy_budget": (int, float),
  "blocks": list,
  "temperature": (int, float),
  "top_k": int,
  "top_p": (int, float),
  "forbid": list,
}
_HOW = ("context", "memory", "segment", "max_distance", "same_length", "streams")  # what a protocol adds to a record
IDENTITY = ("split", "step", "ema", "estimator", "num_draws", *_HOW, *LAW, "given", "config_hash", "data_fingerprint")


class Protocol(NamedTuple):
  """What each position of a stream is given of those before it: without any, only those of its own example."""

  context: int = 0  # positions before those that a window scores
  memory: int = 0  # positions of a memory that is carried from segment to segment
  segment: int = 0  # positions of these; 0 = those of an example
  max_distance: int = 0  # larger distances are taken for this one; 0 = none are
  same_length: bool = False  # each position sees itself and as many before it as the memory has

  def checked(self) -> "Protocol":
    """Returns it; raises InputError for numbers that are negative or do not go together."""
    for name, value in self._asdict().items():
      if not 0 <= value < 2**31:
        raise InputError(f"{name} is {value}; it must be at least 0")
    if self.memory and self.context:
      raise InputError("memory and context are two ways to give what stands before; leave one of them out")
    for name in ("segment", "max_distance", "same_length"):
      if getattr(self, name) and not self.memory:
        raise InputError(f"{name} is of a memory that is carried; give --memory, or leave it out")
    return self

  def named(self, length: int, streams: int) -> str:
    """Returns how a number that was found so is called.

    Args:
      length: positions of an example.
      streams: that were read at the same time.

    Example:
      >>> Protocol(memory=2100, segment=80, max_distance=820).named(512, 10)
      'memory of 2100 carried over segments of 80 in 10 streams, distances up to 820'
      >>> Protocol().named(256, 32)
      'chunks of 256 by themselves'
    """
    if self.context:
      return f"windows of {length} with {self.context} positions of context"
    if not self.memory:
      return f"chunks of {length} by themselves"
    return (
      f"memory of {self.memory} carried over segments of {self.segment or length} in {streams} streams"
      + (f", distances up to {self.max_distance}" if self.max_distance else "")
      + (", the same length for all" if self.same_length else "")
    )


def likelihood_record(
  likelihood: Likelihood,
  source: DataSource,
  *,
  split: str,
  step: int,
  ema: bool,
  config: Mapping[str, Any],
  invalid: Invalid | None = None,
  protocol: Protocol = Protocol(),  # noqa: B008 (a record that cannot change)
  streams: int = 1,
  history: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Returns the evaluation as one JSON object; a number that is unknown is None.

  Args:
    likelihood: what was measured.
    source: gives the unit, the bytes of categories, the fingerprint of the data, and whether the likelihood covers the
      lengths of records that differ in it: "scored", or "given".
    split: name of the split.
    step: training step of the parameters.
    ema: True where the averaged parameters were evaluated.
    config: the resolved configuration as a JSON-like dict; only its hash is kept.
    invalid: what of the model's samples means no category, for models that can draw such.
    protocol: what each position was given of those before it, which the record of a stream names.
    streams: that were read at the same time, where a memory was carried.
    history: more that is to be said of the run: where it came from, what changed in it.
  """
  value = float(likelihood.estimate.bits)
  record = {
    "value": value,
    "unit": f"bits per {source.position}",
    "estimator": likelihood.estimator,
    "num_draws": likelihood.num_draws,
    "num_replicates": likelihood.num_replicates,
    "data_error": likelihood.estimate.data_error,
    "monte_carlo_error": likelihood.estimate.monte_carlo_error,
    "terms": likelihood.terms,
    "effective_sample_size": likelihood.effective_sample_size,
    "split": split,
    "step": int(step),
    "ema": bool(ema),
    "num_examples": len(likelihood.numbers),
    "num_positions": int(likelihood.positions.sum()),
    "bits_per_byte": _bits_per_byte(likelihood, source),
    "data_fingerprint": source.fingerprint,
    "config_hash": config_hash(config),
    "code_version": code_version(),
    "warnings": list(likelihood.warnings),
    "invalid": None if invalid is None else invalid._asdict(),
  }
  length = "scored" if source.codec.end is not None else "given" if source.longest is not None else None
  # left out where they say nothing
  how: dict[str, Any] = {name: value for name, value in protocol._asdict().items() if value}
  how |= {"streams": streams} if protocol.memory else {}
  if split in source.splits and (positions := source.splits[split].stride) is not None:
    how["protocol"] = protocol.named(positions, streams)
  how |= {"consecutive": True} if likelihood.consecutive else {}
  how |= stated(likelihood.law)
  run = hashlib.sha256(f"{record['config_hash']} {source.fingerprint}".encode()).hexdigest()[:_DIGEST]
  more = {**how, "given": likelihood.given, "length": length, "run": run}  # run: names files of scores, see scores_path
  return without_nan(record | {name: value for name, value in more.items() if value is not None} | dict(history or {}))


def _bits_per_byte(likelihood: Likelihood, source: DataSource) -> float | None:
  """Returns bits per byte of what was scored; where categories have no sizes, by what positions of the data have."""
  counts, sizes, average = likelihood.class_counts, source.codec.num_bytes, source.bytes_per_position
  if average is not None and counts is not None and sizes is not None:
    num_bytes = int((counts * sizes).sum())
    average = num_bytes / int(counts.sum()) if num_bytes else None
  return None if average is None else float(likelihood.estimate.bits) / average


def consecutive(record: Mapping[str, Any]) -> bool:
  """Returns whether the examples of a record are pieces of one stream, in its order, and so not independent.

  A record of before this was said names the protocol by which a stream was read, and no other data has one.
  """
  return bool(record.get("consecutive", "protocol" in record))


def error_over(*, consecutive: bool) -> str:
  """Returns what a `data_error` is over, in words."""
  return "over pieces of one text, which are not independent" if consecutive else "over examples"


def reads_before(record: Mapping[str, Any]) -> bool:
  """Returns whether positions of a record were given some of those before their own example."""
  return bool(record.get("context") or record.get("memory"))


def protocol_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
  """Returns what decides which positions each one was given, and of which samples it is the law."""
  return tuple(record.get(name) or 0 for name in _HOW) + tuple(str(record.get(name)) for name in LAW)


def config_hash(config: Mapping[str, Any]) -> str:
  """Returns the SHA-256 of a configuration, independent of the order of its keys."""
  return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def code_version() -> str:
  """Returns the SHA of the source tree's git commit ("+changes" where files differ), else the package's version."""
  package = pathlib.Path(__file__).resolve().parents[1]

  def git(*arguments: str) -> str:
    command = ["git", "-C", str(package), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

  try:
    git("ls-files", "--error-unmatch", "interfaces.py")  # else: installed inside somebody else's repository
    return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", str(package)) else "")
  except (OSError, subprocess.SubprocessError):
    pass
  try:
    return importlib.metadata.version("catgen")
  except importlib.metadata.PackageNotFoundError:
    return "unknown"


def read_results(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Returns the records in the work directory, oldest first; none where nothing was evaluated yet.

  The `value` of each is in bits per position; see `likelihood_record`.
  """
  path = join(workdir, FILE_NAME)
  try:
    records = from_json(read_bytes(path).decode())
  except FileNotFoundError:
    return []
  except (OSError, ValueError) as error:
    raise InputError(f"cannot read {path} ({error}): move it away to start a new one") from error
  if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
    raise InputError(f"{path} is no list of results: move it away to start a new one")
  for number, record in enumerate(records, 1):
    for name, kinds in _TYPES.items():
      value = record.get(name)
      if name in record and (not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool)):
        raise InputError(f"{path}: {name} of record {number} is {value!r}: mend it, or move the file away")
  return records


def check_has(record: Mapping[str, Any], names: Sequence[str], workdir: str | os.PathLike[str]) -> None:
  """Raises InputError where a record of a work directory lacks one of the names, as after a change by hand."""
  for name in names:
    if name not in record:
      raise InputError(f"a record in {join(workdir, FILE_NAME)} has no {name!r}; run launch.evaluate again")


def add_results(workdir: str | os.PathLike[str], *records: Mapping[str, Any]) -> str:
  """Adds records to results.json and returns its path; a record of the same evaluation (IDENTITY) is replaced.

  The file is written beside the old one and renamed, so it is whole at every moment; of several evaluations that end
  together none loses a record.
  """
  path = join(workdir, FILE_NAME)
  new = [without_nan(dict(record)) for record in records]
  replaced = {_identity(record) for record in new}

  def merged() -> bytes:
    kept = [record for record in read_results(workdir) if _identity(record) not in replaced]
    return f"{json.dumps(kept + new, indent=2, allow_nan=False)}\n".encode()

  rewrite(path, merged)
  return path


def write_rows(rows: Sequence[Mapping[str, Any]], path: str) -> None:
  """Writes rows that a command has measured as JSON, null for what is not finite; `--output` has named the file."""
  with replacing(path, remedy="choose another --output") as file:
    file.write(f"{json.dumps(without_nan(rows), indent=1, allow_nan=False)}\n".encode())


def scores_path(workdir: str | os.PathLike[str], record: Mapping[str, Any]) -> str:
  """Returns where the scores of single examples (in nats) belong that `record` summarizes.

  Runs may be evaluated into one folder: the name ends in a digest of the run's configuration and data, unless the
  record is of a version before there was one.
  """
  averaged = "_ema" if record["ema"] else ""
  how = "".join(f"_{name.replace('_', '')}{record[name]}" for name in _HOW if name in record)
  how += "".join(f"_{name.replace('_', '')}{_file_name(record[name])}" for name in LAW if name in record)
  how += "_given_none" if record.get("given") == "none" else ""
  how += f"_{record['run']}" if "run" in record else ""
  name = f"{record['split']}_{record['step']}{averaged}_{record['estimator']}_{record['num_draws']}{how}.npz"
  if pathlib.PurePath(name).name != name:  # a record that was changed by hand must not name a file elsewhere
    raise InputError(f"{name!r} is no name of a file of scores; correct split and estimator in {FILE_NAME}")
  return join(workdir, SCORES_FOLDER, name)


def save_scores(workdir: str | os.PathLike[str], record: Mapping[str, Any], likelihood: Likelihood) -> str:
  """Writes nats [replicates, examples], numbers and positions [examples] as .npz and returns its path.

  Raises:
    InputError: it cannot be written.
  """
  path = scores_path(workdir, record)
  with replacing(path) as file:
    np.savez(file, nats=likelihood.nats, numbers=likelihood.numbers, positions=likelihood.positions)
  return path


def read_kept(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays of a .npz file of scores/, by their names.

  Raises:
    InputError: it is missing, damaged, or not as it was written: compressed, or of Python objects, never loaded.
  """
  try:
    with on_disk(path) as place:
      with zipfile.ZipFile(place) as archive:
        if sum(member.file_size for member in archive.infolist()) > size_of(place):
          raise ValueError("it is compressed, which no file of scores is")
      with np.load(place, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
  except DAMAGED_ARRAYS as error:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    raise InputError(f"cannot read {path} ({reason}); run launch.evaluate again") from error


def _identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
  return tuple(str(record[name]) if name in LAW and name in record else record.get(name) for name in IDENTITY)


def _file_name(value: Any) -> str:
  """Returns what stands for a value in the name of a file: of a long list a digest, since names have an end."""
  name = ".".join(map(str, value)) if isinstance(value, list) else str(value)
  return name if len(name) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()[:16]


def without_nan(value: Any) -> Any:
  """Returns a JSON-like value with None in place of numbers that are not finite."""
  if isinstance(value, Mapping):
    return {str(name): without_nan(inner) for name, inner in value.items()}
  if isinstance(value, list | tuple):
    return [without_nan(inner) for inner in value]
  if isinstance(value, float):
    return float(value) if math.isfinite(value) else None
  return value
