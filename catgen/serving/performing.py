"""What the device does for clients: draws that can be watched, corrections and scores, of several clients at once.

Calls have a few numbers of rows (`SIZES`), the rest of which is filled up, so that few programs are compiled, whatever
is asked for. What a row gives does not depend on the others: each has its own key, or shares none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from catgen.batches import concatenate, take
from catgen.bounds import estimate
from catgen.data.codecs import end_of
from catgen.evaluation import outliers, spelling
from catgen.evaluation.infilling import Pattern
from catgen.evaluation.likelihood import Likelihood
from catgen.evaluation.results import without_nan
from catgen.evaluation.watching import watch
from catgen.interfaces import Batch, SampleOptions
from catgen.keys import example_keys, root_key
from catgen.reporting.progress import Progress
from catgen.runs.score import measured
from catgen.serving.served import Served, characters, on_the_way, shown
from catgen.serving.worker import Job

SIZES = (1, 4, 16, 64)  # rows of a call of the device


class Draw(NamedTuple):
  """What is to be drawn for one client."""

  number: int
  seed: int
  given: Int[np.ndarray, "attributes"] | None
  pattern: Pattern | None  # with a first axis of 1
  states: bool  # whether it wants to see those on the way
  row: Any = None  # the row of a table that is completed, as it was sent
  hole: str = "_"


class _Left(Exception):  # noqa: N818 it is no error
  """Nobody wants the scores any more."""


def filled(number: int) -> int:
  """Returns the least size of a call with room for a number of rows; a multiple of the largest one beyond it.

  Example:
    >>> [filled(number) for number in (1, 2, 16, 65)]
    [1, 4, 16, 128]
  """
  return next((size for size in SIZES if size >= number), -(-number // SIZES[-1]) * SIZES[-1])


def draw(model: Served, options: SampleOptions, num_states: int, jobs: Sequence[Job]) -> Iterator[None]:
  """Draws samples, or completions, for several clients; see `worker.Job.perform`. Contents are `Draw`s."""
  run, asked = model.run, [job.content for job in jobs]
  keys = np.concatenate([_keys(each.seed, each.number) for each in asked])
  rows = np.minimum(np.arange(filled(len(keys))), len(keys) - 1)
  given = None
  if asked[0].given is not None:
    given = np.repeat([each.given for each in asked], [each.number for each in asked], axis=0)[rows].astype(np.int32)
  pattern = None
  if asked[0].pattern is not None:
    parts = [Pattern(*(np.repeat(array, each.number, axis=0) for array in each.pattern[:2])) for each in asked]
    pattern = Pattern(*(np.concatenate([part[i] for part in parts])[rows] for i in (0, 1)))
  wrapped = jax.random.wrap_key_data(jnp.asarray(keys[rows]))
  states = watch(
    run.model, model.drawing, run.state, wrapped, pattern=pattern, given=given, options=options, num_states=num_states
  )
  stops = np.cumsum([each.number for each in asked])
  for state in states:
    share, last = state.moves / state.num_moves, state.moves == state.num_moves
    for job, each, stop in zip(jobs, asked, stops, strict=True):
      own = slice(stop - each.number, stop)
      if last:
        job.tell("done", _completed(each, shown(model, state.x[own], state.valid[own])))
      elif each.states and not job.cancelled:
        job.tell("state", {"share": share, "examples": on_the_way(model, state.x[own])})
    yield


def _completed(asked: Draw, examples: list[Any]) -> list[Any]:
  """Returns rows of a table with the cells that were sent as they were; other examples as they are."""
  if asked.row is None:
    return examples
  known = asked.row if isinstance(asked.row, dict) else dict(zip(examples[0], asked.row, strict=True))
  return [{**each, **{name: cell for name, cell in known.items() if cell != asked.hole}} for each in examples]


def kept(row: Any, told: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the correction of a row with the cells that are not changed as they were sent."""
  known = row if isinstance(row, Mapping) else dict(zip(told["corrected"], row, strict=True))
  changed = {place for each in told["changes"] for place in each["place"]}
  cells = ((name, cell if i in changed else known[name]) for i, (name, cell) in enumerate(told["corrected"].items()))
  return {**told, "corrected": dict(cells)}


def _keys(seed: int, number: int) -> Int[np.ndarray, "number words"]:
  """Returns the keys of examples 0 .. number - 1 of a seed, as `samples.generate` has them; of few shapes."""
  numbers = np.arange(filled(number), dtype=np.int32)
  return np.asarray(jax.random.key_data(example_keys(root_key(seed), jnp.asarray(numbers))))[:number]


def correct(model: Served, method: str, error_rate: float, jobs: Sequence[Job]) -> Iterator[None]:
  """Corrects examples of several clients. Contents are batches of one example."""
  run, batch = model.run, _joined([job.content for job in jobs])
  found = spelling.correct(run.model, model.drawing, run.state, batch, error_rate, method=method, spread=run.spread)
  for number, job in enumerate(jobs):
    job.tell("done", _correction(model, take(batch, slice(number, number + 1)), found, number))
  yield


def _correction(model: Served, typed: Batch, found: spelling.Correction, number: int) -> dict[str, Any]:
  valid, x, probability = typed.valid[0], found.x[number], found.probability[number]
  if model.kind != "text":
    changes = [
      {"place": place, "probability": round(float(probability[tuple(place)]), 4)}
      for place in np.argwhere(found.changed[number]).tolist()
    ]
    return {"corrected": shown(model, x[None], valid[None])[0], "changes": changes}
  end = model.run.record.codec.end
  stop = int(valid.sum()) if end is None else 1 + max(end_of(each, end) for each in (typed.x[0], x))
  before, after = (characters(model, each[valid][:stop]) for each in (typed.x[0], x))
  changes = [
    {
      "place": int(place),
      "probability": round(float(probability[place]), 4),
      **({} if before is None or after is None else {"from": before[place], "to": after[place]}),
    }
    for place in np.flatnonzero(found.changed[number][:stop])
  ]
  return {"corrected": model.run.decode(x[valid]), "characters": after, "changes": changes}


def score(model: Served, estimator: str, num_draws: int, seed: int, jobs: Sequence[Job]) -> Iterator[None]:
  """Scores examples of several clients, all by the same draws, as `runs.score.score` does with a reference."""
  batch = _joined([job.content for job in jobs])

  def progress(*_: Any, **__: Any) -> Progress:
    def update(*_: Any) -> None:
      if all(job.cancelled for job in jobs):
        raise _Left

    return Progress(update, lambda line: None, lambda: None)

  try:
    found = measured(
      model.run,
      batch,
      title="score",
      estimator=estimator,
      num_draws=num_draws,
      seed=seed,
      same_draws=True,
      progress=progress,
    )
  except _Left:
    return
  start = 0
  for job in jobs:
    job.tell("done", (found, slice(start, start + len(job.content.x))))
    start += len(job.content.x)
  yield


def scores_of(model: Served, found: Likelihood, own: slice, *, consecutive: bool) -> dict[str, Any]:
  """Returns the scores of one client's examples as JSON; what cannot be known is null.

  consecutive: they are pieces of one text, in its order; see `bounds.ratio_error`.
  """
  exact = found.estimator == "exact"
  nats, positions = found.nats[:, own], found.positions[own]
  bits = outliers.example_bits(nats, positions, exact=exact)
  overall = estimate(nats, positions, exact=exact, consecutive=consecutive)
  scores = [
    {"bits": float(b), "monte_carlo_error": float(e), "positions": int(p), "nats": float(n)}
    for b, e, p, n in zip(bits.bits, bits.errors, positions, nats.mean(axis=0), strict=True)
  ]
  told = {
    "unit": f"bits per {model.run.record.position}",
    "estimator": found.estimator,
    "bound": not exact,
    "num_draws": found.num_draws,
    "num_replicates": found.num_replicates,
    "scores": scores,
    "all": {name: float(value) for name, value in overall._asdict().items()},
  }
  return without_nan(told)


def difference_of(
  one: tuple[Likelihood, slice], other: tuple[Likelihood, slice], *, consecutive: bool
) -> dict[str, Any]:
  """Returns bits per position of one model less those of another on the same examples, paired; the error over them."""
  first, second = (found.nats[:, own].mean(axis=0) for found, own in (one, other))
  paired = estimate((first - second)[None], one[0].positions[one[1]], consecutive=consecutive)
  return without_nan({"bits": float(paired.bits), "error": float(paired.data_error), "num_examples": len(first)})


def _joined(batches: Sequence[Batch]) -> Batch:
  """Returns the examples of several clients as one batch of a size of a call, the last one filling it up."""
  batch = concatenate(batches)
  rows = np.minimum(np.arange(filled(len(batch.x))), len(batch.x) - 1)
  return take(batch, rows)._replace(index=np.arange(len(rows), dtype=np.int32))
