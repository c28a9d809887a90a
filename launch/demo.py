"""The whole tour in about ten minutes on two CPU cores: train, evaluate, sample, correct a sentence.

  make demo        (or: python -m launch.demo --workdir=runs/demo)

Trains configs/quickstart.py; running it again goes on where it was stopped. Other texts: see configs/text_file.py.
"""

import os
import time

from absl import flags

from catgen import build
from catgen.bounds import Estimate
from catgen.config import load_config
from catgen.interfaces import SampleOptions
from catgen.reporting import text
from launch import baselines, cli, evaluate, sample, spellcheck, train

FLAGS = flags.FLAGS


def main() -> int:
  started, workdir = time.monotonic(), FLAGS.workdir or "runs/demo"
  config = load_config("quickstart").values
  source = build.make_source(config["data"])
  cli.say("\n1. Baselines: counts of the training text")
  counts = baselines.count_baselines(source, config["evaluation"]["split"])
  baselines.show(counts, source.position)
  cli.say("\n2. Training a multinomial diffusion model (Ctrl-C stops; the same command goes on)")
  training = time.monotonic()
  result = train.run(config, workdir, baselines={name: found.bits for name, found in counts.items()})
  if result.interrupted:
    return result.exit_code
  training = time.monotonic() - training
  run = build.load(workdir, say=cli.say)
  cli.say("\n3. Evaluation on held-out documents")
  record = evaluate.evaluate(run, workdir, source, config["evaluation"])
  cli.say(comparison(record, counts))
  cli.say("\n4. Samples, and how the first one condenses out of noise")
  options = SampleOptions(num_steps=config["sampling"]["num_steps"], num_frames=40)
  pictures = sample.draw(run, workdir, options, num_samples=4, batch_size=4, seed=0)
  cli.say("\n5. A sentence with typos, corrected")
  length = run.record.event.shape[0]
  spellcheck.correct(run, FLAGS.sentence[:length], error_rate=0.06, method="bayes")
  cli.say(f"\nDone in {time.monotonic() - started:.0f} s, training took {training:.0f} s. Look at:")
  for path in (os.path.join(workdir, "loss_curve.png"), *pictures, os.path.join(workdir, "results.json")):
    cli.say(f"  {path}")
  return 0


def comparison(record: dict, counts: dict[str, Estimate]) -> str:
  """Returns the model's bound beside the baselines, on the same held-out examples."""
  rows = [[f"{name} counts", baselines.shown(found), "exact"] for name, found in counts.items()]
  rows.append(["multinomial diffusion", text.plus_minus(record["value"], record["data_error"]), "upper bound (ELBO)"])
  gain = counts["bigram"].bits - record["value"]
  return (
    text.table(["model", f"{record['unit']} ± standard error", "kind"], rows)
    + f"\nThe diffusion model needs {gain:.2f} {record['unit']} less than the bigram."
  )


def define_flags() -> None:
  flags.DEFINE_string(
    "sentence", "return the nunber of itens in the lisp and raise a typeerrar if", "what the demo corrects"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)
