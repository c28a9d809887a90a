"""Counts of sequences, of characters or of plain integers: n-grams."""

from catgen.data import get_split
from catgen.evaluation import ngrams
from catgen.interfaces import Batch, DataSource
from catgen.media.medium import Counted

_ORDERS = {"unigram": 1, "bigram": 2, "5-gram": 5}


def baselines(source: DataSource, batch: Batch) -> Counted:
  """Returns the cross-entropies of n-grams of the training split on the examples of a batch."""
  model = ngrams.fit(
    ngrams.training_rows(get_split(source, "train")),
    order=max(_ORDERS.values()),
    num_classes=source.event.num_classes,
  )
  return Counted({name: ngrams.score(model, batch, order=order) for name, order in _ORDERS.items()}, "")
