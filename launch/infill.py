"""Completes a text of which some characters are missing.

  python -m launch.infill --workdir=runs/quickstart --text="the ______ of a list"

Each hole character is drawn from the model given the rest; the program says whether that is exact for this model. A
pattern shorter than the model's sequences is continued by holes.
"""

import jax
from absl import flags

from catgen import build
from catgen.evaluation import infilling
from catgen.interfaces import InputError
from catgen.reporting import text
from launch import cli

FLAGS = flags.FLAGS


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  if FLAGS.text is None:
    raise InputError('nothing to complete; give --text="a pat____"')
  if run.model.infill is None:
    raise InputError(f"a model of kind {run.record.config['model']['kind']!r} cannot complete examples")
  length = run.record.event.shape[0]
  pattern = FLAGS.text + FLAGS.hole * (length - len(FLAGS.text)) if FLAGS.pad else FLAGS.text
  x, observed = infilling.parse_pattern(pattern, run.encode, length=length, hole=FLAGS.hole)
  drawn = infilling.infill(
    run.model,
    run.params,
    run.state,
    x,
    observed,
    key=jax.random.key(FLAGS.seed),
    num_samples=FLAGS.num_samples,
    options=build.sample_options(run.record, num_steps=FLAGS.num_steps, temperature=FLAGS.temperature),
  )
  cli.say(f"completions are {run.model.infill.explanation}")
  for example in drawn.x:
    cli.say(text.visible(run.decode(example)))


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_string("text", None, "the pattern; --hole stands for each missing character")
  flags.DEFINE_string("hole", "_", "one character that stands for a missing one")
  flags.DEFINE_bool("pad", True, "continue a short pattern by holes; otherwise its length must be the model's")
  flags.DEFINE_integer("num_samples", 4, "how many completions")
  flags.DEFINE_integer("num_steps", None, "network calls of an iterative sampler; default: all time steps")
  flags.DEFINE_float("temperature", None, "below 1: more probable categories; above 1: more variety")
  flags.DEFINE_integer("seed", 0, "of the draws")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
