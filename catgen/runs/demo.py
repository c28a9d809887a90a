"""The whole tour: a trained model, baselines, two models trained and evaluated, samples, a corrected sentence."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from catgen.config import make_source, resolve
from catgen.data.codecs import without_end
from catgen.evaluation import comparison, results, spelling
from catgen.evaluation.comparison import Evaluation, Scores
from catgen.interfaces import InputError
from catgen.paths import join
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import baselines, correct, evaluate, infill, sample
from catgen.runs.baselines import Baselines
from catgen.runs.evaluate import Evaluated
from catgen.runs.load import Run, load
from catgen.runs.train import Trained, train
from catgen.sources import Codec
from catgen.training.signals import Stopped

_SHARE = 0.625  # of the steps that the autoregressive model gets: with so many it is ahead of 5-gram counts
_BEGINNING = "the history of the "
_ERROR_RATE = 0.06  # that is assumed of the sentence


class Demo(NamedTuple):
  """What the tour left."""

  trained: Trained  # the diffusion model
  rival: Trained | None  # the autoregressive one; None: the first training was interrupted
  evaluated: tuple[Evaluated, ...]  # of both; none where training was interrupted
  training_seconds: float
  seconds: float  # in all
  paths: tuple[str, ...]  # of what is worth a look

  @property
  def exit_code(self) -> int:
    """That of training."""
    return self.trained.exit_code or (0 if self.rival is None else self.rival.exit_code)


def demo(
  config: Mapping[str, Any],
  workdir: str = "runs/demo",
  *,
  sentence: str = "return the nunber of itens in the lisp and raise a typeerrar if",
  longer: str = "pretrained/text-autoregressive",
  color: bool = False,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Demo:
  """Shows what a trained model can do, trains two smaller ones, evaluates them, samples and corrects.

  It says what it does; again, it goes on where it was stopped. The autoregressive model is in a folder of its own,
  `autoregressive` in the work directory.

  Args:
    config: resolved; of text, and of a diffusion model; the autoregressive one gets a part of its steps.
    workdir: where everything is left.
    sentence: what is corrected; what is beyond the model's length is left out.
    longer: a trained model of text that is shown first; empty: none.
    color: mark changes by color.
    say: receives the tour as text.
    progress: opens the bars.

  Raises:
    InputError: the sentence is not of the alphabet, or there is no such trained model; before the work.
  """
  started = time.monotonic()
  source = make_source(config["data"])
  sentence = beginning(sentence, source.codec, source.event.shape[0])
  members = _members(config, workdir)
  if longer:
    _show_longer(load(longer, say=say), longer, sentence, color, say, progress)
  say("\n2. Baselines: counts of the training text")
  counts = baselines.baselines(config, source)
  say(baselines.describe(counts))
  trained, began = [], time.monotonic()
  for number, (title, own, folder) in enumerate(members, 3):
    say(f"\n{number}. Training {title} (Ctrl-C stops; the same command goes on)")
    trained.append(train(own, folder, counts.bits, say=say, progress=progress))
    if trained[-1].interrupted:
      break
  training = time.monotonic() - began
  rival = trained[1] if len(trained) > 1 else None
  if trained[-1].interrupted:
    return Demo(trained[0], rival, (), training, time.monotonic() - started, trained[-1].pictures)
  run, other = (load(each.workdir, say=say)._replace(source=lambda: source) for each in trained)
  say("\n5. Samples of both, and how the first one of the diffusion model condenses out of noise")
  pictures = _show_samples(run, other, color, say, progress)
  say("\n6. A sentence with typos, corrected by the diffusion model, which reads it once")
  say(correct.describe(correct.correct(run, text=sentence, error_rate=_ERROR_RATE), color=color))
  say("\nby the autoregressive model, which reads on letter by letter and remembers several beginnings:")
  say(correct.describe(correct.correct(other, text=sentence, error_rate=_ERROR_RATE, pictures=False), color=color))
  say("\n7. Evaluation on held-out documents")
  evaluated = tuple(evaluate.evaluate(each, say=say, progress=progress) for each in (run, other))
  say(beside(evaluated, counts))
  paths = (*trained[0].pictures, *pictures, join(workdir, results.FILE_NAME))
  return Demo(trained[0], rival, evaluated, training, time.monotonic() - started, paths)


def autoregressive(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the configuration of an autoregressive model of the same data and the same network."""
  section = {"kind": "autoregressive", "network": config["model"]["network"]}
  sampling = {**config["sampling"], "num_steps": None, "correction": 0.0}  # of a chain
  return resolve({**config, "model": section, "sampling": sampling})


def beginning(text: str, codec: Codec, length: int) -> str:
  """Returns as many whole characters of a text as have room in so many positions, and its end where it has one."""
  encode, room = without_end(codec).encode, length - (codec.end is not None)
  while len(encode(text)) > room:
    text = text[:-1]
  return text


def describe(found: Demo) -> str:
  """Returns how many seconds the tour and its training took, and what to look at."""
  done = "Done" if found.evaluated else "stopped"
  heading = f"\n{done} in {found.seconds:.0f} s, training took {found.training_seconds:.0f} s. Look at:"
  return "\n".join([heading, *(f"  {path}" for path in found.paths)])


def beside(evaluated: tuple[Evaluated, ...], counts: Baselines) -> str:
  """Returns the counts and both models on the same held-out examples, and what the gap between the families is."""
  diffusion, exact = (each.result for each in evaluated)
  rows = [[f"{name} counts", baselines.shown(found), "exact"] for name, found in counts.estimates.items()]
  for name, result, kind in (
    ("multinomial diffusion", diffusion, "upper bound (ELBO)"),
    ("autoregressive", exact, "exact"),
  ):
    bound = terminal.plus_minus(result["value"], result["data_error"])
    rows.append([f"{name}, {result['step']:,} steps", bound, kind])
  one, other = (
    [Evaluation(each.result, Scores(each.likelihood.nats, each.likelihood.numbers, each.likelihood.positions))]
    for each in evaluated
  )
  gap, unit = comparison.difference(one, other), diffusion["unit"]
  lines = [
    f"Beside the bigram the diffusion model needs {_less(counts.bits['bigram'] - diffusion['value'])} {unit}, beside "
    f"the 5-gram the autoregressive one {_less(counts.bits['5-gram'] - exact['value'])}.",
    f"The gap between the two, paired by example, is {terminal.plus_minus(gap.bits, gap.error)}. A part of it is "
    "that a bound stands beside an exact number.",
    "Besides, diffusion learns to denoise at every level of noise and whatever else is known, the other one to go on "
    "from a beginning alone.",
    "What that buys: the diffusion model corrects a sentence in one call, and fills gaps anywhere in it.",
  ]
  return "\n".join([terminal.table(["model", f"{unit} ± standard error", "kind"], rows), *lines])


def _less(gain: float) -> str:
  return f"{gain:.2f} less" if gain >= 0 else f"{-gain:.2f} more"


def _members(config: Mapping[str, Any], workdir: str) -> list[tuple[str, dict[str, Any], str]]:
  """Returns of each of the two models what it is called, its configuration and its folder."""
  kind = config["model"]["kind"]
  if kind != "diffusion":
    raise InputError(f"the tour trains a diffusion model, and config.model.kind is {kind!r}; use launch.train")
  rival, training = autoregressive(config), config["training"]
  rival["training"] = {**training, "num_steps": round(_SHARE * training["num_steps"])}
  return [
    ("a multinomial diffusion model", dict(config), workdir),
    ("an autoregressive model beside it", rival, join(workdir, "autoregressive")),
  ]


def _show_longer(
  run: Run, name: str, sentence: str, color: bool, say: Callable[[str], None], progress: OpenProgress
) -> None:
  """Shows what a trained model of text draws, how it goes on from a beginning, and, where it can, what it corrects."""
  say(f"\n1. What a longer training gives: {name}, a model of kind {run.record.config['model']['kind']!r}")
  for record in results.read_results(run.folder)[-1:]:
    shown = terminal.plus_minus(record.get("value"), record.get("data_error"))
    say(f"{shown} {record.get('unit')} ({record.get('estimator')}) on the {record.get('split')} split of its own data")
  drawn = sample.sample(run, num_samples=2, pictures=False, say=say, progress=progress)
  _go_on_unless_stopped(drawn.exit_code)
  say(f"samples:\n{sample.describe(drawn)}")
  if run.model.infill is not None:
    went_on = infill.infill(run, text=_BEGINNING, num_samples=2, pictures=False, say=say, progress=progress)
    _go_on_unless_stopped(went_on.exit_code)
    say(f"going on from {_BEGINNING!r}:\n{infill.describe(went_on)}")
  if spelling.available(run.model):
    typed = beginning(sentence, run.record.codec, run.record.event.shape[0])
    say(correct.describe(correct.correct(run, text=typed, error_rate=_ERROR_RATE, pictures=False), color=color))


def _show_samples(
  run: Run, other: Run, color: bool, say: Callable[[str], None], progress: OpenProgress
) -> tuple[str, ...]:
  """Shows samples of both models and the chain of the first; returns the pictures."""
  drawn = sample.sample(run, num_samples=4, chain=True, say=say, progress=progress)
  say(sample.describe(drawn, color=color))
  _go_on_unless_stopped(drawn.exit_code)
  others = sample.sample(other, num_samples=4, pictures=False, say=say, progress=progress)
  say(f"\nof the autoregressive model:\n{sample.describe(others)}")
  _go_on_unless_stopped(others.exit_code)
  return drawn.pictures


def _go_on_unless_stopped(exit_code: int) -> None:
  if exit_code:
    raise Stopped("the tour was left; the same command goes on", exit_code)
