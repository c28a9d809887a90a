"""Corrects a corrupted map with a trained model, or scores how well it corrects held-out ones.

  python -m launch.denoise --workdir=runs/maps --split=test --index=3 --error_rate=0.1
  python -m launch.denoise --workdir=runs/maps --input=noisy.npy --output=corrected.npy
  python -m launch.denoise --workdir=runs/maps --score --error_rate=0.1

The counterpart of launch.spellcheck. A map of the run's data is corrupted first: each pixel becomes, with probability
--error_rate, another category. A map of --input is taken as corrupted already, at about that rate. Corrected twice:
"bayes" weighs the model's prediction by the likelihood of the seen pixel; "paper" takes the most probable category
given the other pixels. The picture denoised.png in the work directory shows all beside each other.
"""

import os

import numpy as np
from absl import flags
from jaxtyping import Int

from catgen import build, experiment
from catgen.batches import batch_of
from catgen.evaluation import spelling
from catgen.evaluation.spelling import Share, SpellingScore
from catgen.interfaces import Batch, InputError
from catgen.reporting import figures_maps, text
from launch import cli, inputs, pictures
from launch.inputs import Example

FLAGS = flags.FLAGS


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  if FLAGS.score:
    score(run, split=FLAGS.split, rate=FLAGS.error_rate, max_examples=FLAGS.max_examples, seed=FLAGS.seed)
    return
  if not pictures.is_map(run.record.event):
    shape = run.record.event.shape
    raise InputError(f"events of this run have shape {shape} and are no maps; take launch.spellcheck, or --score")
  given = inputs.one_example(run, path=FLAGS.input, split=FLAGS.split, index=FLAGS.index)
  if FLAGS.input is None:
    corrected = restore(run, cli.workdir(), given, error_rate=FLAGS.error_rate, seed=FLAGS.seed)
  else:
    corrected = denoise(run, cli.workdir(), given, error_rate=FLAGS.error_rate)
  if FLAGS.output is not None:
    with cli.writing(FLAGS.output), open(FLAGS.output, "wb") as file:
      np.save(file, corrected["bayes"])
    cli.say(f"the map as corrected by bayes is in {FLAGS.output}")


def restore(
  run: build.Run, workdir: str, clean: Example, *, error_rate: float, seed: int
) -> dict[str, Int[np.ndarray, "height width"]]:
  """Corrupts a map, corrects it, prints what was repaired and broken, and returns the correction of each method."""
  rng, k = np.random.default_rng(seed), run.record.event.num_classes
  corrupted = clean._replace(x=spelling.corrupt(rng, _alone(clean), error_rate, k).x[0])
  corrected = _corrections(run, corrupted, error_rate)
  judged = {
    method: spelling.judge(_alone(clean), corrupted.x[None], mended[None]) for method, mended in corrected.items()
  }
  cli.say(f"{clean.name}, {error_rate:.1%} of the {run.record.position}s wrong; 95 % intervals")
  show_scores(judged)
  _draw(run, workdir, {"clean": clean.x, "corrupted": corrupted.x}, corrected)
  return corrected


def denoise(
  run: build.Run, workdir: str, corrupted: Example, *, error_rate: float
) -> dict[str, Int[np.ndarray, "height width"]]:
  """Corrects a map that is corrupted already, and returns the correction of each method."""
  corrected = _corrections(run, corrupted, error_rate)
  for method, mended in corrected.items():
    cli.say(f"{method}: {(mended != corrupted.x).sum():,} of {mended.size:,} {run.record.position}s changed")
  _draw(run, workdir, {"as given": corrupted.x}, corrected)
  return corrected


def _corrections(run: build.Run, corrupted: Example, error_rate: float) -> dict[str, Int[np.ndarray, "height width"]]:
  typed = _alone(corrupted)
  return {
    method: spelling.correct(run.model, run.params, run.state, typed, error_rate, method=method).x[0]
    for method in spelling.METHODS
  }


def _alone(example: Example) -> Batch:
  return batch_of(example.x[None], example.valid[None])


def _draw(run: build.Run, workdir: str, given: dict[str, np.ndarray], corrected: dict[str, np.ndarray]) -> None:
  legend = pictures.legend_of(run.record)
  panels = given | {f"corrected ({method})": mended for method, mended in corrected.items()}
  path = os.path.join(workdir, "denoised.png")
  figures_maps.maps_beside({name: panel[None] for name, panel in panels.items()}, path, legend=legend, columns=1)
  pictures.show(workdir, run.step, [path])


def score(run: build.Run, *, split: str, rate: float, max_examples: int, seed: int) -> dict[str, SpellingScore]:
  """Prints and returns what both methods repair and break on held-out examples, of text or of maps."""
  source = build.source_of(run.record)
  clean = experiment.examples_of(source, split, max_examples)
  scores = spelling.score(run.model, run.params, run.state, clean, rng=np.random.default_rng(seed), rate=rate)
  examples = "maps" if pictures.is_map(source.event) else "sequences"
  cli.say(f"{len(clean.x)} {examples} of the {split} split, {rate:.1%} of the {source.position}s wrong; 95 % intervals")
  show_scores(scores)
  return scores


def show_scores(scores: dict[str, SpellingScore]) -> None:
  """Prints a table of the methods."""
  rows = [
    [method, *(_percent(share) for share in (found.repaired, found.broken, found.wrong_before, found.wrong_after))]
    for method, found in scores.items()
  ]
  cli.say(text.table(["method", "repaired", "broken", "wrong before", "wrong after"], rows))


def _percent(share: Share) -> str:
  return f"{share.value:.2%} ({share.low:.2%} to {share.high:.2%})"


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_string("input", None, "a .npy file of one corrupted map, or of several (see --index)")
  flags.DEFINE_string("split", "test", "without --input: the split whose map is corrupted; what --score corrupts")
  flags.DEFINE_integer("index", 0, "number of the map in --input or --split")
  flags.DEFINE_float("error_rate", 0.05, "share of wrong pixels: made so, or assumed of --input")
  flags.DEFINE_bool("score", False, "corrupt held-out maps and count what both methods repair and break")
  flags.DEFINE_integer("max_examples", 256, "how many maps --score takes")
  flags.DEFINE_integer("seed", 0, "of the errors that are made")
  flags.DEFINE_string("output", None, "also write the map as corrected by bayes to this .npy file")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
