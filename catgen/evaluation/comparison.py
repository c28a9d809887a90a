"""Sets evaluations of several models side by side: seeds together, differences on the same examples."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from catgen import bounds, orders
from catgen.evaluation import results
from catgen.evaluation.estimators import OWN
from catgen.interfaces import InputError, SampleOptions

_DIFFERENT_EXAMPLES = (
  "the runs were not evaluated on the same examples, so they cannot be compared; "
  "train on the same data and evaluate with the same --split and --max_examples"
)


class Scores(NamedTuple):
  """The scores of single examples in one evaluation, as `results.save_scores` keeps them."""

  nats: Float[np.ndarray, "replicates examples"]
  numbers: Int[np.ndarray, "examples"]  # of the examples in the split
  positions: Int[np.ndarray, "examples"]


class Evaluation(NamedTuple):
  """One evaluated run."""

  record: Mapping[str, Any]  # of results.json, which says whether the scores are of pieces of one stream
  scores: Scores


class Summary(NamedTuple):
  """The evaluations of one model, trained with several seeds: means over them. Unknown errors are NaN."""

  bits: float
  data_error: float  # over examples, of the average over seeds
  monte_carlo_error: float  # of the estimate
  seed_error: float  # over seeds: standard deviation / sqrt(number)
  each: tuple[float, ...]  # bits of each seed


class Difference(NamedTuple):
  """Bits per position of one model less those of another, on the same examples."""

  bits: float
  error: float  # over examples, with the Monte Carlo noise that they carry; not that over seeds
  num_examples: int  # that both were evaluated on


def read_evaluations(
  workdir: str | os.PathLike[str],
  *,
  split: str,
  estimator: str | None = None,
  context: int = 0,
  memory: int = 0,
  given: str = "data",
  law: SampleOptions = OWN,
  named: str | None = None,
) -> dict[tuple[str, int], Evaluation]:
  """Returns the last evaluation by each (estimator, num_draws) on a split, with as much context, memory and labels as
  said, and of the same law of drawing; by default of the model's own.

  Its scores are in nats, [replicates, examples]. `named` is the folder of the model, where that is another.

  Raises:
    InputError: there is none, or its scores are missing.
  """
  records = [
    record
    for record in results.read_results(workdir)
    if record.get("split") == split
    and estimator in (None, record.get("estimator"))
    and (context, memory) == (record.get("context", 0), record.get("memory", 0))
    and given == record.get("given", given)
    and orders.of_record(record) == orders.stated(law)
  ]
  if not records:
    by = "" if estimator is None else f" by {estimator}"
    by += f" with context {context}" if context else ""
    by += f" with a memory of {memory}" if memory else ""
    by += f" of {orders.named(orders.stated(law))}" if law != OWN else ""
    where = named or os.fspath(workdir)
    raise InputError(f"{where} has no evaluation of the split {split!r}{by}; run launch.evaluate on it")
  for record in records:
    results.check_has(record, ("estimator", "num_draws", "step", "ema"), workdir)
  found = {(record["estimator"], record["num_draws"]): record for record in records}
  return {key: Evaluation(record, read_scores(results.scores_path(workdir, record))) for key, record in found.items()}


def read_scores(path: str | os.PathLike[str]) -> Scores:
  """Returns what `results.save_scores` wrote; raises InputError where it is missing or cannot be read."""
  arrays = results.read_kept(path)
  try:
    nats, numbers, positions = (arrays[name] for name in Scores._fields)
  except KeyError as error:
    raise InputError(f"cannot read {path} (it has no {error}); run launch.evaluate again") from error
  fits = nats.ndim == 2 and nats.size and numbers.shape == positions.shape == nats.shape[1:]
  if not fits or (nats.dtype.kind, numbers.dtype.kind, positions.dtype.kind) != ("f", "i", "i") or positions.min() < 1:
    raise InputError(f"cannot read {path} (its arrays are no scores of examples); run launch.evaluate again")
  return Scores(nats, numbers, positions)


def summarize(evaluations: Sequence[Evaluation]) -> Summary:
  """Returns the mean over seeds, in bits per position.

  Raises:
    InputError: the seeds were evaluated on different examples.
  """
  first = evaluations[0]
  for other in evaluations[1:]:
    _check_same_examples(first, other)
  each = tuple(_number(evaluation.record["value"]) for evaluation in evaluations)
  errors = [_number(evaluation.record["monte_carlo_error"]) for evaluation in evaluations]
  return Summary(
    bits=float(np.mean(each)),
    data_error=bounds.estimate(
      _mean_nats(evaluations)[None], first.scores.positions, consecutive=consecutive(evaluations)
    ).data_error,
    monte_carlo_error=math.hypot(*errors) / len(errors),
    seed_error=float(np.std(each, ddof=1) / math.sqrt(len(each))) if len(each) > 1 else math.nan,
    each=each,
  )


def difference(evaluations: Sequence[Evaluation], reference: Sequence[Evaluation]) -> Difference:
  """Returns bits of the first less those of the reference, seeds averaged, paired by example over those that both have.

  Raises:
    InputError: they were evaluated on other data, or have no example in common.
  """
  one, other = evaluations[0], reference[0]
  _, own, its = np.intersect1d(one.scores.numbers, other.scores.numbers, return_indices=True)
  positions = one.scores.positions[own]
  same_data = one.record["data_fingerprint"] == other.record["data_fingerprint"]
  if not same_data or not own.size or not np.array_equal(positions, other.scores.positions[its]):
    raise InputError(_DIFFERENT_EXAMPLES)
  nats = _mean_nats(evaluations)[own] - _mean_nats(reference)[its]
  paired = bounds.estimate(nats[None], positions, consecutive=consecutive([*evaluations, *reference]))
  return Difference(paired.bits, paired.data_error, len(own))


def consecutive(evaluations: Sequence[Evaluation]) -> bool:
  """Returns whether evaluations of the same data are of pieces of one stream: one that says so speaks for all."""
  return any(results.consecutive(each.record) for each in evaluations)


def _mean_nats(evaluations: Sequence[Evaluation]) -> np.ndarray:
  return np.mean([evaluation.scores.nats.mean(axis=0) for evaluation in evaluations], axis=0)


def _check_same_examples(one: Evaluation, other: Evaluation) -> None:
  same = (
    one.record["data_fingerprint"] == other.record["data_fingerprint"]
    and np.array_equal(one.scores.numbers, other.scores.numbers)
    and np.array_equal(one.scores.positions, other.scores.positions)
  )
  if not same:
    raise InputError(_DIFFERENT_EXAMPLES)


def _number(value: float | int | None) -> float:
  return math.nan if value is None else float(value)
