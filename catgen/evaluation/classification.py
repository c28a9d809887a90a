"""Which label examples have, by Bayes' rule from a model that is given labels: p(y | x) = p(y) p(x | y) / p(x)."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

from catgen.bounds import bits_per_position
from catgen.evaluation import shares
from catgen.records import shown_briefly


@shown_briefly
class Posterior(NamedTuple):
  """Probabilities of the labels of each example."""

  log_probs: Float[np.ndarray, "examples labels"]  # nats, normalized
  errors: Float[np.ndarray, "examples labels"]  # of the probabilities, Monte Carlo; NaN where unknown


class Quality(NamedTuple):
  """How well probabilities tell the labels that are known, beside the prior alone; errors are over examples."""

  accuracy: float
  accuracy_error: float
  log_loss: float  # bits per example: the mean of -log2 p(its label)
  log_loss_error: float
  prior_accuracy: float  # of always saying the most frequent label
  prior_log_loss: float
  confusion: Int[np.ndarray, "labels labels"]  # entry (a, b): examples of label a of which b is the most probable
  num_examples: int


def posterior(
  nats: Float[np.ndarray, "replicates examples labels"], log_prior: Float[np.ndarray, "labels"], *, exact: bool = False
) -> Posterior:
  """Returns p(y | x) of what the likelihood says of each example given each label: exact where this is.

  Of bounds it is their ratio: near p(y | x) where the bounds are about equally loose for all labels.

  Args:
    nats: log p(x | y), or a bound on it, of each replicate of the whole estimate, the labels sharing their draws.
    log_prior: log p(y).
    exact: nothing was drawn.

  Example:
    >>> np.exp(posterior(np.log([[[0.2, 0.1]]]), np.log([0.5, 0.5])).log_probs).round(3).tolist()
    [[0.667, 0.333]]
  """
  found = log_softmax(nats.mean(axis=0) + log_prior, axis=-1)
  if exact or len(nats) == 1:
    return Posterior(found, np.full(found.shape, 0.0 if exact else math.nan))
  each = np.exp(log_softmax(nats + log_prior, axis=-1))
  return Posterior(found, each.std(axis=0, ddof=1) / math.sqrt(len(nats)))


def log_prior_of(counts: Int[np.ndarray, "labels"]) -> Float[np.ndarray, "labels"]:
  """Returns log p(y) by counts of labels, each counted once more, so that none is impossible (Laplace)."""
  return np.log(counts + 1.0) - math.log(counts.sum() + len(counts))


def quality(
  log_probs: Float[np.ndarray, "examples labels"],
  labels: Int[np.ndarray, "examples"],
  log_prior: Float[np.ndarray, "labels"],
) -> Quality:
  """Returns how well the probabilities tell the true `labels`, at least one; of equals the first label is taken."""
  num_labels, said = log_probs.shape[1], log_probs.argmax(axis=1)
  losses = bits_per_position(-np.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0], 1)
  confusion = np.zeros((num_labels, num_labels), int)
  np.add.at(confusion, (labels, said), 1)
  right = (said == labels).astype(float)
  return Quality(
    accuracy=float(right.mean()),
    accuracy_error=shares.error(right),
    log_loss=float(losses.mean()),
    log_loss_error=float(losses.std(ddof=1) / math.sqrt(len(losses))) if len(losses) > 1 else math.nan,
    prior_accuracy=float((labels == log_prior.argmax()).mean()),
    prior_log_loss=float(bits_per_position(-log_prior[labels], 1).mean()),
    confusion=confusion,
    num_examples=len(labels),
  )
