"""Prints what counts of the training split reach on held-out data: the rivals of any model of text or maps.

  python -m launch.baselines --config=configs/quickstart.py
  python -m launch.baselines --config=configs/text_file.py --config.data.path=mine.txt
  python -m launch.baselines --config=configs/label_maps.py --config.data.path=folder

Sequences: n-grams. Maps: every pixel by itself (one marginal for all, or one for each place), and pixels given their
neighbors to the left and above. All are exact. Scored on the same examples as models are: each by itself, without
what came before it.
"""

from catgen import build, experiment
from catgen.bounds import Estimate
from catgen.data import get_split
from catgen.evaluation import neighbor_counts, ngrams
from catgen.interfaces import Batch, DataSource, InputError
from catgen.reporting import text
from launch import cli, pictures

_ORDERS = {"unigram": 1, "bigram": 2, "5-gram": 5}
_NEIGHBOR_ORDERS = {
  "given left and above": 3,
  f"given {', '.join(neighbor_counts.NEIGHBORS)}": neighbor_counts.MAX_ORDER,
}
_MAX_MAPS = 5000  # of the training split


def main() -> None:
  config = cli.config()
  source, settings = build.make_source(config["data"]), config["evaluation"]
  show(count_baselines(source, settings["split"], settings["max_examples"]), source.position)
  if settings["max_examples"]:
    number = get_split(source, settings["split"]).num_examples
    cli.say(f"scored on the first {min(number, settings['max_examples']):,} of {number:,} {settings['split']} examples")
  if pictures.is_map(source.event):
    number = get_split(source, "train").num_examples
    cli.say(f"counted on the first {min(number, _MAX_MAPS):,} of {number:,} training maps")


def count_baselines(source: DataSource, split: str, max_examples: int = 0) -> dict[str, Estimate]:
  """Returns name -> cross-entropy of counts of the training split, on the first so many examples of a split (0: all).

  Raises:
    InputError: events are neither sequences nor maps, or a split is missing.
  """
  counted = {1: _sequence_baselines, 2: _map_baselines}.get(len(source.event.shape))
  if counted is None:
    raise InputError(f"events have shape {source.event.shape}; there are count baselines of sequences and maps only")
  return counted(source, experiment.examples_of(source, split, max_examples))


def _sequence_baselines(source: DataSource, held_out: Batch) -> dict[str, Estimate]:
  model = ngrams.fit(
    ngrams.training_rows(get_split(source, "train")),
    order=max(_ORDERS.values()),
    num_classes=source.event.num_classes,
  )
  return {name: ngrams.score(model, held_out, order=order) for name, order in _ORDERS.items()}


def _map_baselines(source: DataSource, held_out: Batch) -> dict[str, Estimate]:
  model = neighbor_counts.fit(get_split(source, "train"), num_classes=source.event.num_classes, max_maps=_MAX_MAPS)
  nats = {
    "independent pixels": neighbor_counts.log_prob(model, held_out, 1),
    "each place by itself": neighbor_counts.place_log_prob(model, held_out),
    **{name: neighbor_counts.log_prob(model, held_out, order) for name, order in _NEIGHBOR_ORDERS.items()},
  }
  return {name: neighbor_counts.estimate(each, held_out) for name, each in nats.items()}


def show(baselines: dict[str, Estimate], position: str) -> None:
  """Prints the table of baselines."""
  cli.say(text.table(["model", f"bits per {position}"], [[name, shown(found)] for name, found in baselines.items()]))


def shown(found: Estimate) -> str:
  """Returns a cross-entropy with its standard error over examples."""
  return text.plus_minus(found.bits, found.data_error)


if __name__ == "__main__":
  cli.define_config()
  cli.run(main)
