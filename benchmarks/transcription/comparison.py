"""catgen and the transcriptions by turns: seconds of a training step and of a reverse step of sampling."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.budget import runs_in, window_seconds
from benchmarks.subjects import describe_machine, experiment_of
from benchmarks.transcription.worker import Task, Transcribed, check_installed
from catgen.interfaces import InputError, SampleOptions
from catgen.keys import example_keys
from catgen.reporting import terminal
from catgen.runs.experiment import Experiment
from catgen.training.sharding import place

Run = tuple[Callable[[], Any], Callable[[Any], Any]]  # what starts a run, and what waits for what it returned
SUBJECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {  # catgen's subject, and what of it is compared
  "text": ("paper_text8", ("training step",)),
  "unet": ("paper_maps", ("training step", "reverse step")),
}


class Pair(NamedTuple):
  """Seconds of a run of both sides, medians."""

  name: str
  positions: int  # of a run
  catgen: float
  transcription: float


class Comparison(NamedTuple):
  """All pairs, and what they were measured on."""

  pairs: list[Pair]
  heading: str


def compare(
  *,
  subjects: Sequence[str] = ("text", "unet"),
  batch_size: int | None = None,
  repeats: int = 5,
  window: float = 1.0,
  say: Callable[[str], None] = print,
) -> Comparison:
  """Measures both sides by turns.

  Args:
    subjects: text, unet, or both.
    batch_size: examples; default: 32 sequences of 256, or 16 maps of 32 x 64.
    repeats: windows of each side; the medians are shown.
    window: length of one in seconds, about; at least one step.
    say: receives a line for each subject.

  Raises:
    InputError: PyTorch is missing, or there is no such subject.
  """
  if unknown := [name for name in subjects if name not in SUBJECTS]:
    raise InputError(f"there is no subject {unknown[0]!r}; the subjects: {', '.join(SUBJECTS)}")
  check_installed()
  pairs, versions = [], []
  for name in subjects:
    subject, kinds = SUBJECTS[name]
    made = experiment_of(subject, batch_size=batch_size)
    for kind in kinds:
      say(f"{name}, {kind}")
      ours = trained(made) if kind == "training step" else reversed_(made)
      catgen, transcription = by_turns(ours, task_of(made, kind), repeats, window, versions.append)
      pairs.append(Pair(f"{name}, {kind}", made.example.x.size, catgen, transcription))
  return Comparison(pairs, f"{describe_machine()}, torch {versions[-1]}; medians of {repeats}, by turns")


def describe(comparison: Comparison) -> str:
  """Returns the table."""
  header = ["subject", "catgen s", "PyTorch s", "catgen positions/s", "PyTorch positions/s", "catgen is faster by"]
  rows = [
    [
      each.name,
      f"{each.catgen:.4f}",
      f"{each.transcription:.4f}",
      f"{each.positions / each.catgen:,.0f}",
      f"{each.positions / each.transcription:,.0f}",
      f"{each.transcription / each.catgen:.2f}",
    ]
    for each in comparison.pairs
  ]
  return f"{comparison.heading}\n{terminal.table(header, rows)}"


def by_turns(
  ours: Run, task: Task, repeats: int, window: float, seen: Callable[[str], Any] = lambda version: None
) -> tuple[float, float]:
  """Returns the median seconds of ours and of the transcription, measured one after the other, again and again.

  Args:
    ours: what starts a run, and what waits for it.
    task: of the transcription.
    repeats: windows of each.
    window: length of one in seconds, about.
    seen: receives the version of PyTorch.

  Raises:
    InputError: PyTorch is missing, or has no room.
  """
  theirs = Transcribed(task)
  try:
    seen(theirs.ask(0))
    theirs.ask(1)
    numbers = runs_in(*ours, window), max(1, round(window / max(theirs.ask(1), 1e-6)))
    turns = [(window_seconds(*ours, numbers[0]), theirs.ask(numbers[1])) for _ in range(repeats)]
  finally:
    theirs.close()
  catgen, transcription = np.median(turns, axis=0).tolist()
  return catgen, transcription


def task_of(made: Experiment, kind: str) -> Task:
  """Returns the transcription's task that is an experiment's training step or reverse step."""
  model = made.config["model"]
  return Task(
    kind,
    dict(model["network"]),
    made.model.event.num_classes,
    model["num_steps"],
    made.config["optimizer"]["learning_rate"],
    np.asarray(made.example.x),
  )


def trained(made: Experiment) -> Run:
  """Returns catgen's training step."""
  batch, state = place(made.example, made.mesh), made.init()

  def run() -> Any:
    nonlocal state
    state, metrics = made.train_step(state, batch, made.key)
    return metrics

  return run, jax.block_until_ready


def reversed_(made: Experiment) -> Run:
  """Returns one of catgen's steps of sampling, compiled by itself."""
  state, keys = made.init(), example_keys(jax.random.key(0), np.arange(len(made.example.x)))
  draw = jax.jit(
    lambda params, keys: made.model.sample(params, keys, state=state.model_state, options=SampleOptions(num_steps=1)).x
  )
  return lambda: draw(state.params, keys), jax.block_until_ready
