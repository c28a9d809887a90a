"""Corrects a sentence with a trained model, or scores how well it corrects held-out text.

  python -m launch.spellcheck --workdir=runs/quickstart --text="the functoin retunrs a new strimg"
  python -m launch.spellcheck --workdir=runs/quickstart --text="..." --error_rate=0.1 --method=paper
  python -m launch.spellcheck --workdir=runs/quickstart --score --error_rate=0.05

Only wrong letters can be corrected, not missing or additional ones. --method=bayes weighs the model's prediction by the
likelihood of the typed letter at the assumed error rate; --method=paper is the paper's: the most probable letter
given the others.
"""

import os

from absl import flags

from catgen import build
from catgen.batches import batch_of
from catgen.evaluation import spelling
from catgen.interfaces import InputError
from catgen.reporting import text
from launch import cli, denoise

FLAGS = flags.FLAGS


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  if FLAGS.score:
    denoise.score(run, split=FLAGS.split, rate=FLAGS.error_rate, max_examples=FLAGS.max_examples, seed=FLAGS.seed)
  elif FLAGS.text is None:
    raise InputError('nothing to correct; give --text="a sentnce", or --score')
  else:
    correct(run, FLAGS.text, error_rate=FLAGS.error_rate, method=FLAGS.method)


def correct(run: build.Run, typed: str, *, error_rate: float, method: str) -> str:
  """Corrects a sentence, prints it with its changes, and returns it."""
  x, valid = build.padded(run.encode(typed), run.record.event)
  found = spelling.correct(run.model, run.params, run.state, batch_of(x[None], valid[None]), error_rate, method=method)
  length = int(valid.sum())
  corrected = run.decode(found.x[0][:length])
  cli.say(f"typed:     {typed}")
  shown = text.corrections(typed, corrected, found.probability[0][:length], color=os.isatty(1))
  cli.say(f"corrected: {shown}")
  return corrected


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_string("text", None, "the sentence to correct, at most as long as the model's sequences")
  flags.DEFINE_float("error_rate", 0.05, "assumed share of wrong letters; with --score also the true one")
  flags.DEFINE_enum("method", "bayes", ["bayes", "paper"], "how to decide")
  flags.DEFINE_bool("score", False, "corrupt held-out text and count what both methods repair and break")
  flags.DEFINE_string("split", "test", "what --score corrupts")
  flags.DEFINE_integer("max_examples", 256, "how many sequences --score takes")
  flags.DEFINE_integer("seed", 0, "of the errors that --score makes")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
