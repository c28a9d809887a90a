"""Labels of examples by Bayes' rule, from a model that was trained with labels: no classifier is trained."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from catgen.data.tabular.codec import listed, table_of
from catgen.evaluation import classification, estimators
from catgen.evaluation.classification import Posterior, Quality
from catgen.evaluation.results import without_nan
from catgen.files import check_apart, check_writable, writing
from catgen.interfaces import Batch, InputError
from catgen.kinds import nearest
from catgen.media.medium import Examples
from catgen.records import shown_briefly
from catgen.reporting import terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import classify_column
from catgen.runs.by_products import shown_where_lost
from catgen.runs.load import Run
from catgen.runs.score import examples_of, measured, spread_examples
from catgen.sources import Attribute
from catgen.training import distributed

_COUNTED = 10_000  # training examples, for the frequencies of labels
_SHOWN_CHARACTERS, _LARGEST_TABLE = 60, 10


@shown_briefly
class Classified(NamedTuple):
  """Probabilities of the labels of examples, in their order."""

  attribute: Attribute
  posterior: Posterior
  log_prior: Float[np.ndarray, "labels"]
  names: Int[np.ndarray, "examples"]  # numbers in a file or a split, or of lines
  shown: list[str]  # each example in a line; empty where examples are no lines
  labels: Int[np.ndarray, "examples"]  # the true ones; the number of labels where unknown
  quality: Quality | None  # where true labels are known
  estimator: str
  num_draws: int
  num_replicates: int
  warnings: tuple[str, ...]
  top: int
  output: str | None

  @property
  def probabilities(self) -> Float[np.ndarray, "examples labels"]:
    """p(label | example), in the order of `attribute.values`."""
    return np.exp(self.posterior.log_probs)


def classify(
  run: Run,
  examples: Examples | None = None,
  *,
  input: str | None = None,
  encoding: str | None = None,
  split: str | None = None,
  max_examples: int | None = None,
  attribute: str | None = None,
  column: str | None = None,
  prior: Literal["data", "uniform"] = "data",
  estimator: estimators.Name | None = None,
  given: Sequence[str] = (),
  num_draws: int = 4,
  seed: int = 0,
  top: int = 10,
  output: str | None = None,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Classified:
  """Finds the label of examples: p(label | x) is proportional to p(label) p(x | label), of the model's likelihood.

  Args:
    run: a model whose data have labels.
    examples: texts or arrays, or one of them.
    input: a file as `sample` writes them: .npy of one example or several; of text also .jsonl, or one example a line.
    encoding: of a text of --input without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...; default:
      UTF-8 where the file is, else that of the run's data.
    split: classify examples of the run's data, train, validation or test, and say how often that is right.
    max_examples: how many of --split, evenly spread over it; 0 = all; default: 512.
    attribute: which label, where examples have several.
    column: of tables: tell this column from all others, instead of a label; a cell _ is not known. A masked model takes
      any holes, in a call for each batch of rows with the same ones; others need a likelihood for each value.
    prior: p(label): "data", its frequencies among 10,000 training examples, or "uniform", which reads no data; of a
      column only what its probabilities are set beside.
    estimator: of the likelihood; default: exact where the model can, otherwise elbo.
    given: another label of all examples that are handed in, name=value; may be repeated.
    num_draws: draws per example and label, in each of 4 replicates; S of iwbo. All labels share their draws.
    seed: of the draws.
    top: how many examples to print.
    output: also write all probabilities to this file, one JSON object a line.
    say: receives a line where a file cannot be written.
    progress: opens the bar.

  Raises:
    InputError: the data of the run have no labels, or there is nothing to classify.
  """
  if top < 0:
    raise InputError(f"--top is {top}; give a number of examples to print, or 0 for none")
  check_apart(output, input)
  if column is not None:
    own = {"attribute": attribute, "estimator": estimator, "given": given}
    if others := [f"--{name}" for name, value in own.items() if value]:
      raise InputError(f"a column is told without {', '.join(others)}; leave it out")
    asked = classify_column.Asked(examples, input, split, max_examples, encoding)
    return _column(run, column, asked, prior, num_draws, seed, top, output, say, progress)
  place = _place(run, attribute)
  chosen = run.record.attributes[place]
  distributed.first_does(lambda: check_writable(output))
  batch, _ = examples_of(run, examples, input, split, max_examples, given, encoding)
  labels = _labels(batch, run.record.event.given)
  known = np.full(len(batch.x), len(chosen.values)) if batch.given is None else np.asarray(batch.given)[:, place]
  log_prior = _log_prior(run, place, prior)
  found = [
    measured(
      run,
      batch._replace(given=_with(labels, place, value)),
      title=f"{chosen.name}={name}",
      estimator=estimator,
      num_draws=num_draws,
      seed=seed,
      same_draws=False,
      progress=progress,
    )
    for value, name in enumerate(chosen.values)
  ]
  first, numbers = found[0], found[0].numbers
  posterior = classification.posterior(
    np.stack([each.nats for each in found], axis=-1), log_prior, exact=first.estimator == "exact"
  )
  known = known[numbers]
  told = known < len(chosen.values)
  quality = classification.quality(posterior.log_probs[told], known[told], log_prior) if told.any() else None
  lines = run.media.shown(batch) if run.media.line_each else []
  classified = Classified(
    attribute=chosen,
    posterior=posterior,
    log_prior=log_prior,
    names=np.asarray(batch.index)[numbers],
    shown=[lines[number] for number in numbers] if lines else [],
    labels=known,
    quality=quality,
    estimator=first.estimator,
    num_draws=first.num_draws,
    num_replicates=first.num_replicates,
    warnings=tuple(dict.fromkeys(line for each in found for line in each.warnings)),
    top=top,
    output=output,
  )
  return _written(classified, say)


def _written(classified: Classified, say: Callable[[str], None]) -> Classified:
  """Returns what was found, and writes it where an output is named."""
  output = classified.output
  if output is not None:
    with shown_where_lost(say, lambda: describe(classified._replace(output=None))):
      distributed.first_does(lambda: _write(classified, output))
  return classified


def _column(
  run: Run,
  name: str,
  asked: classify_column.Asked,
  prior: str,
  num_draws: int,
  seed: int,
  top: int,
  output: str | None,
  say: Callable[[str], None],
  progress: OpenProgress,
) -> Classified:
  """Returns a column of a table, told from the others; see `classify`."""
  place, chosen = classify_column.column_of(run, name)
  distributed.first_does(lambda: check_writable(output))
  batch = classify_column.rows_of(run, asked)
  size = len(chosen.values)
  posterior, estimator, replicates, warnings = classify_column.told(
    run, batch, place, chosen.values, num_draws=num_draws, seed=seed, progress=progress
  )
  labels = classify_column.truth(batch, place, size)
  known, log_prior = labels < size, np.full(size, -np.log(size))
  if known.any() and prior == "data":
    log_prior = classify_column.log_prior(run, place, size, _COUNTED)
  classified = Classified(
    attribute=chosen,
    posterior=posterior,
    log_prior=log_prior,
    names=np.asarray(batch.index),
    shown=[],
    labels=labels,
    quality=classification.quality(posterior.log_probs[known], labels[known], log_prior) if known.any() else None,
    estimator=estimator,
    num_draws=num_draws,
    num_replicates=replicates,
    warnings=warnings,
    top=top,
    output=output,
  )
  return _written(classified, say)


def _place(run: Run, name: str | None) -> int:
  names = [attribute.name for attribute in run.record.attributes]
  if not names and run.media.filled is not None:
    columns = table_of(run.record.codec.spec).names
    raise InputError(
      f"the rows of this run have no labels; say which column to tell from the others by --column: {listed(columns)}"
    )
  if not names:
    raise InputError("the data of this run have no labels, so there is none to find")
  if name is None and len(names) > 1:
    raise InputError(f"examples have several labels; say which by --attribute: {', '.join(names)}")
  if name is not None and name not in names:
    raise InputError(f"there is no label {name!r}; {nearest(name, dict.fromkeys(names))}")
  return 0 if name is None else names.index(name)


def _labels(batch: Batch, sizes: tuple[int, ...]) -> Int[np.ndarray, "examples attributes"]:
  """Returns what is given of each example, "not given" where it is nothing."""
  return np.tile(np.array(sizes, np.int32), (len(batch.x), 1)) if batch.given is None else np.asarray(batch.given)


def _with(labels: Int[np.ndarray, "examples attributes"], place: int, value: int) -> Int[np.ndarray, "examples _"]:
  changed = labels.copy()
  changed[:, place] = value
  return changed


def _log_prior(run: Run, place: int, prior: str) -> Float[np.ndarray, "labels"]:
  number = run.record.event.given[place]
  if prior == "uniform":
    return np.full(number, -np.log(number))
  given = spread_examples(run, "train", _COUNTED).given
  assert given is not None
  return classification.log_prior_of(np.bincount(np.asarray(given)[:, place], minlength=number + 1)[:number])


def _write(classified: Classified, output: str) -> None:
  with writing(output) as file:
    file.writelines(f"{json.dumps(each, allow_nan=False)}\n".encode() for each in records(classified))


def records(classified: Classified) -> list[dict[str, Any]]:
  """Returns a JSON object of each example."""
  values = classified.attribute.values
  common = {"attribute": classified.attribute.name, "estimator": classified.estimator}
  rows = []
  for name, row, errors, label in zip(
    classified.names, classified.probabilities, classified.posterior.errors, classified.labels, strict=True
  ):
    rows.append(
      without_nan(
        {
          "example": int(name),
          "probabilities": dict(zip(values, row.tolist(), strict=True)),
          "monte_carlo_errors": dict(zip(values, errors.tolist(), strict=True)),
          "label": values[label] if label < len(values) else None,
          **common,
        }
      )
    )
  return rows


def describe(classified: Classified) -> str:
  """Returns a table of the first examples, and how well the labels are told where they are known."""
  values, rows = [terminal.visible(value) for value in classified.attribute.values], []
  exact = classified.estimator == "exact"
  for i in range(min(classified.top, len(classified.names))):
    best, label = int(classified.probabilities[i].argmax()), int(classified.labels[i])
    probability, error = classified.probabilities[i, best], classified.posterior.errors[i, best]
    row = [str(classified.names[i]), values[best]]
    row.append(f"{probability:.4f}" if exact else terminal.plus_minus(probability, error, 4))
    row.append(values[label] if label < len(values) else "")
    rows.append(row + ([classified.shown[i][:_SHOWN_CHARACTERS]] if classified.shown else []))
  name = classified.attribute.name
  probability_title = "probability" if exact else "probability ± Monte Carlo"
  header = ["example", name, probability_title, "in the data", *(["text"] if classified.shown else [])]
  lines = [terminal.table(header, rows)] if rows else []
  lines.append(f"{len(classified.names):,} examples; {_estimated(classified)}")
  lines += _quality(classified.quality, values) if classified.quality else []
  lines += [f"warning: {line}" for line in classified.warnings]
  if classified.output is not None:
    lines.append(f"{len(classified.names):,} rows of probabilities written to {classified.output}")
  return "\n".join(lines)


def _estimated(classified: Classified) -> str:
  if classified.estimator == "exact":
    return "exact probabilities of the model"
  draws = terminal.counted(classified.num_draws, "draw")
  drawn = f"{draws} x {classified.num_replicates} replicates, the same for all labels"
  return f"ratios of bounds ({classified.estimator}, {drawn}), which are not exact probabilities"


def _quality(quality: Quality, values: Sequence[str]) -> list[str]:
  lines = [
    f"right: {terminal.plus_minus(quality.accuracy, quality.accuracy_error, 4)} of {quality.num_examples:,} "
    f"(always the most frequent label: {quality.prior_accuracy:.4f})",
    f"log loss: {terminal.plus_minus(quality.log_loss, quality.log_loss_error, 4)} bits per example "
    f"(frequencies alone: {quality.prior_log_loss:.4f})",
  ]
  if len(values) <= _LARGEST_TABLE:
    rows = [[f"is {value}", *map(str, row)] for value, row in zip(values, quality.confusion, strict=True)]
    lines.append(terminal.table(["", *(f"said {value}" for value in values)], rows))
  return lines
