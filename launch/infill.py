"""Completes a text of which some characters are missing.

  python -m launch.infill --workdir=runs/quickstart --text="the ______ of a list"

Each hole character is drawn from the model given the rest; the program says whether that is exact for this model. A pattern shorter
than the model's sequences is continued by holes.
"""

import jax
from absl import flags

from catgen import build
from catgen.evaluation import infilling
from catgen.interfaces import InputError
from catgen.reporting import text
from launch import cli

_STEP = flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
_TEXT = flags.DEFINE_string("text", None, "the pattern; --hole stands for each missing character")
_HOLE = flags.DEFINE_string("hole", "_", "one character that stands for a missing one")
_PAD = flags.DEFINE_bool("pad", True, "continue a short pattern by holes; otherwise its length must be the model's")
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 4, "how many completions")
_NUM_STEPS = flags.DEFINE_integer("num_steps", None, "network calls of an iterative sampler; default: all time steps")
_TEMPERATURE = flags.DEFINE_float("temperature", None, "below 1: more probable categories; above 1: more variety")
_SEED = flags.DEFINE_integer("seed", 0, "of the draws")


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(_STEP.value), say=cli.say)
  if _TEXT.value is None:
    raise InputError('nothing to complete; give --text="a pat____"')
  if run.model.infill is None:
    raise InputError(f"a model of kind {run.record.config['model']['kind']!r} cannot complete examples")
  length = run.record.event.shape[0]
  pattern = _TEXT.value + _HOLE.value * (length - len(_TEXT.value)) if _PAD.value else _TEXT.value
  x, observed = infilling.parse_pattern(pattern, run.encode, length=length, hole=_HOLE.value)
  drawn = infilling.infill(
    run.model,
    run.params,
    run.state,
    x,
    observed,
    key=jax.random.key(_SEED.value),
    num_samples=_NUM_SAMPLES.value,
    options=build.sample_options(run.record, num_steps=_NUM_STEPS.value, temperature=_TEMPERATURE.value),
  )
  cli.say(f"completions are {run.model.infill.explanation}")
  for example in drawn.x:
    cli.say(text.visible(run.decode(example)))


if __name__ == "__main__":
  cli.run(main)
