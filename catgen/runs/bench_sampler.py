"""What a trained model costs and gives by each of its orders: exact bits, calls of the network, samples judged."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen.batches import batch_of, take
from catgen.data import eval_batches, get_split
from catgen.data.splits import record_split
from catgen.evaluation import enumeration, likelihood, ngrams, order_curves, results
from catgen.evaluation.likelihood import Likelihood
from catgen.evaluation.ngrams import NGrams
from catgen.evaluation.samples import generate
from catgen.evaluation.spread import fetch
from catgen.files import check_writable
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.orders import named, stated
from catgen.paths import expanded, join
from catgen.reporting import charts, terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs.experiment import first_examples
from catgen.runs.load import Run
from catgen.runs.sample import sample_options
from catgen.training import distributed
from catgen.training.signals import catch_signals

_COLUMNS = {  # of the table, those of which something is known
  "calls": "calls",
  "bits": "bits",
  "entropy": "entropy of samples",
  "divergence": "KL(samples || n-grams)",
  "total_variation": "TV to the data",
  "data_divergence": "KL(data || law)",
}


class Benched(NamedTuple):
  """What each law of drawing costs and gives, as it stands in the JSON file."""

  rows: list[dict[str, Any]]
  position: str
  notes: tuple[str, ...]
  path: str
  picture: str
  exit_code: int = 0  # 128 + the number of the signal that ended it before all were measured


def bench_sampler(
  run: Run,
  *,
  split: str | None = None,
  max_examples: int = 64,
  num_samples: int = 64,
  orders: tuple[str, ...] = (),
  positions_per_call: tuple[int, ...] = (1, 2, 4, 8, 16),
  entropy_budget: tuple[float, ...] = (0.1, 0.5, 2.0),
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float = 1.0,
  forbid: str | Sequence[int] = "",
  batch_size: int | None = None,
  seed: int = 0,
  output: str | None = None,
  progress: OpenProgress = no_progress,
) -> Benched:
  """Measures each order of drawing: exact bits of held-out examples, calls of the network, samples beside n-grams.

  A signal to stop (Ctrl-C, SIGTERM) ends it after the order in hand; what is measured is written after each.

  Args:
    run: the model, one that has orders.
    split: train, validation or test, of which examples are scored; default: the run's evaluation.split.
    max_examples: how many of them, the first ones; 0 = all.
    num_samples: drawn by each law, of sequences, and judged by n-grams of the training split; 0 = none.
    orders: names, separated by commas; default: all that have an exact likelihood.
    positions_per_call: positions that are drawn together, each number in turn.
    entropy_budget: of the order of this name, nats, each number in turn.
    temperature: of each draw, and likewise top_k, top_p and forbid, as of `sample`; the run's own do not count here.
    top_k: draws are among so many of the most probable categories.
    top_p: draws are among the most probable categories that together have so much probability.
    forbid: categories that are never drawn.
    batch_size: examples and samples at a time; default: the run's evaluation.batch_size.
    seed: of the samples.
    output: what is written: this with .json and .png; default: bench_sampler in the work directory.
    progress: opens the bar.

  Raises:
    InputError: the model has no orders, a number is out of range, or a file cannot be written.
  """
  restrictions = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "forbid": forbid}
  laws = _laws(
    run, orders, positions_per_call, entropy_budget, sample_options({"sampling": {}}, run.media, **restrictions)
  )
  if num_samples < 0:
    raise InputError(f"num_samples is {num_samples}; give a number of samples, or 0 for none")
  output = join(run.workdir, "bench_sampler") if output is None else expanded(output)
  path, picture = f"{output}.json", f"{output}.png"
  distributed.first_does(lambda: check_writable(path))
  size = run.spread.filled(batch_size or run.record.config["evaluation"]["batch_size"])
  bench = _bench(run, split or run.record.config["evaluation"]["split"], max_examples, num_samples, size, seed)
  rows: list[dict[str, Any]] = []
  with catch_signals() as request, closing(progress(len(laws), unit="law", title="bench the sampler")) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)
    for law in laws:
      rows.append(_row(run, bench, law))
      distributed.first_does(lambda: results.write_rows(rows, path))
      bar.update(1)
      if len(rows) < len(laws) and stop():
        break
  distributed.first_does(lambda: _draw(rows, picture, run.record.position))
  return Benched(rows, run.record.position, bench.notes, path, picture, stop.exit_code if len(rows) < len(laws) else 0)


def describe(benched: Benched) -> str:
  """Returns a table of the laws, in bits per position with standard errors over examples or samples, and notes."""
  columns = {name: title for name, title in _COLUMNS.items() if any(row.get(name) is not None for row in benched.rows)}
  table = [[row["law"], *(_cell(row, name) for name in columns)] for row in benched.rows]
  lines = [
    terminal.table(["law", *columns.values()], table),
    f"bits per {benched.position}, ± standard errors",
    *benched.notes,
  ]
  return "\n".join([*lines, f"written to {benched.path}; picture: {benched.picture}"])


class _Bench(NamedTuple):
  """What all laws are measured on."""

  examples: Batch
  num_samples: int
  reference: NGrams | None
  events: Batch | None  # all there are, where they can be enumerated
  counts: np.ndarray | None  # how often each of them occurs in the training split
  size: int  # of a batch
  seed: int
  notes: tuple[str, ...]


def _laws(
  run: Run, names: Sequence[str], together: Sequence[int], budgets: Sequence[float], restrictions: SampleOptions
) -> list[SampleOptions]:
  if run.model.orders is None:
    kind = run.record.config["model"]["kind"]
    raise InputError(f"a model of kind {kind!r} without a mask has no orders of drawing; take a masked one")
  laws = order_curves.laws_of(run.model.orders, names, together, budgets, restrictions)
  if not laws:
    raise InputError("nothing to measure: give --positions_per_call, or for entropy_budget --entropy_budget")
  return laws


def _bench(run: Run, split: str, max_examples: int, num_samples: int, size: int, seed: int) -> _Bench:
  source, event = run.source(), run.record.event
  examples = first_examples(source, split, max_examples)
  notes = [f"bits of {len(examples.x):,} {split} examples, exact"]
  reference, events, counts = None, None, None
  if num_samples and len(event.shape) == 1:
    reference = ngrams.of_training(get_split(source, "train"), event.num_classes)
    longest = ngrams.longest(event.num_classes)
    own = ngrams.score(reference, examples, order=longest)
    shown = terminal.plus_minus(own.bits, own.data_error)
    notes.append(
      f"{longest}-grams of the training split give these examples {shown} bits; {num_samples:,} samples a law"
    )
  if math.prod(event.shape) * math.log(event.num_classes) <= math.log(enumeration.MAX_EVENTS + 0.5):
    train = first_examples(source, "train")
    events = enumeration.enumerate_events(run.model)
    counts = order_curves.count_events(train.x[train.valid.reshape(len(train.x), -1).all(axis=1)], event.num_classes)
    notes.append(f"all {len(events.x):,} events beside their frequencies in {counts.sum():,} training examples")
  return _Bench(examples, num_samples, reference, events, counts, size, seed, tuple(notes))


def _row(run: Run, bench: _Bench, law: SampleOptions) -> dict[str, Any]:
  """Returns what is measured of one law; null stands for what is not finite."""
  found = _scored(run, bench, bench.examples, law)
  row: dict[str, Any] = {**stated(law), "law": named(stated(law)), "calls": _calls(run, bench, law)}
  row |= {"bits": found.estimate.bits, "bits_error": found.estimate.data_error, "num_examples": len(found.numbers)}
  if bench.reference is not None:
    row |= _judged(run, bench, bench.reference, law)
  if bench.events is not None and bench.counts is not None:
    nats = _scored(run, bench, bench.events, law).nats[0]
    away = order_curves.distance(nats, bench.counts, bench.events.x[0].size)
    row |= {"total_variation": away.total_variation, "data_divergence": away.bits}
  return results.without_nan(row)


def _judged(run: Run, bench: _Bench, reference: NGrams, law: SampleOptions) -> dict[str, Any]:
  """Returns how samples stand beside the reference: unbiased, since their own probabilities are exact."""
  drawn = generate(
    run.model,
    run.params,
    run.state,
    num_samples=bench.num_samples,
    batch_size=bench.size,
    key=root_key(bench.seed),
    options=law,
    spread=run.spread,
  )
  samples = batch_of(np.asarray(drawn.x))
  found = _scored(run, bench, samples, law)
  judged = ngrams.log_prob(reference, samples, order=len(reference.counts)).sum(axis=1)
  away = order_curves.divergence(found.nats[0], judged, found.positions)
  return {
    "entropy": found.estimate.bits,
    "entropy_error": found.estimate.data_error,
    "divergence": away.value,
    "divergence_error": away.error,
    "num_samples": bench.num_samples,
  }


def _scored(run: Run, bench: _Bench, batch: Batch, law: SampleOptions) -> Likelihood:
  """Returns the exact likelihood of examples by a law."""
  return likelihood.evaluate(
    run.model,
    run.params,
    run.state,
    _batches(run, bench, batch),
    key=root_key(bench.seed),
    estimator="order",
    law=law,
    spread=run.spread,
  )


def _batches(run: Run, bench: _Bench, batch: Batch) -> Any:
  split = record_split(
    len(batch.x), lambda numbers: take(batch, numbers)._replace(index=numbers), run.record.event.given
  )
  size = run.spread.filled(min(bench.size, len(batch.x)))
  return eval_batches(split, batch_size=size, process_index=jax.process_index(), process_count=jax.process_count())


def _calls(run: Run, bench: _Bench, law: SampleOptions) -> float:
  """Returns the mean number of calls that drawing takes; of a budget, drawing the examples."""
  size = bench.examples.x[0].size
  if law.order != "entropy_budget":
    return float(-(-size // law.positions_per_call))
  assert run.model.orders is not None
  num_calls = run.model.orders.num_calls
  counted = run.spread.compiled(lambda params, state, batch: num_calls(params, batch, state=state, options=law))
  each = [
    (fetch(counted(run.params, run.state, run.spread.put_parts(batch))), batch.valid.reshape(len(batch.x), -1).any(1))
    for batch in _batches(run, bench, bench.examples)
  ]
  return float(np.concatenate([calls[there] for calls, there in each]).mean())


def _draw(rows: Sequence[Mapping[str, Any]], path: str, position: str) -> None:
  curves: dict[str, list[tuple[float, float, float]]] = {}
  for row in rows:
    if row["bits"] is not None:
      curves.setdefault(row["order"], []).append((row["calls"], row["bits"], row["bits_error"] or 0.0))
  charts.bits_and_calls(curves, path, unit=f"bits per {position}")


def _cell(row: Mapping[str, Any], name: str) -> str:
  value, error = row.get(name), row.get(f"{name}_error")
  if value is None:
    return "not finite" if name == "bits" else ""
  if name == "calls":
    return f"{value:.1f}".removesuffix(".0")
  return f"{value:.4f}" if error is None else terminal.plus_minus(value, error)
