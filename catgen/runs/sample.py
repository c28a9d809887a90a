"""Samples of a trained model, shown, written, pictured and set beside the data."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from catgen.batches import batch_of
from catgen.evaluation.samples import generate
from catgen.files import check_writable
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.media import Media
from catgen.media.medium import chain_labels, evenly, marked
from catgen.paths import join
from catgen.records import shown_briefly
from catgen.reporting import terminal, writers
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import blocks as planned
from catgen.runs.argument_types import whole_numbers
from catgen.runs.by_products import ByProducts, shown_where_lost
from catgen.runs.drawn import drawing
from catgen.runs.experiment import first_examples
from catgen.runs.load import Run
from catgen.runs.record import numbers_of, reached_positions
from catgen.sources import DataSource
from catgen.training import distributed
from catgen.training.signals import catch_signals

_COMPARED_POSITIONS = 10_240_000  # of the training split, about
_SHOWN_FRAMES = 12
_NOT_THE_BOUND = "they follow another law than the p(x) that the bits of the model are stated of"


@shown_briefly
class Sampled(NamedTuple):
  """What was drawn, and what was made of it."""

  x: Int[np.ndarray, "samples *event"]
  valid: Bool[np.ndarray, "samples *event"]  # False where a code means no category
  chain: Int[np.ndarray, "frames samples *event"] | None  # states of the sampler, noise first
  lines: list[str]  # for the terminal
  frames: list[str]  # the chain of the first sample, where it can be shown in lines
  statistics: list[list[str]]  # rows: samples, held-out data and training data; empty unless compared
  output: str | None  # file that was written
  pictures: tuple[str, ...]
  cut_at: int | None = None  # positions, of those shown and compared: no record of the data is longer
  asked: int = 0  # how many samples were wanted
  exit_code: int = 0  # 128 + the number of the signal that ended it before all were drawn
  heard: int = 0  # the same of a signal that came meanwhile, though all may have been drawn
  guidance: str | None = None  # what guided samples follow; None: the model's distribution
  correction: float = 0.0  # see `SampleOptions`


def sample(
  run: Run,
  *,
  num_samples: int | None = None,
  batch_size: int | None = None,
  num_steps: int | None = None,
  temperature: float | None = None,
  top_k: int | None = None,
  top_p: float | None = None,
  forbid: str | Sequence[int] | None = None,
  order: str | None = None,
  positions_per_call: int = 1,
  entropy_budget: float = 0.0,
  blocks: tuple[int, ...] = (),
  num_calls: int | None = None,
  correction: float | None = None,
  given: Sequence[str] = (),
  guidance: float | None = None,
  guidance_interval: tuple[float, ...] | None = None,
  seed: int = 0,
  output: str | None = None,
  chain: bool = False,
  num_frames: int = 40,
  compare: bool = False,
  pictures: bool = True,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Sampled:
  """Draws samples. A signal to stop (Ctrl-C, SIGTERM) ends it after the batch in hand, with what is drawn by then.

  Args:
    run: what to draw from.
    num_samples: how many; default: the run's sampling.num_samples.
    batch_size: samples drawn together; default: the run's sampling.batch_size.
    num_steps: network calls of an iterative sampler; default: the run's, or all time steps.
    temperature: below 1: more probable categories, 0: the most probable one; above 1: more variety; default: the
      run's.
    top_k: draw among so many of the most probable categories; default: the run's, or all.
    top_p: draw among the most probable categories that together have so much probability; default: the run's, or 1.
    forbid: categories that are never drawn: characters of text; of arrays their ids or names, of tokens their numbers,
      with commas between them; default: the run's, or none.
    order: of a masked model, in which positions are drawn, chosen before they are: left_to_right, max_probability,
      margin (between the two most probable categories), low_entropy, entropy_budget, blocks, or in continuous time
      first_hitting (at random, the process itself in a call for each position); default: the time steps of the model.
    positions_per_call: with order, positions that are drawn together.
    entropy_budget: with the order of this name, nats that positions drawn together may lose.
    blocks: with the order of this name, positions of each call in turn, which add up to all of an example.
    num_calls: with the order blocks, in place of them: so many calls, among which the positions are shared out as the
      model's loss curve on the training split says.
    correction: share of the positions that a diffusion model draws anew at every move, in [0, 1], which mends mistakes;
      default: the run's, or 0.
    given: a label that all samples have, name=value; may be repeated.
    guidance: how strongly labels act: each category is drawn from p(with them)^guidance p(without)^(1 - guidance);
      default: 1, as they are; 0: not at all; more: exaggerated, at two network calls a step.
    guidance_interval: two times between 0 (data) and 1 (noise) between which it acts; default: 0,1; diffusion only.
    seed: of the draws.
    output: write the samples, exactly as drawn: .npy (integers); of text also .jsonl, or .txt (one a line, where no
      sample can have a line break or be empty); of tables .csv, .tsv and .jsonl; default: show them.
    chain: also show how samples emerge from noise, with a PNG and a GIF in the work directory.
    num_frames: states of the chain that are kept, at most.
    compare: also set statistics of the samples beside those of the data.
    pictures: leave pictures of the samples in the work directory, where examples can be pictured.
    say: receives a line where a picture cannot be written.
    progress: opens the bar.

  Raises:
    InputError: an option that the model cannot honour, or a file that cannot be written.
  """
  settings, media = run.record.config["sampling"], run.media
  check_output(run, output, drawn=True)
  if chain and media.pictured.chain is None:
    raise InputError(f"there is no picture of a chain of {media.name}; leave --chain out")
  num_samples = settings["num_samples"] if num_samples is None else num_samples
  asked = {"num_steps": num_steps, "temperature": temperature, "top_k": top_k, "top_p": top_p, "correction": correction}
  of_order = planned.of_order(run, order, positions_per_call, entropy_budget, blocks, num_calls)
  guiding = {"guidance": guidance, "guidance_interval": guidance_interval}
  options = sample_options(run.record.config, media, forbid=forbid, **asked, **of_order, **guiding)
  source = run.source() if compare else None
  with catch_signals() as request, closing(progress(num_samples, unit="sample", title="sample")) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)
    drawn = generate(
      run.model,
      drawing(run),
      run.state,
      num_samples=num_samples,
      batch_size=settings["batch_size"] if batch_size is None else batch_size,
      key=root_key(seed),
      given=numbers_of(run.record, given),
      options=options._replace(num_frames=num_frames if chain else 0),
      progress=bar.update,
      stop=stop,
      spread=run.spread,
    )
  batch = batch_of(np.asarray(drawn.x), np.asarray(drawn.valid))
  states = None if drawn.chain is None else _each_once(run, options, np.asarray(drawn.chain))
  reached = reached_positions(run.record)
  as_drawn = batch_of(marked(batch), np.broadcast_to(reached, batch.x.shape))
  if output is not None:
    with shown_where_lost(say, lambda: "\n".join(media.shown(as_drawn))):
      distributed.first_does(lambda: media.written(output, as_drawn))
  sets = {} if source is None else _compared(run, source, batch._replace(valid=batch.valid & reached))
  drawn_pictures: list[str] = []
  with ByProducts(say).may_fail("pictures"):
    drawn_pictures += _draw(run, batch, states, sets, say) if pictures and jax.process_index() == 0 else []
  return Sampled(
    batch.x,
    batch.valid,
    states,
    lines=[] if output is not None else media.shown(as_drawn),
    frames=[] if states is None or media.frames is None else media.frames(states[:, 0]),
    statistics=[["", *sets], *media.compared(sets)] if sets else [],
    output=output,
    pictures=tuple(drawn_pictures),
    cut_at=None if reached.all() else run.record.longest,
    asked=num_samples,
    exit_code=stop.exit_code if len(batch.x) < num_samples else 0,
    heard=request.exit_code,
    guidance=explained_guidance(options),
    correction=options.correction,
  )


def describe(sampled: Sampled, *, color: bool = False) -> str:
  """Returns samples, statistics and the chain as lines; `color` marks what changed in a frame."""
  lines = list(sampled.lines)
  if sampled.exit_code:
    lines.append(f"stopped after {len(sampled.x):,} of {sampled.asked:,} samples")
  if sampled.output is not None:
    lines.append(f"{terminal.counted(len(sampled.x), 'sample')} written to {sampled.output}")
  lines += [sampled.guidance] if sampled.guidance else []
  if sampled.correction:
    lines.append(f"drawn with a correction of {sampled.correction:g}: {_NOT_THE_BOUND}")
  if sampled.cut_at is not None:
    lines.append(
      f"cut after {sampled.cut_at} of {sampled.x.shape[-1]} positions: no record of the data is longer, and the model "
      "does not know where records end; with data.end=True it learns that"
    )
  if not sampled.valid.all():
    lines.append(f"{1 - sampled.valid.mean():.2%} of the positions hold a code that means no category")
  if sampled.statistics:
    header, *rows = sampled.statistics
    lines.append(f"\n{terminal.table(header, rows)}")
    lines.append("(Jensen-Shannon divergence: 0 = same, 1 = disjoint; few examples raise it.)")
  if sampled.frames:
    labels, few = chain_labels(len(sampled.frames)), evenly(len(sampled.frames), _SHOWN_FRAMES)
    lines.append(terminal.chain_frames([sampled.frames[i] for i in few], [labels[i] for i in few], color=color))
  if sampled.pictures:
    lines.append(f"pictures: {', '.join(sampled.pictures)}")
  return "\n".join(lines)


def sample_options(config: Mapping[str, Any], media: Media, **changes: Any) -> SampleOptions:
  """Returns a configuration's sampling (steps, temperature, ...) with what is given, and not None, put in its place.

  An order has no steps: those of the configuration do not count then.
  """
  own = {} if changes.get("order") is None else {"num_steps": None}
  section = {**config["sampling"], **own, **{name: value for name, value in changes.items() if value is not None}}
  found = {name: section[name] for name in SampleOptions._fields if section.get(name) is not None}
  forbid, interval = found.get("forbid", ()), found.get("guidance_interval", SampleOptions().guidance_interval)
  if len(interval) != 2:
    raise InputError(f"guidance_interval has {len(interval)} numbers; give two times, such as 0.2,0.8")
  if found.get("guidance", 1) != 1 and config["training"]["hidden_given"] == 0:
    raise InputError(
      "guidance needs a model that was trained without labels too, and this one always saw them: its"
      " training.hidden_given is 0; leave --guidance out"
    )
  return SampleOptions(**{**found, "forbid": _forbidden(media, forbid), "guidance_interval": tuple(interval)})


def _each_once(
  run: Run, options: SampleOptions, states: Int[np.ndarray, "frames samples *event"]
) -> Int[np.ndarray, "states samples *event"]:
  """Returns a chain without the copies of its first state that stand in front where a sampler has fewer states."""
  if run.model.chain is None or options.order is not None:
    return states
  return states[max(0, len(states) - 1 - run.model.chain.num_moves(options)) :]


def _forbidden(media: Media, forbid: str | Sequence[int]) -> tuple[int, ...]:
  """Returns categories that are never drawn, named as a user calls them or by their numbers, as numbers."""
  if isinstance(forbid, str):
    return media.named(forbid)
  numbers = whole_numbers(forbid, "forbid")
  if media.filled is not None:
    media.named(",".join(map(str, numbers)))  # of a table a number says no category: refused as its name is
  return numbers


def explained_guidance(options: SampleOptions) -> str | None:
  """Returns what guided examples follow, in a sentence; None where they follow the model's own distribution."""
  everywhere = options.guidance_interval == SampleOptions().guidance_interval
  if options.guidance == 1 or (options.guidance == 0 and everywhere):
    return None
  return (
    f"guidance {options.guidance:g}: each category was drawn from p(with the labels)^{options.guidance:g} times "
    f"p(without)^{1 - options.guidance:g}, normalized; the examples follow neither p(x given the labels) nor a simple "
    "power of it, and no likelihood is reported for them"
  )


def _compared(run: Run, source: DataSource, drawn: Batch) -> dict[str, Batch]:
  """Returns the samples, as many held-out examples, and training data."""
  most = max(1, _COMPARED_POSITIONS // drawn.x[0].size)
  return {
    "samples": drawn,
    "held-out data": first_examples(source, run.record.config["evaluation"]["split"], len(drawn.x)),
    "training data": first_examples(source, "train", most),
  }


def check_output(run: Run, path: str | None, *, drawn: bool = False) -> None:
  """Raises InputError where a file cannot be written or cannot hold examples; drawn: samples, as the model has them."""
  if path is not None:
    latent = run.model.latent
    run.media.check_output(path, invalid=drawn and latent is not None and latent.has_unused_codes)
    distributed.first_does(lambda: check_writable(path))


def _draw(
  run: Run, batch: Batch, states: np.ndarray | None, sets: Mapping[str, Batch], say: Callable[[str], None]
) -> list[str]:
  """Draws samples, their chain and what they are compared with, shows them, and returns the paths."""
  draw, paths = run.media.pictured, []
  if draw.samples is not None:
    paths.append(join(run.workdir, "samples.png"))
    draw.samples(paths[-1], batch, title=f"samples, step {run.step:,}")
  if sets and draw.beside is not None:
    paths.append(join(run.workdir, "samples_beside_data.png"))
    groups = {name: sets[name] for name in ("held-out data", "samples")}
    draw.beside(paths[-1], groups, title=f"Data and samples, step {run.step:,}")
  if sets and draw.statistics is not None:
    paths.append(join(run.workdir, "statistics.png"))
    draw.statistics(paths[-1], {name: sets[name] for name in reversed(list(sets))})
  if states is not None and draw.chain is not None:
    paths += draw.chain(run.workdir, states)
  if paths:
    writers.show_pictures(run.workdir, run.step, paths, say)
  return paths
