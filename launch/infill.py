"""Completes examples of which some positions are missing: a text with gaps, a map with unknown regions.

  python -m launch.infill --workdir=runs/quickstart --text="the ______ of a list"
  python -m launch.infill --workdir=runs/maps --split=test --index=3 --region=8,20,12,16 --num_samples=16
  python -m launch.infill --workdir=runs/maps --input=map.npy --mask=unknown.npy --output=completions.npy

Each hole is drawn from the model given the rest; the program says whether that is exact for this model. A pattern of
text shorter than the model's sequences is continued by holes. In an array a hole is -1, or lies in a --region
(top,left,height,width), or where --mask is True. For maps infill.png in the work directory shows what was given, a
completion, the truth where it is known, and how unsure each pixel is; infill_completions.png shows all completions.
"""

import os
from typing import NamedTuple

import jax
import numpy as np
from absl import flags
from jaxtyping import Bool, Int

from catgen import build
from catgen.evaluation import infilling
from catgen.interfaces import InputError
from catgen.reporting import figures_maps, text
from launch import cli, inputs, pictures

FLAGS = flags.FLAGS


class Pattern(NamedTuple):
  """What is to be completed."""

  x: Int[np.ndarray, "*event"]  # anything where not observed
  observed: Bool[np.ndarray, "*event"]
  truth: Int[np.ndarray, "*event"] | None  # the whole example, where it is known


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  pattern = text_pattern(run) if inputs.is_text(run) else array_pattern(run)
  if run.model.infill is None:
    raise InputError(f"a model of kind {run.record.config['model']['kind']!r} cannot complete examples")
  drawn = infilling.infill(
    run.model,
    run.params,
    run.state,
    pattern.x,
    pattern.observed,
    key=jax.random.key(FLAGS.seed),
    num_samples=FLAGS.num_samples,
    options=build.sample_options(run.record, num_steps=FLAGS.num_steps, temperature=FLAGS.temperature),
  )
  cli.say(f"completions are {run.model.infill.explanation}")
  show(run, cli.workdir(), pattern, np.asarray(drawn.x))
  if FLAGS.output is not None:
    with cli.writing(FLAGS.output), open(FLAGS.output, "wb") as file:
      np.save(file, np.asarray(drawn.x))
    cli.say(f"{len(drawn.x)} completions written to {FLAGS.output}")


def text_pattern(run: build.Run) -> Pattern:
  """Returns the pattern of --text."""
  if FLAGS.text is None:
    raise InputError('nothing to complete; give --text="a pat____"')
  length = run.record.event.shape[0]
  pattern = FLAGS.text + FLAGS.hole * (length - len(FLAGS.text)) if FLAGS.pad else FLAGS.text
  return Pattern(*infilling.parse_pattern(pattern, run.encode, length=length, hole=FLAGS.hole), None)


def array_pattern(run: build.Run) -> Pattern:
  """Returns the example of --input, or of --split, with the holes of --region, --mask and -1.

  Raises:
    InputError: no example or no hole is named, or they do not fit the model.
  """
  if FLAGS.input is None and FLAGS.split is None:
    raise InputError("nothing to complete; give --input=file.npy, or --split=test --index=3")
  given = inputs.one_example(run, path=FLAGS.input, split=FLAGS.split, index=FLAGS.index, holes=True)
  shape, known = run.record.event.shape, (given.x != inputs.HOLE) & given.valid
  hidden = ~known
  if FLAGS.region:
    hidden = hidden | infilling.parse_regions(FLAGS.region, shape)
  if FLAGS.mask is not None:
    mask = inputs.read_array(FLAGS.mask)
    if mask.shape != shape:
      raise InputError(f"--mask has shape {mask.shape}, the example has {shape}; make them equal")
    hidden = hidden | (mask != 0)
  if not hidden.any():
    raise InputError("the example has no hole; give --region=top,left,height,width or --mask, or mark holes by -1")
  return Pattern(given.x, ~hidden, given.x if known.all() else None)


def show(run: build.Run, workdir: str, pattern: Pattern, completions: Int[np.ndarray, "completions *event"]) -> None:
  """Prints completions; draws those of a map and says how many hidden pixels are as in truth."""
  if not pictures.is_map(run.record.event):
    for example in completions:
      shown = run.decode(example)
      cli.say(text.visible(shown) if isinstance(shown, str) else str(shown))
    return
  hidden = ~pattern.observed
  cli.say(f"{hidden.sum():,} of {hidden.size:,} {run.record.position}s are holes")
  if pattern.truth is not None:
    right = (completions == pattern.truth[None])[:, hidden].mean()
    cli.say(f"{right:.1%} of them are as in the data, on average over {len(completions)} completions")
  legend = pictures.legend_of(run.record)
  paths = [os.path.join(workdir, name) for name in ("infill.png", "infill_completions.png")]
  figures_maps.map_uncertainty(
    pattern.x, pattern.observed, completions, paths[0], legend=legend, truth=pattern.truth, title="Infilling"
  )
  figures_maps.map_grid(completions, paths[1], legend=legend, title="Completions")
  pictures.show(workdir, run.step, paths)


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_string("text", None, "the pattern; --hole stands for each missing character")
  flags.DEFINE_string("hole", "_", "one character that stands for a missing one")
  flags.DEFINE_bool("pad", True, "continue a short pattern by holes; otherwise its length must be the model's")
  flags.DEFINE_string("input", None, "arrays: a .npy file of one example, or of several (see --index); -1 = a hole")
  flags.DEFINE_string("split", None, "arrays: take an example of the run's data: train, validation or test")
  flags.DEFINE_integer("index", 0, "number of the example in --input or --split")
  flags.DEFINE_multi_string("region", [], "maps: a hole, top,left,height,width in rows and columns; may be repeated")
  flags.DEFINE_string("mask", None, "arrays: a .npy file, True where there is a hole")
  flags.DEFINE_integer("num_samples", 4, "how many completions")
  flags.DEFINE_integer("num_steps", None, "network calls of an iterative sampler; default: all time steps")
  flags.DEFINE_float("temperature", None, "below 1: more probable categories; above 1: more variety")
  flags.DEFINE_integer("seed", 0, "of the draws")
  flags.DEFINE_string("output", None, "also write the completions, as integers, to this .npy file")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
