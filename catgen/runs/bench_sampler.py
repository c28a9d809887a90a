"""What trained models cost and give by each way of drawing: exact bits of orders, calls of the network, samples."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from catgen.batches import batch_of, take
from catgen.data import eval_batches, get_split
from catgen.data.splits import record_split
from catgen.evaluation import enumeration, likelihood, order_curves, results
from catgen.evaluation.likelihood import Likelihood
from catgen.evaluation.spread import fetch
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.media.medium import marked, unmarked
from catgen.orders import named, stated
from catgen.paths import expanded, name_of
from catgen.reporting import sampler_chart, terminal
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.reporting.sampler_chart import Panel
from catgen.runs import blocks, judging, kept
from catgen.runs.experiment import first_examples
from catgen.runs.judging import Judging
from catgen.runs.kept import Measurement
from catgen.runs.load import Run, load
from catgen.runs.sample import sample_options
from catgen.training import distributed

_STEPS = "steps"  # the sampler of a diffusion model's own moves
_COLUMNS = {  # of the table, those of which something is known
  "calls": "calls",
  "bits": "bits",
  "own_bits": "entropy of samples",
  "divergence": "KL(samples || {counts})",
  "total_variation": "TV to the data",
  "data_divergence": "KL(data || law)",
}


class Measured(NamedTuple):
  """What each way of drawing of one run costs and gives, as it stands in the JSON file: first the data's own rows."""

  workdir: str
  rows: list[dict[str, Any]]
  position: str
  counts: str  # what cross-entropies are of
  notes: tuple[str, ...]


class Benched(NamedTuple):
  """What was measured of each run."""

  runs: list[Measured]
  path: str
  pictures: tuple[str, ...]
  num_kept: int = 0  # rows that the file had already
  exit_code: int = 0  # 128 + the number of the signal that ended it before all were measured

  @property
  def rows(self) -> list[dict[str, Any]]:
    """Those of all runs."""
    return [row for run in self.runs for row in run.rows]


def bench_sampler(
  run: Run,
  *,
  beside: tuple[str, ...] = (),
  split: str | None = None,
  max_examples: int = 64,
  num_samples: int = 64,
  orders: tuple[str, ...] = (),
  positions_per_call: tuple[int, ...] = (1, 2, 4, 8, 16),
  entropy_budget: tuple[float, ...] = (0.1, 0.5, 2.0),
  pictured_calls: int | None = None,
  temperature: float = 1.0,
  top_k: int | None = None,
  top_p: float = 1.0,
  forbid: str | Sequence[int] = "",
  batch_size: int | None = None,
  seed: int = 0,
  output: str | None = None,
  progress: OpenProgress = no_progress,
) -> Benched:
  """Measures each way of drawing: exact bits of held-out examples, calls of the network, samples judged by counts.

  A signal to stop (Ctrl-C, SIGTERM) ends it after the way in hand; what is measured is written after each.

  Args:
    run: the model, one that has orders.
    beside: more work directories, whose runs are measured alike and drawn in the same picture.
    split: train, validation or test, of which examples are scored; default: the run's evaluation.split.
    max_examples: how many of them, the first ones; 0 = all.
    num_samples: drawn in each way, and judged by counts of the training split; 0 = none.
    orders: names, separated by commas, among them first_hitting and steps, the moves of the model itself, of which only
      samples are judged; default: all.
    positions_per_call: positions that are drawn together, each number in turn; blocks and steps make as many calls.
    entropy_budget: of the order of this name, nats, each number in turn.
    pictured_calls: of the sample of each way in the picture, the nearest number; default: of four positions a call.
    temperature: of each draw, and likewise top_k, top_p and forbid, as of `sample`; the run's own do not count here.
    top_k: draws are among so many of the most probable categories.
    top_p: draws are among the most probable categories that together have so much probability.
    forbid: categories that are never drawn.
    batch_size: examples and samples at a time; default: the run's evaluation.batch_size.
    seed: of the samples.
    output: what is written: this with .json and .png; default: bench_sampler in the work directory.
    progress: opens the bar.

  Raises:
    InputError: a model has no orders, a number is out of range, or a file cannot be written.
  """
  if num_samples < 0:
    raise InputError(f"num_samples is {num_samples}; give a number of samples, or 0 for none")
  runs = [run, *(load(expanded(workdir)) for workdir in beside)]
  if len({each.workdir for each in runs}) < len(runs):
    raise InputError("beside names a run that is measured anyway; leave it out")
  path, picture = judging.output_of(run, output, "bench_sampler")
  benches = []
  for each in runs:
    limits = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "forbid": forbid}
    restrictions = sample_options({"sampling": {}}, each.media, **limits)
    laws = _laws(each, orders, positions_per_call, entropy_budget, restrictions, sampled=num_samples > 0)
    config = each.record.config["evaluation"]
    size = each.spread.filled(batch_size or config["batch_size"])
    benches.append(_bench(each, laws, split or config["split"], max_examples, num_samples, size, seed))
  rows: list[dict[str, Any]] = [{"run": bench.run.workdir, **row} for bench in benches for row in bench.data_rows]
  measurements = [each for bench in benches for each in _measurements(bench)]
  done = judging.one_by_one(run, rows, measurements, path, progress, unit="law", title="bench the sampler")
  found = [_measured(bench, rows) for bench in benches]
  return Benched(found, path, _draw(benches, found, picture, pictured_calls), done.num_kept, done.exit_code)


def describe(benched: Benched) -> str:
  """Returns a table of the ways of each run, in bits per position with standard errors, and notes."""
  lines = []
  for run in benched.runs:
    titles = _COLUMNS | judging.columns_of(run.rows, run.counts)
    columns = {name: title for name, title in titles.items() if any(row.get(name) is not None for row in run.rows)}
    table = [[row["name"], *(_cell(row, name) for name in columns)] for row in run.rows]
    lines += [f"{run.workdir}:"] if len(benched.runs) > 1 else []
    lines.append(terminal.table(["law", *(title.format(counts=run.counts) for title in columns.values())], table))
    lines += [f"bits per {run.position}, ± standard errors", *run.notes]
  written = f"written to {benched.path}; pictures: {', '.join(benched.pictures)}"
  return "\n".join([*lines, *kept.note(benched.num_kept, benched.path), written])


class _Bench(NamedTuple):
  """One run, and what all laws are measured on."""

  run: Run
  laws: list[SampleOptions]
  examples: Batch
  consecutive: bool  # these are pieces of one stream
  how: Judging | None
  data_rows: list[dict[str, Any]]
  events: Batch | None  # all there are, where they can be enumerated
  counts: np.ndarray | None  # how often each of them occurs in the training split
  size: int  # of a batch
  seed: int
  notes: tuple[str, ...]


def _laws(
  run: Run,
  names: Sequence[str],
  together: Sequence[int],
  budgets: Sequence[float],
  restrictions: SampleOptions,
  *,
  sampled: bool,
) -> list[SampleOptions]:
  """Returns the orders that are scored, and where samples are wanted the ways that can only be drawn by."""
  orders = run.model.orders
  if orders is None:
    kind = run.record.config["model"]["kind"]
    raise InputError(f"a model of kind {kind!r} without a mask has no orders of drawing; take a masked one")
  exact = [name for name in names if name not in (*orders.random, _STEPS)]
  laws = []
  if exact or not names:
    plan = partial(blocks.sizes_of, run)
    laws += order_curves.laws_of(orders, exact, together, budgets, restrictions, plan)
  if sampled:
    laws += [restrictions._replace(order=name) for name in orders.random if not names or name in names]
    laws += _of_steps(run, together, restrictions) if not names or _STEPS in names else []
  if not laws:
    raise InputError("nothing to measure: give --positions_per_call, or for entropy_budget --entropy_budget")
  return laws


def _of_steps(run: Run, together: Sequence[int], restrictions: SampleOptions) -> Iterator[SampleOptions]:
  """Yields the moves of a diffusion model in as many calls as the orders make, where it has so many steps."""
  assert run.model.orders is not None
  calls = order_curves.calls_of(run.model.orders, together)
  for options in [restrictions._replace(num_steps=number) for number in calls]:
    with contextlib.suppress(InputError):
      if run.model.chain is not None and run.model.chain.num_moves(options):
        yield options


def _bench(
  run: Run, laws: list[SampleOptions], split: str, max_examples: int, num_samples: int, size: int, seed: int
) -> _Bench:
  source, event = run.source(), run.record.event
  examples = first_examples(source, split, max_examples)
  notes = [f"bits of {len(examples.x):,} {split} examples, exact"]
  how, rows, events, counts = None, [], None, None
  if num_samples and run.media.judge is not None:
    how = judging.judging_of(run, num_samples, size, seed)
    rows = judging.of_data(how, split)
    notes += [f"{num_samples:,} samples of each law", judging.NOTE.format(position=run.record.position)]
  if enumeration.few(event.num_classes, math.prod(event.shape)):
    train = first_examples(source, "train")
    events = enumeration.enumerate_events(run.model)
    counts = order_curves.count_events(train.x[train.valid.reshape(len(train.x), -1).all(axis=1)], event.num_classes)
    notes.append(f"all {len(events.x):,} events beside their frequencies in {counts.sum():,} training examples")
  consecutive = get_split(source, split).consecutive
  return _Bench(run, laws, examples, consecutive, how, rows, events, counts, size, seed, tuple(notes))


def _measurements(bench: _Bench) -> Iterator[Measurement]:
  """Yields what is measured, each with all that decides what its row says."""
  run, drawn = bench.run, 0 if bench.how is None else bench.how.num_samples
  digest = kept.digest_of_run(run, [run.workdir, drawn, bench.size, bench.seed], bench.examples)
  for law in bench.laws:
    yield kept.measurement(digest, [stated(law), law.blocks], partial(_row, bench, law))


def _row(bench: _Bench, law: SampleOptions) -> dict[str, Any]:
  """Returns what is measured of one law; null stands for what is not finite."""
  orders, way = bench.run.model.orders, law.order or _STEPS
  assert orders is not None
  name = named(stated(law))
  row: dict[str, Any] = {"run": bench.run.workdir, **stated(law), "name": name, "way": way, "calls": _calls(bench, law)}
  exact = law.order in orders.names
  if exact:
    found = _scored(bench, bench.examples, law, bench.consecutive)
    row |= {"bits": found.estimate.bits, "bits_error": found.estimate.data_error, "num_scored": len(found.numbers)}
  if bench.how is not None:
    samples = judging.drawn(bench.how, law)
    row |= {"sample": " ".join(map(str, marked(samples)[0].ravel()))}
    row |= judging.judged(bench.how, samples)
    row |= _beside_counts(bench, bench.how, samples, law) if exact else {}
  if exact and bench.events is not None and bench.counts is not None:
    nats = _scored(bench, bench.events, law).nats[0]
    away = order_curves.distance(nats, bench.counts, bench.events.x[0].size)
    row |= {"total_variation": away.total_variation, "data_divergence": away.bits}
  return results.without_nan(row)


def _beside_counts(bench: _Bench, how: Judging, samples: Batch, law: SampleOptions) -> dict[str, Any]:
  """Returns how samples stand beside the counts: unbiased, since their own probabilities are exact."""
  whole = batch_of(samples.x)
  found = _scored(bench, whole, law)
  judged = how.judge.nats(whole).reshape(len(whole.x), -1)
  away = order_curves.divergence(found.nats[0], judged.sum(axis=1), found.positions)
  return {
    "own_bits": found.estimate.bits,
    "own_bits_error": found.estimate.data_error,
    "divergence": away.value,
    "divergence_error": away.error,
  }


def _scored(bench: _Bench, batch: Batch, law: SampleOptions, consecutive: bool = False) -> Likelihood:
  """Returns the exact likelihood of examples by a law; consecutive: see `likelihood.evaluate`."""
  run = bench.run
  return likelihood.evaluate(
    run.model,
    run.params,
    run.state,
    _batches(bench, batch),
    key=root_key(bench.seed),
    estimator="order",
    law=law,
    consecutive=consecutive,
    spread=run.spread,
  )


def _batches(bench: _Bench, batch: Batch) -> Any:
  split = record_split(
    len(batch.x), lambda numbers: take(batch, numbers)._replace(index=numbers), bench.run.record.event.given
  )
  size = bench.run.spread.filled(min(bench.size, len(batch.x)))
  return eval_batches(split, batch_size=size, process_index=jax.process_index(), process_count=jax.process_count())


def _calls(bench: _Bench, law: SampleOptions) -> float:
  """Returns the mean number of calls that drawing takes; of a budget, drawing the examples."""
  size, spread, orders = bench.examples.x[0].size, bench.run.spread, bench.run.model.orders
  if law.order is None:
    return float(law.num_steps or 0)
  assert orders is not None
  if law.order != "entropy_budget":
    most = orders.most_together  # a model that draws in blocks of its own draws none together of two
    return float(len(law.blocks) or size // most * -(-most // law.positions_per_call))
  num_calls = orders.num_calls
  counted = spread.compiled(lambda params, state, batch: num_calls(params, batch, state=state, options=law))
  each = [
    (fetch(counted(bench.run.params, bench.run.state, spread.put_parts(batch))), batch.valid.reshape(len(batch.x), -1))
    for batch in _batches(bench, bench.examples)
  ]
  return float(np.concatenate([calls[there.any(axis=1)] for calls, there in each]).mean())


def _measured(bench: _Bench, rows: Sequence[dict[str, Any]]) -> Measured:
  own = [row for row in rows if row["run"] == bench.run.workdir]
  counts = "counts" if bench.how is None else bench.how.judge.counts
  return Measured(bench.run.workdir, own, bench.run.record.position, counts, bench.notes)


def _draw(
  benches: Sequence[_Bench], found: Sequence[Measured], path: str, pictured_calls: int | None
) -> tuple[str, ...]:
  """Draws bits of all runs with samples, and of each run what its samples are worth; returns the paths."""
  panels = [_panel(bench, each, pictured_calls, len(found) > 1) for bench, each in zip(benches, found, strict=True)]
  distributed.first_does(lambda: sampler_chart.bits_and_calls(panels, path))
  paths = [path]
  for number, each in enumerate(found, start=1):
    if any("cross_entropy" in row and row["calls"] is not None for row in each.rows):
      paths.append(f"{path.removesuffix('.png')}_samples{'' if len(found) == 1 else f'_{number}'}.png")
      draw = partial(judging.draw, each.rows, paths[-1], position=each.position, counts=each.counts)
      distributed.first_does(draw)
  return tuple(paths)


def _panel(bench: _Bench, measured: Measured, pictured_calls: int | None, titled: bool) -> Panel:
  """Returns the lines of exact bits, and for each way the sample of the law whose calls are nearest to a number."""
  curves: dict[str, list[tuple[float, float, float]]] = {}
  laws = [row for row in measured.rows if row["calls"] is not None]
  for row in laws:
    if row.get("bits") is not None:
      curves.setdefault(row["way"], []).append((row["calls"], row["bits"], row["bits_error"] or 0.0))
  wanted, samples = pictured_calls or bench.examples.x[0].size / 4, {}
  for way in dict.fromkeys(row["way"] for row in laws):
    row = min((row for row in laws if row["way"] == way), key=lambda row: abs(row["calls"] - wanted))
    if "sample" in row:
      samples[f"{way}, {_cell(row, 'calls')} calls"] = _shown(bench.run, row["sample"])
  title = f"{name_of(bench.run.folder or measured.workdir)}: " if titled else ""
  return Panel(title, f"bits per {measured.position}", curves, samples)


def _shown(run: Run, sample: str) -> Any:
  """Returns the sample of a row as a line, or as the colors of its categories."""
  colors, x = run.media.pictured.colors, np.array(sample.split(), np.int32).reshape(run.record.event.shape)
  return run.media.shown(unmarked(x[None]))[0] if colors is None else colors(x)


def _cell(row: Mapping[str, Any], name: str) -> str:
  if name == "bits" and name in row and row[name] is None:
    return "not finite"
  return judging.cell(row, name)
