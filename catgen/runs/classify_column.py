"""A column of a table told from the others: in one call of a masked model, by Bayes' rule where a model is another."""

import functools
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from catgen import meshes
from catgen.batches import take
from catgen.data.tabular.codec import listed, table_of
from catgen.data.tabular.columns import category_names
from catgen.evaluation import classification
from catgen.evaluation.classification import Posterior
from catgen.evaluation.spread import Spread, fetch
from catgen.interfaces import Batch, InputError, Model, PyTree
from catgen.media.medium import HOLE, Examples
from catgen.reporting.progress import OpenProgress
from catgen.runs.handed_in import several
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.runs.score import check_is_of_split, measured, spread_examples
from catgen.sources import Attribute


def column_of(run: Run, name: str) -> tuple[int, Attribute]:
  """Returns the number of a column, and what its categories are called. Raises InputError where there is none."""
  if run.media.filled is None:
    raise InputError(f"--column is of tables, and this is a model of {run.media.name}; leave it out")
  columns = table_of(run.record.codec.spec).columns
  places = {column.name: i for i, column in enumerate(columns)}
  if name not in places:
    raise InputError(f"there is no column {name!r}; the columns are {listed(list(places))}")
  return places[name], Attribute(name, category_names(columns[places[name]]))


class Asked(NamedTuple):
  """Which rows; see `classify`."""

  examples: Examples | None
  path: str | None
  split: str | None
  most: int | None  # of a split
  encoding: str | None = None


def rows_of(run: Run, asked: Asked) -> Batch:
  """Returns rows that are handed in, or of a file or a split; HOLE stands for a cell that is not known."""
  examples, path, split, number, encoding = asked
  if examples is None and (path is None) == (split is None):
    raise InputError("say what to classify: either --input=file or --split=test")
  if split is not None and examples is None:
    return spread_examples(run, split, number)
  check_is_of_split(number)
  assert run.media.read_holes is not None
  assert run.media.typed_holes is not None
  if examples is not None:
    return run.media.typed_holes(several(run.media, run.record.event.shape, examples))
  return run.media.read_holes(path, encoding=encoding_for(run.record, path, encoding))


def log_prior(run: Run, place: int, size: int, number: int) -> Float[np.ndarray, "values"]:
  """Returns the logarithm of how often each value is in training rows."""
  x = np.asarray(spread_examples(run, "train", number).x)[:, place]
  return classification.log_prior_of(np.bincount(x, minlength=size)[:size])


def told(
  run: Run, batch: Batch, place: int, names: Sequence[str], *, num_draws: int, seed: int, progress: OpenProgress
) -> tuple[Posterior, str, int, tuple[str, ...]]:
  """Returns the probabilities of the values of a column given all other cells of each row, and how they were found.

  Returns:
    The probabilities; the estimator, "exact" where nothing was drawn; replicates; warnings.

  Raises:
    InputError: another cell is not known, and the model is none that is masked.
  """
  x = np.asarray(batch.x)
  known = (x != HOLE) & np.asarray(batch.valid)
  known[:, place] = False
  infill = run.model.infill
  if run.model.sequential is not None and infill is not None and infill.exact and not infill.prefix_only:
    found = _masked(run, batch, known, place, progress)[:, : len(names)]
    return Posterior(found, np.zeros(found.shape)), "exact", 1, ()
  holes = ~np.delete(known, place, axis=1)
  if holes.any():
    row = int(np.flatnonzero(holes.any(axis=1))[0])
    raise InputError(
      f"row {row} lacks other cells than that of the column, and this model tells a column from all others; fill them"
      " in, or train a masked model, which takes any"
    )
  by_value = []
  for value, name in enumerate(names):
    changed = x.copy()
    changed[:, place] = value
    by_value.append(
      measured(
        run,
        batch._replace(x=changed),
        title=name,
        estimator=None,
        num_draws=num_draws,
        seed=seed,
        same_draws=False,
        progress=progress,
      )
    )
  nats, first = np.stack([each.nats for each in by_value], axis=-1), by_value[0]
  by_rule = classification.posterior(nats, np.zeros(len(names)), exact=first.estimator == "exact")
  warnings = tuple(dict.fromkeys(line for each in by_value for line in each.warnings))
  return by_rule, first.estimator, first.num_replicates, warnings


def _masked(
  run: Run, batch: Batch, known: Bool[np.ndarray, "rows columns"], place: int, progress: OpenProgress
) -> Float[np.ndarray, "rows values"]:
  """Returns log p(column | what is known), rows with the same holes together."""
  program = _program(run.model, run.spread)
  size = run.spread.filled(min(max(1, run.record.config["evaluation"]["batch_size"]), len(known)))
  found = np.empty((len(known), run.model.event.num_classes))
  patterns, groups = np.unique(known, axis=0, return_inverse=True)
  with closing(progress(len(known), unit="row", title="classify")) as bar:
    for number, pattern in enumerate(patterns):
      rows, seen = np.flatnonzero(groups == number), np.flatnonzero(pattern)
      places = np.zeros(pattern.size, np.int32)
      places[: len(seen)] = seen
      for start in range(0, len(rows), size):
        some = rows[start : start + size]
        part = take(batch, np.resize(some, size))  # of one size, so that one program is compiled
        x, given = run.spread.put((np.where(pattern, part.x, 0), part.given))
        log_probs = program(run.params, run.state, x, places, np.int32(len(seen)), np.int32(place), given)
        found[some] = fetch(log_probs)[: len(some)]
        bar.update(len(some))
  return found


@functools.lru_cache(maxsize=4)
def _program(model: Model, spread: Spread) -> Callable[..., Array]:
  """Returns (params, state, x, places of what is known, their number, place asked for, given) -> log p, compiled."""
  sequential = model.sequential
  assert sequential is not None

  def log_probs(
    params: PyTree, state: PyTree, x: Array, places: Array, number: Array, place: Array, given: Array | None
  ) -> Float[Array, "rows classes"]:
    x, given = meshes.spread((x, given))

    def show(i: Array, carry: PyTree) -> PyTree:
      return sequential.observe(carry, places[i], jnp.take(x, places[i], axis=1))

    start = sequential.start(params, meshes.spread(jnp.ones(x.shape, bool)), given=given, state=state)
    carry = jax.lax.fori_loop(0, number, show, start)
    return jax.nn.log_softmax(sequential.log_probs(params, carry, place)[0])

  return spread.compiled(log_probs)


def truth(batch: Batch, place: int, size: int) -> Int[np.ndarray, "rows"]:
  """Returns the categories of a column as they are in the data; `size` where they are not known."""
  x = np.asarray(batch.x)[:, place]
  return np.where(x == HOLE, size, x)
