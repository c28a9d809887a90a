"""The proof of a model's likelihood on a space small enough to enumerate."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from catgen.batches import batch_of
from catgen.config import AnyConfiguration, configuration, make_model, small_section
from catgen.config.settings import EXPERIMENT
from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split
from catgen.evaluation import law_proof, oracles, proof
from catgen.evaluation.claims import Claim
from catgen.evaluation.enumeration import Space, check_size
from catgen.evaluation.oracles import Row
from catgen.interfaces import Batch, EventSpec, InputError, SampleOptions
from catgen.keys import checked_seed, root_key
from catgen.records import shown_briefly
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.argument_types import checked
from catgen.runs.experiment import batches, make_experiment, spread_of
from catgen.sources import Attribute, DataSource
from catgen.training.sharding import place

_BATCH = 64  # examples of a training step, at least
NUM_SAMPLES = 20_000  # drawn by each law
LABELS = ("a", "b")  # of made-up data, where the config's have labels


@shown_briefly
class Checked(NamedTuple):
  """What holds of a small model."""

  claims: list[Claim]
  kind: str
  num_classes: int
  shape: tuple[int, ...]
  train_steps: int
  notes: tuple[str, ...] = ()  # what was not looked at
  bench: tuple[Row, ...] = ()  # samplers of the config's process with exact predictions

  @property
  def exit_code(self) -> int:
    """0 where all claims hold, otherwise 1."""
    return 0 if all(claim.passed for claim in self.claims) else 1


@checked
def check(
  config: AnyConfiguration,
  *,
  num_classes: int = 3,
  shape: tuple[int, ...] | None = None,
  time_steps: int = 8,
  train_steps: int = 300,
  num_draws: int = 2000,
  seed: int = 0,
  progress: OpenProgress = no_progress,
) -> Checked:
  """Trains a small model of a config's family on made-up data and proves its likelihood by enumeration.

  Args:
    config: a configuration's name, what `catgen.load_config` returns, or its sections.
    num_classes: K of the small space.
    shape: of events of the small space; default: 2, or 2,2 where the config's data are maps.
    time_steps: T of the small model, where the config's is discrete.
    train_steps: steps of training before the proof.
    num_draws: draws per event and estimator.
    seed: of everything.
    progress: opens the bar.

  Raises:
    InputError: a size that is none, or a space too large to enumerate.
  """
  values = configuration(config).values
  shape = _event_shape(values["data"]) if shape is None else shape
  if not shape or min(shape) < 1:
    raise InputError(f"--shape={','.join(map(str, shape))} must be positive whole numbers, such as 2 or 2,2")
  check_size(shape, num_classes, num_draws)
  if min(time_steps, train_steps) < 1:
    raise InputError(f"time_steps is {time_steps} and train_steps {train_steps}; both must be at least 1")
  devices = jax.devices()  # of one process one is enough, and faster, for so little
  devices = devices[:1] if jax.process_count() == 1 else devices
  small = _small_config(values, len(devices), time_steps=time_steps, train_steps=train_steps, seed=seed)
  labelled = _labelled(values["data"])
  made = make_experiment(small, made_up_source(shape, num_classes, seed, labelled=labelled), devices)
  state = made.init()
  with closing(progress(train_steps, unit="step", title="train the small model")) as bar:
    for step, batch in enumerate(batches(made, 0)):
      state, _ = made.train_step(state, place(batch, made.mesh), made.key, step)
      bar.update(1)
  names = [""]
  if labelled:
    hidden = bool(values["training"]["hidden_given"])
    names = [*(f"label {name}: " for name in LABELS), *(["no label: "] if hidden else [])]
  labels = np.arange(len(names))[:, None] if labelled else None
  space = Space(made.model, state.params, state.model_state, labels, NUM_SAMPLES, spread_of(made.mesh))
  options = _small_options(values["sampling"], num_classes, time_steps)
  claims, notes = _proved(space, names, options, root_key(seed), num_draws)
  rows, more = _benched(space, small["model"], root_key(seed))
  claims, notes = claims + (oracles.claims_of(rows) if rows else []), notes + more
  return Checked(claims, values["model"]["kind"], num_classes, shape, train_steps, tuple(notes), tuple(rows))


def _proved(
  space: Space, names: Sequence[str], options: SampleOptions, key: Array, num_draws: int
) -> tuple[list[Claim], list[str]]:
  """Returns the claims about the model, by labels, and about samples by options and with guidance."""
  proved = proof.prove_space(space, key=key, num_draws=num_draws)
  claims, notes = proved.by_label, []
  if options != SampleOptions():
    own = jax.random.fold_in(key, 1)
    lawful = law_proof.prove_options(space, options, key=own, num_draws=-(-num_draws // 8))
    claims = [before + after for before, after in zip(claims, lawful.claims, strict=True)]
    notes += lawful.notes
  if space.labels is not None and len(names) > len(LABELS):  # trained without labels too
    told = space._replace(labels=space.labels[: len(LABELS)])
    lawful = law_proof.prove_guidance(told, key=jax.random.fold_in(key, 2))
    claims = [before + after for before, after in zip(claims, [*lawful.claims, []], strict=True)]
    notes += lawful.notes
  named = [claim._replace(name=f"{name}{claim.name}") for name, own in zip(names, claims, strict=True) for claim in own]
  return [*named, *proved.together], notes


def _benched(space: Space, model: Mapping[str, Any], key: Array) -> tuple[list[Row], list[str]]:
  """Returns the samplers of a model with exact predictions, of three positions and more of a sequence, and notes."""
  event, reverse = space.model.event._replace(given=()), space.model.reverse
  if reverse is None:
    return [], []
  if len(event.shape) == 1 and not reverse.learned:
    event = event._replace(shape=(max(3, event.shape[0]),))
    reverse = make_model(model, event).reverse
  assert reverse is not None
  try:
    own = jax.random.fold_in(key, 3)
    rows = oracles.bench(reverse, space.params, event, key=own, num_samples=NUM_SAMPLES, spread=space.spread)
  except InputError as error:
    return [], [f"not covered: samplers with exact predictions: {error}"]
  return rows, []


def describe(checked: Checked) -> str:
  """Returns a table of the claims, below the size of the space and the number of training steps."""
  size = math.prod(checked.shape)
  space = f"{checked.num_classes}^{size} = {checked.num_classes**size} events"
  answers = {True: "yes", False: "NO", None: "unclear"}
  rows = [[claim.name, answers[claim.passed], claim.detail] for claim in checked.claims]
  holding, unclear = (sum(claim.passed is answer for claim in checked.claims) for answer in (True, None))
  ending = f", {unclear} cannot be told from these draws" if unclear else ""
  return "\n".join(
    [
      f"{checked.kind} on {space}, after {checked.train_steps} training steps",
      terminal.table(["claim", "holds", "numbers"], rows),
      f"{holding} of {len(checked.claims)} claims hold{ending}",
      *checked.notes,
      *([_bench_table(checked.bench)] if checked.bench else []),
    ]
  )


def _bench_table(rows: Sequence[Row]) -> str:
  header = ["sampler", "network calls", "total variation", "KL(p || law), bits"]
  shown = [[row.sampler, f"{row.calls}", f"{row.total_variation:.4f}", f"{abs(row.bits):.4f}"] for row in rows]
  title = "\nSamplers of this process with exact predictions of a known p(x): how far the law of their draws is from it"
  return f"{title}\n{terminal.table(header, shown)}"


def _small_config(
  config: Mapping[str, Any], devices: int, *, time_steps: int, train_steps: int, seed: int
) -> dict[str, Any]:
  """Returns the config with everything that costs time made small; what defines the model stays."""
  model = small_section(EXPERIMENT, config)["model"]
  if model.get("num_steps"):
    model["num_steps"] = time_steps
  training = {
    **config["training"],
    "batch_size": -(-_BATCH // devices) * devices,
    "num_steps": train_steps,
    "num_microbatches": 1,
    "ema_decay": 0.0,
    "streams": False,  # its examples are records
  }
  optimizer = {"kind": "adamw", "learning_rate": 3e-3, "decay": {"kind": "constant"}}
  mesh = {"data": -1, "fsdp": 1}
  return {**config, "seed": seed, "model": model, "training": training, "optimizer": optimizer, "mesh": mesh}


def _small_options(sampling: Mapping[str, Any], num_classes: int, time_steps: int) -> SampleOptions:
  """Returns the config's section `sampling` for a small space: what it changes is changed there too."""
  section = {name: sampling[name] for name in SampleOptions._fields if name in sampling}
  if section["num_steps"] is not None:
    section["num_steps"] = max(1, min(section["num_steps"], time_steps // 2))
  if section["top_k"] is not None:
    section["top_k"] = max(1, min(section["top_k"], num_classes - 1))
  section["forbid"] = (0,) if section["forbid"] and num_classes > 1 else ()
  return SampleOptions(**section)


def made_up_source(shape: tuple[int, ...], num_classes: int, seed: int, *, labelled: bool = False) -> DataSource:
  """Returns 4096 examples [*shape], all to train on: each position repeats the one before it with probability 0.8.

  Labelled ones, each with one of LABELS, have the category of its number at the first position more often than others.
  """
  rng, length, number = np.random.default_rng(checked_seed(seed)), math.prod(shape), 4096
  x = rng.integers(0, num_classes, (number, length))
  labels = rng.integers(0, len(LABELS), number).astype(np.int32) if labelled else None
  if labels is not None:
    x[:, 0] = np.where(rng.random(number) < 0.5, labels % num_classes, x[:, 0])
  for position in range(1, length):
    x[:, position] = np.where(rng.random(number) < 0.8, x[:, position - 1], x[:, position])
  x = x.reshape(number, *shape).astype(np.int32)
  given = () if labels is None else (len(LABELS),)

  def read(numbers: np.ndarray) -> Batch:
    return batch_of(x[numbers], index=numbers, given=None if labels is None else labels[numbers, None])

  split, codec = record_split(number, read, given), integer_codec(num_classes, shape)
  event = EventSpec(shape, num_classes, given)
  attributes = (Attribute("label", LABELS),) if labelled else ()
  return DataSource(event, {"train": split}, codec, "value", None, "made up", "dependent positions", attributes)


def _labelled(data: Mapping[str, Any]) -> bool:
  """Returns whether the section says that records have labels; of arrays the file alone does."""
  return bool(data.get("labels")) or data.get("label_column") is not None


def _event_shape(data: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the shape of the small events: two positions, or two by two where the config's data are maps."""
  return (2, 2) if "shape" in data else (2,)
