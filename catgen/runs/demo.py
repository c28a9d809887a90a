"""The whole tour: baselines, training, evaluation, samples, and a corrected sentence."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from catgen.config import make_source
from catgen.data.codecs import without_end
from catgen.paths import join
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import baselines, correct, evaluate, sample
from catgen.runs.baselines import Baselines
from catgen.runs.evaluate import Evaluated
from catgen.runs.load import load
from catgen.runs.train import Trained, train
from catgen.sources import Codec
from catgen.training.signals import Stopped


class Demo(NamedTuple):
  """What the tour left."""

  trained: Trained
  evaluated: Evaluated | None  # None: training was interrupted
  training_seconds: float
  seconds: float  # in all
  paths: tuple[str, ...]  # of what is worth a look

  @property
  def exit_code(self) -> int:
    """That of training."""
    return self.trained.exit_code


def demo(
  config: Mapping[str, Any],
  workdir: str = "runs/demo",
  *,
  sentence: str = "return the nunber of itens in the lisp and raise a typeerrar if",
  color: bool = False,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Demo:
  """Trains, evaluates, samples and corrects, and says what it does; again, it goes on where it was stopped.

  Args:
    config: resolved; of text.
    workdir: where everything is left.
    sentence: what is corrected; what is beyond the model's length is left out.
    color: mark changes by color.
    say: receives the tour as text.
    progress: opens the bars.

  Raises:
    InputError: the sentence is not of the alphabet; before the work.
  """
  started = time.monotonic()
  source = make_source(config["data"])
  sentence = beginning(sentence, source.codec, source.event.shape[0])
  say("\n1. Baselines: counts of the training text")
  counts = baselines.baselines(config, source)
  say(baselines.describe(counts))
  say("\n2. Training a multinomial diffusion model (Ctrl-C stops; the same command goes on)")
  began = time.monotonic()
  trained = train(config, workdir, counts.bits, say=say, progress=progress)
  training = time.monotonic() - began
  if trained.interrupted:
    return Demo(trained, None, training, time.monotonic() - started, trained.pictures)
  run = load(workdir, say=say)._replace(source=lambda: source)
  say("\n3. Evaluation on held-out documents")
  evaluated = evaluate.evaluate(run, say=say, progress=progress)
  say(evaluate.describe(evaluated))
  say(_beside(evaluated.result, counts))
  say("\n4. Samples, and how the first one condenses out of noise")
  drawn = sample.sample(run, num_samples=4, chain=True, progress=progress)
  say(sample.describe(drawn, color=color))
  if drawn.exit_code:
    raise Stopped("the tour was left; the same command goes on", drawn.exit_code)
  say("\n5. A sentence with typos, corrected")
  corrected = correct.correct(run, text=sentence, error_rate=0.06)
  say(correct.describe(corrected, color=color))
  paths = (*trained.pictures, *drawn.pictures, join(workdir, "results.json"))
  return Demo(trained, evaluated, training, time.monotonic() - started, paths)


def beginning(text: str, codec: Codec, length: int) -> str:
  """Returns as many whole characters of a text as have room in so many positions, and its end where it has one."""
  encode, room = without_end(codec).encode, length - (codec.end is not None)
  while len(encode(text)) > room:
    text = text[:-1]
  return text


def describe(found: Demo) -> str:
  """Returns how many seconds the tour and its training took, and what to look at."""
  done = "stopped" if found.trained.interrupted else "Done"
  heading = f"\n{done} in {found.seconds:.0f} s, training took {found.training_seconds:.0f} s. Look at:"
  return "\n".join([heading, *(f"  {path}" for path in found.paths)])


def _beside(result: Mapping[str, Any], counts: Baselines) -> str:
  """Returns a model's bound beside the baselines, on the same held-out examples."""
  rows = [[f"{name} counts", baselines.shown(found), "exact"] for name, found in counts.estimates.items()]
  bound = terminal.plus_minus(result["value"], result["data_error"])
  rows.append(["multinomial diffusion", bound, "upper bound (ELBO)"])
  gain = counts.bits["bigram"] - result["value"]
  return (
    terminal.table(["model", f"{result['unit']} ± standard error", "kind"], rows)
    + f"\nThe diffusion model needs {gain:.2f} {result['unit']} less than the bigram."
  )
