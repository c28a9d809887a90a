"""From a configuration to objects: the only place where names in a config meet factories, and data meet models."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen.batches import batch_of
from catgen.config import make_model, make_source, make_training_optimizer
from catgen.data.codecs import from_spec
from catgen.data.pipeline import eval_batches
from catgen.data.splits import record_split
from catgen.evaluation import likelihood
from catgen.evaluation.results import code_version
from catgen.evaluation.samples import generate
from catgen.interfaces import (
  Codec,
  DataSource,
  Denoised,
  EventSpec,
  InputError,
  Model,
  PyTree,
  SampleOptions,
  Samples,
)
from catgen.training.checkpoint import restore_params

__all__ = ["Run", "RunRecord", "load", "make_model", "make_source", "make_training_optimizer", "read_record"]

CONFIG_FILE = "config.json"
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
  """What `config.json` of a work directory holds: all that evaluation needs, without the data."""

  config: dict[str, Any]  # resolved
  event: EventSpec
  codec: Codec
  position: str
  bytes_per_position: float | None
  fingerprint: str  # SHA-256 of the data's integers
  description: str
  code_version: str


def record_of(config: Mapping[str, Any], source: DataSource) -> RunRecord:
  """Returns the record that a new run writes to its work directory."""
  return RunRecord(
    config=json.loads(json.dumps(config)),
    event=source.event,
    codec=source.codec,
    position=source.position,
    bytes_per_position=source.bytes_per_position,
    fingerprint=source.fingerprint,
    description=source.description,
    code_version=code_version(),
  )


def write_record(workdir: str, record: RunRecord, *, write: bool = True) -> None:
  """Writes `config.json`, atomically; refuses a work directory that holds another run. One process of several writes.

  Raises:
    InputError: the directory holds a run with another config or other data, or cannot be written.
  """
  path = os.path.join(workdir, CONFIG_FILE)
  if os.path.exists(path):
    _check_same_run(read_record(workdir), record, workdir)
  if not write:
    return
  content = {**record._asdict(), "codec": record.codec.spec, "event": record.event._asdict()}
  try:
    os.makedirs(workdir, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=workdir, delete=False) as file:
      json.dump(content, file, indent=1)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
  except OSError as error:
    raise InputError(
      f"cannot write to the work directory {workdir}: {error.strerror}; choose another --workdir"
    ) from error


def _check_same_run(old: RunRecord, new: RunRecord, workdir: str) -> None:
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


def _fixed_part(config: Mapping[str, Any]) -> dict[str, Any]:
  fixed = {key: value for key, value in config.items() if key not in _FREE_SECTIONS}
  fixed["training"] = {key: value for key, value in config["training"].items() if key not in _FREE_TRAINING_KEYS}
  return _flat(fixed)


def identity_without_seed(record: RunRecord) -> str:
  """Returns what runs share that differ in nothing but their seed: data, model and training."""
  fixed = {key: value for key, value in _fixed_part(record.config).items() if key != "seed"}
  return json.dumps([fixed, record.fingerprint], sort_keys=True)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for key, value in tree.items():
    flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
  return flat


def read_record(workdir: str) -> RunRecord:
  """Returns the record of a work directory.

  Raises:
    InputError: there is none, or it cannot be read.
  """
  path = os.path.join(workdir, CONFIG_FILE)
  try:
    with open(path) as file:
      content = json.load(file)
  except FileNotFoundError as error:
    raise InputError(
      f"{workdir} holds no run (no {CONFIG_FILE}); train one there first, or correct --workdir"
    ) from error
  except (OSError, ValueError) as error:
    raise InputError(f"{path} cannot be read ({error}); restore it or train in another work directory") from error
  event = EventSpec(tuple(content["event"]["shape"]), content["event"]["num_classes"])
  return RunRecord(**{**content, "event": event, "codec": from_spec(content["codec"])})


def source_of(record: RunRecord) -> DataSource:
  """Returns the data set of a run.

  Raises:
    InputError: it cannot be loaded, or is not what the run was trained on.
  """
  source = make_source(record.config["data"])
  if source.fingerprint != record.fingerprint:
    raise InputError(
      f"the data are not those of the run (SHA-256 {source.fingerprint[:12]} here, {record.fingerprint[:12]} there);"
      " use the same file and Python version"
    )
  return source


class Run(NamedTuple):
  """A trained model, ready for use: what `catgen.load` returns."""

  model: Model
  params: PyTree
  state: PyTree
  encode: Callable  # text or array -> integers
  decode: Callable  # one example's integers -> text or array
  record: RunRecord
  step: int
  uses_ema: bool

  def sample(self, num: int = 1, *, seed: int = 0, **options: Any) -> Samples:
    """Returns `num` samples; options are those of `SampleOptions`: num_steps, temperature, num_frames."""
    return generate(
      self.model,
      self.params,
      self.state,
      num_samples=num,
      batch_size=self.record.config["sampling"]["batch_size"],
      key=jax.random.key(seed),
      options=sample_options(self.record, **options),
    )

  def score(
    self, examples: Sequence[Any], *, estimator: str | None = None, num_draws: int = 16, seed: int = 0
  ) -> likelihood.Likelihood:
    """Returns the likelihood of texts or arrays of your own: `.estimate` over all, `.nats` for each.

    Raises:
      InputError: there is no example, one does not fit the model, or the model has no such estimator.
    """
    if not examples:
      raise InputError("there is nothing to score; give at least one example")
    x, valid = map(np.stack, zip(*(padded(self.encode(e), self.record.event) for e in examples), strict=True))
    split = record_split(len(x), lambda numbers: batch_of(x[numbers], valid[numbers], index=numbers))
    batch_size = min(len(x), self.record.config["evaluation"]["batch_size"])
    return likelihood.evaluate(
      self.model,
      self.params,
      self.state,
      eval_batches(split, batch_size=batch_size),
      key=jax.random.key(seed),
      estimator=estimator,
      num_draws=num_draws,
    )

  def denoise(self, text: Any, *, error_rate: float) -> Denoised:
    """Returns log-probabilities of the clean categories of one example of which a fraction `error_rate` is wrong."""
    if self.model.denoise is None:
      raise InputError(f"a model of kind {self.record.config['model']['kind']!r} has no denoiser")
    x, valid = padded(self.encode(text), self.record.event)
    batched = jax.jit(self.model.denoise)(self.params, x[None], valid[None], error_rate, state=self.state)
    return jax.tree.map(lambda values: values[0], batched)


def padded(x: Any, event: EventSpec) -> tuple[np.ndarray, np.ndarray]:
  """Returns a short sequence filled up to the event's length, and which of its positions count."""
  x = np.asarray(x, np.int32)
  if x.ndim == len(event.shape) == 1 and len(x) <= event.shape[0]:
    missing = event.shape[0] - len(x)
    return np.pad(x, (0, missing)), np.arange(event.shape[0]) < len(x)
  if x.shape != event.shape:
    raise InputError(f"the input has shape {x.shape}, but this model's events have shape {event.shape}; cut or fill it")
  return x, np.ones(event.shape, bool)


def sample_options(record: RunRecord, **changes: Any) -> SampleOptions:
  """Returns the run's sampling defaults with what is given and not None put in their place."""
  defaults = record.config["sampling"]
  names = SampleOptions._fields
  options = {name: defaults[name] for name in names if defaults.get(name) is not None}
  return SampleOptions(**{**options, **{name: value for name, value in changes.items() if value is not None}})


def load(workdir: str, *, step: str | int = "best", use_ema: bool = True, say: Callable[[str], None] = print) -> Run:
  """Returns the model of a work directory, with its parameters, encoder and decoder, and without its data.

  Args:
    workdir: where `launch.train` wrote.
    step: "best" by validation (the newest where nothing was validated), "latest", or a number.
    use_ema: take the moving average of the parameters where the run kept one.
    say: receives one line if the newest checkpoint is corrupt and an older one is taken.

  Raises:
    InputError: the directory holds no run or no such checkpoint.
  """
  record = read_record(workdir)
  restored = restore_params(workdir, step, say=say)
  averaged = use_ema and restored.ema is not None
  return Run(
    model=make_model(record.config["model"], record.event),
    params=restored.ema if averaged else restored.params,
    state=restored.model_state,
    encode=record.codec.encode,
    decode=record.codec.decode,
    record=record,
    step=restored.step,
    uses_ema=averaged,
  )
