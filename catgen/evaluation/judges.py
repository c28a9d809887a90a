"""Judges samples whose own probabilities nobody knows: by counts of the training split, its pairs and its words.

None of these numbers is a likelihood of the model, and each can be had by samples that are worthless: the most probable
sequence, repeated, has a low cross-entropy. So cross-entropy stands beside entropy, and all of it beside held-out data.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from catgen.bounds import bits_per_position
from catgen.evaluation import neighbor_counts, ngrams, shares
from catgen.evaluation.order_curves import Mean, ratio
from catgen.evaluation.samples import Frequencies, divergence, entropy, frequencies, whole_words, word_rate
from catgen.interfaces import Batch
from catgen.sources import Split

_POSITIONS = 4_000_000  # of the training split, about, for pairs, words, and the neighbors of pixels


class Judge(NamedTuple):
  """What the training split says of examples."""

  counts: str  # what cross-entropies are of: "5-grams", "neighbors that came before"
  nats: Callable[[Batch], Float[np.ndarray, "examples *event"]]  # log p of each valid position, 0 elsewhere
  frequencies: Frequencies
  vocabulary: frozenset[str] | None  # None: examples are no text
  texts: Callable[[Batch], Sequence[str]]


class Judgement(NamedTuple):
  """What is seen of a set of examples; errors are standard errors over examples."""

  cross_entropy: Mean  # bits per position, under the counts
  entropy: float  # of a single position, in bits: low where samples repeat themselves
  pairs: float  # Jensen-Shannon divergence of neighboring pairs from training, bits, the mean over axes; few raise it
  words: Mean | None  # share of the words that training has


def of_sequences(train: Split, *, num_classes: int, texts: Callable[[Batch], Sequence[str]] | None = None) -> Judge:
  """Returns the judge that n-grams of the training split make.

  texts: of sequences that are text, the text of each example, whose words are counted too.

  Raises:
    InputError: there is nothing to count.
  """
  grams, longest = ngrams.of_training(train, num_classes), ngrams.longest(num_classes)
  seen = _first(train)
  return Judge(
    f"{longest}-grams",
    lambda batch: ngrams.log_prob(grams, batch, order=longest),
    frequencies(seen, num_classes),
    None if texts is None else frozenset(word for text in texts(seen) for word in whole_words(text)),
    texts or (lambda batch: ()),
  )


def of_maps(train: Split, *, num_classes: int) -> Judge:
  """Returns the judge that neighbors in the maps of the training split make.

  Raises:
    InputError: there is nothing to count.
  """
  seen, longest = _first(train), neighbor_counts.longest_order(num_classes)
  maps = neighbor_counts.fit(train, num_classes=num_classes, max_maps=len(seen.x))
  number = len(neighbor_counts.neighbors(seen.x.shape[1:], longest))
  return Judge(
    f"pixels given {number} neighbor{'s' * (number != 1)}",
    lambda batch: neighbor_counts.log_prob(maps, batch, longest),
    frequencies(seen, num_classes),
    None,
    lambda batch: (),
  )


def _first(train: Split) -> Batch:
  """Returns the training examples that are looked at."""
  number = max(1, _POSITIONS // train.examples(np.arange(1)).x.size)
  return train.examples(np.arange(min(train.num_examples, number)))


def judged(judge: Judge, examples: Batch, *, consecutive: bool = False) -> Judgement:
  """Returns what the judge says of some examples; consecutive: they are pieces of one stream, in its order."""
  flat = judge.nats(examples).reshape(len(examples.x), -1).sum(axis=1)
  positions = examples.valid.reshape(len(examples.x), -1).sum(axis=1)
  own, trained = frequencies(examples, judge.frequencies.pairs.num_classes), judge.frequencies
  apart = [divergence(own.pairs, trained.pairs)]
  if own.pairs_below is not None and trained.pairs_below is not None:
    apart.append(divergence(own.pairs_below, trained.pairs_below))
  return Judgement(
    ratio(bits_per_position(-flat, 1.0), positions, consecutive=consecutive),
    entropy(own.classes),
    float(np.mean(apart)),
    _words(judge, examples, consecutive),
  )


def _words(judge: Judge, examples: Batch, consecutive: bool) -> Mean | None:
  if judge.vocabulary is None:
    return None
  known, counts = np.array([word_rate([text], judge.vocabulary) for text in judge.texts(examples)]).T
  if not counts.sum():
    return Mean(float("nan"), float("nan"))
  return Mean(float(known.sum() / counts.sum()), shares.error(known, counts, consecutive=consecutive))
