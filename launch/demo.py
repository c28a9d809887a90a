"""The whole tour in about ten minutes on two CPU cores: train, evaluate, sample, correct a sentence.

  make demo        (or: python -m launch.demo --workdir=runs/demo)

Trains configs/quickstart.py; running it again goes on where it was stopped. Other texts: see configs/text_file.py.
"""

import os
import time

from absl import flags

from catgen import build, experiment
from catgen.evaluation import ngrams
from catgen.interfaces import DataSource, SampleOptions
from catgen.reporting import text
from configs import quickstart
from launch import cli, evaluate, sample, spellcheck, train

FLAGS = flags.FLAGS

_ORDERS = {"unigram": 1, "bigram": 2, "5-gram": 5}


def main() -> int:
  started, workdir = time.monotonic(), FLAGS.workdir or "runs/demo"
  config = cli.resolved(quickstart.get_config())
  source = build.make_source(config["data"])
  cli.say("\n1. Baselines: counts of the training text")
  baselines = count_baselines(source, config["evaluation"]["split"])
  cli.say(
    text.table(["model", f"bits per {source.position}"], [[name, shown] for name, (_, shown) in baselines.items()])
  )
  cli.say("\n2. Training a multinomial diffusion model (Ctrl-C stops; the same command goes on)")
  training = time.monotonic()
  result = train.run(config, workdir, baselines={name: bits for name, (bits, _) in baselines.items()})
  if result.interrupted:
    return result.exit_code
  training = time.monotonic() - training
  run = build.load(workdir, say=cli.say)
  cli.say("\n3. Evaluation on held-out documents")
  record = evaluate.evaluate(run, workdir, source, config["evaluation"])
  cli.say(comparison(record, baselines))
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


def count_baselines(source: DataSource, split: str) -> dict[str, tuple[float, str]]:
  """Returns name -> (held-out bits per position, the same with its standard error) of n-gram counts."""
  model = ngrams.fit(
    *ngrams.training_rows(source.splits["train"]), order=max(_ORDERS.values()), num_classes=source.event.num_classes
  )
  x, valid = experiment.examples_of(source, split)
  scores = {name: ngrams.score(model, x, valid, order=order) for name, order in _ORDERS.items()}
  return {name: (found.bits, text.plus_minus(found.bits, found.data_error)) for name, found in scores.items()}


def comparison(record: dict, baselines: dict[str, tuple[float, str]]) -> str:
  """Returns the model's bound beside the baselines, on the same held-out examples."""
  rows = [[f"{name} counts", shown, "exact"] for name, (_, shown) in baselines.items()]
  rows.append(["multinomial diffusion", text.plus_minus(record["value"], record["data_error"]), "upper bound (ELBO)"])
  gain = baselines["bigram"][0] - record["value"]
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
