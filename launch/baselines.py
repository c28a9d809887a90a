"""Prints what counts of the training split reach on held-out data: the rivals of any model of sequences.

  python -m launch.baselines --config=configs/quickstart.py
  python -m launch.baselines --config=configs/text_file.py --config.data.path=mine.txt

Scored on the same sequences as models are: each by itself, without what came before it.
"""

from catgen import build, experiment
from catgen.bounds import Estimate
from catgen.evaluation import ngrams
from catgen.interfaces import DataSource
from catgen.reporting import text
from launch import cli

_ORDERS = {"unigram": 1, "bigram": 2, "5-gram": 5}


def main() -> None:
  config = cli.config()
  source = build.make_source(config["data"])
  show(count_baselines(source, config["evaluation"]["split"]), source.position)


def count_baselines(source: DataSource, split: str) -> dict[str, Estimate]:
  """Returns name -> held-out cross-entropy of n-gram counts of the training split."""
  model = ngrams.fit(
    *ngrams.training_rows(source.splits["train"]), order=max(_ORDERS.values()), num_classes=source.event.num_classes
  )
  x, valid = experiment.examples_of(source, split)
  return {name: ngrams.score(model, x, valid, order=order) for name, order in _ORDERS.items()}


def show(baselines: dict[str, Estimate], position: str) -> None:
  """Prints the table of baselines."""
  cli.say(text.table(["model", f"bits per {position}"], [[name, shown(found)] for name, found in baselines.items()]))


def shown(found: Estimate) -> str:
  """Returns a cross-entropy with its standard error over examples."""
  return text.plus_minus(found.bits, found.data_error)


if __name__ == "__main__":
  cli.define_config()
  cli.run(main)
