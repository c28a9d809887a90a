"""The sections of a configuration that are no choice of a kind, as typed records, and the configuration as a whole."""

from dataclasses import dataclass

from catgen.data import SOURCES
from catgen.interfaces import SampleOptions
from catgen.kinds import Kind, Recipe
from catgen.models import MODELS
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.step import HIDDEN_GIVEN


@dataclass(frozen=True, kw_only=True)
class Training:
  """How long a model is trained, on how much at once, and what is shown meanwhile.

  Args:
    batch_size: examples of a step, over all devices and processes.
    num_steps: updates in the whole run.
    crops: True = random crops of a stream, or augmented records; False = the fixed examples, each once per epoch.
    streams: True = the fixed examples in order, each place of the batch those of a part of its own, so that a model
      with a memory carries it from step to step; `crops` then decides nothing.
    num_microbatches: gradients are accumulated over so many parts of a batch.
    hidden_given: share of the labels that are hidden, where data have labels, so that p(x) without them is learned too.
    ema_decay: of the moving average of parameters, per step; 0 = none.
    skip_nonfinite: steps of the whole run that may be left out because their loss or gradient is not finite.
    prefetch: batches prepared ahead.
    report_every: steps between two measurements of the loss, each a line of metrics.jsonl and shown by a progress bar;
      where no terminal shows one, progress is a line of text at most every 30 seconds or tenth of the run.
    validate_every: steps between two validations, each with a checkpoint.
    validation_examples: the first so many examples of the validation split.
    validation_samples: maps drawn at each validation as the section `sampling` says, for TensorBoard; 0 = none.
  """

  batch_size: int = 32
  num_steps: int = 10_000
  crops: bool = True
  streams: bool = False
  num_microbatches: int = 1
  hidden_given: float = HIDDEN_GIVEN
  ema_decay: float = 0.0
  skip_nonfinite: int = 0
  prefetch: int = 2
  report_every: int = 50
  validate_every: int = 1000
  validation_examples: int = 512
  validation_samples: int = 0


@dataclass(frozen=True, kw_only=True)
class Mesh:
  """How devices share the work: data * fsdp * tensor is the number of devices.

  Args:
    data: copies of the parameters, whose devices each take a part of a batch; -1 = all devices that are left.
    fsdp: parts of a copy of the parameters, whose devices each take a part of a batch too.
    tensor: devices that take the same examples, and of the transformer's heads and hidden features a part each.
  """

  data: int = -1
  fsdp: int = 1
  tensor: int = 1


@dataclass(frozen=True, kw_only=True)
class Checkpointing:
  """When a run is saved, besides after each validation and at the end, and what is kept of it.

  Args:
    every: steps between two more checkpoints; 0 = none.
    keep_latest: newest checkpoints that are kept; the best by validation always is.
    keep_every: checkpoints at multiples of so many steps are kept for good; 0 = none.
  """

  every: int = 0
  keep_latest: int = 2
  keep_every: int = 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
  """What `evaluate` does unless its flags say otherwise; validation in training has the same batch size.

  Args:
    split: "train", "validation" or "test".
    estimator: "elbo", "full", "iwbo" or "exact"; None = what the family does best.
    num_draws: per example; of "iwbo" the number of importance weights.
    num_replicates: independent repetitions of the whole estimate, for its Monte Carlo error.
    draws_at_once: in one call of the device.
    batch_size: examples of one call.
    max_examples: the first so many of the split; 0 = all.
    invalid_samples: drawn to find the share of codes without a category, where a flow has such; 0 = none.
  """

  split: str = "test"
  estimator: str | None = None
  num_draws: int = 1
  num_replicates: int = 4
  draws_at_once: int = 1
  batch_size: int = 32
  max_examples: int = 0
  invalid_samples: int = 64


@dataclass(frozen=True, kw_only=True)
class Sampling:
  """What `sample` does unless its flags say otherwise.

  Args:
    num_samples: examples drawn.
    batch_size: of them at once.
    num_steps: network calls of an iterative sampler; None = as many as the model has steps.
    temperature: >= 0; divides the logits of every draw of a category; 0 = the most probable one.
    top_k: draws are among so many of the most probable categories; None = all.
    top_p: draws are among the most probable categories that together have so much probability; 1 = all.
    forbid: categories that are never drawn, as of `sample --forbid`; none by default.
    correction: share of the positions that a diffusion model draws anew at every move, in [0, 1].
  """

  num_samples: int = 4
  batch_size: int = 64
  num_steps: int | None = SampleOptions().num_steps
  temperature: float = SampleOptions().temperature
  top_k: int | None = SampleOptions().top_k
  top_p: float = SampleOptions().top_p
  forbid: str = ""
  correction: float = SampleOptions().correction


@dataclass(frozen=True, kw_only=True)
class Tracking:
  """Which experiment trackers are told of a run, besides metrics.jsonl and TensorBoard.

  Args:
    trackers: "wandb", Weights & Biases, and "mlflow", each with its package; none by default.
    project: of Weights & Biases; the experiment of MLflow.
    name: of the run there; None = that of the work directory.
  """

  trackers: tuple[str, ...] = ()
  project: str = "catgen"
  name: str | None = None


_ADAMW = OPTIMIZERS["adamw"]()


@dataclass(frozen=True, kw_only=True)
class Settings:
  """An experiment: data, model and how it is trained and used.

  Args:
    data: the data set.
    model: the family of models, with its networks.
    optimizer: how parameters move.
    training: how long, on how much at once, and what is shown meanwhile.
    mesh: how devices share the work.
    checkpoint: what is saved.
    evaluation: what `evaluate` does unless its flags say otherwise.
    sampling: what `sample` does unless its flags say otherwise.
    tracking: experiment trackers that are told of the run.
    plugins: modules that add kinds of your own, imported wherever the configuration or the run is read.
    seed: of parameters, batches and all draws.
  """

  data: Recipe
  model: Recipe
  optimizer: Recipe = _ADAMW
  training: Training
  mesh: Mesh
  checkpoint: Checkpointing
  evaluation: Evaluation
  sampling: Sampling
  tracking: Tracking
  plugins: tuple[str, ...] = ()
  seed: int = 0


EXPERIMENT = Kind(
  Settings,
  parts={
    "data": SOURCES,
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "training": Kind(Training),
    "mesh": Kind(Mesh),
    "checkpoint": Kind(Checkpointing),
    "evaluation": Kind(Evaluation),
    "sampling": Kind(Sampling),
    "tracking": Kind(Tracking),
  },
)
