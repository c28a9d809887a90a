"""Counts of sequences, of characters or of plain integers: n-grams."""

from functools import partial

from catgen.data import get_split
from catgen.evaluation import ngrams
from catgen.interfaces import Batch
from catgen.media.medium import Counted
from catgen.sources import DataSource

_NAMES = {1: "unigram", 2: "bigram"}


def baselines(source: DataSource, batch: Batch) -> Counted:
  """Returns the cross-entropies of n-grams of the training split on the examples of a batch.

  The longest are 5-grams, or with very many categories the longest that can be packed. Only what occurs is kept: about
  100 MB for each million positions of the training split, of which up to 20 million are counted.
  """
  num_classes, train = source.event.num_classes, get_split(source, "train")
  model = ngrams.of_training(train, num_classes)
  longest = ngrams.longest(num_classes)
  note = (
    ""
    if longest == ngrams.LONGEST
    else f"longer n-grams than {longest} do not fit 63 bits with {num_classes:,} categories"
  )
  orders = {_NAMES.get(order, f"{order}-gram"): order for order in sorted({1, min(2, longest), longest})}
  score = partial(ngrams.score, model, batch, consecutive=train.consecutive)  # as all splits of a source are
  return Counted({name: score(order=order) for name, order in orders.items()}, note)
