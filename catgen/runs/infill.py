"""Completions of examples of which some positions are missing: a text with gaps, a map with unknown regions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from catgen.batches import batch_of, take
from catgen.data import get_split
from catgen.evaluation import infilling
from catgen.files import check_apart
from catgen.interfaces import Batch, InputError, SampleOptions
from catgen.keys import root_key
from catgen.media.medium import HOLE, Pattern, read_array
from catgen.orders import OF_ORDERS, named, stated
from catgen.records import shown_briefly
from catgen.reporting import terminal, writers
from catgen.reporting.progress import OpenProgress, no_progress
from catgen.runs import blocks as planned
from catgen.runs import infill_rows
from catgen.runs.argument_types import shown
from catgen.runs.by_products import ByProducts, shown_where_lost
from catgen.runs.drawn import drawing
from catgen.runs.infill_rows import Marks
from catgen.runs.load import Run
from catgen.runs.record import numbers_of, reached_positions
from catgen.runs.sample import check_output, explained_guidance, sample_options
from catgen.training import distributed
from catgen.training.signals import catch_signals

_OF_DRAWING = ("order", *OF_ORDERS, "num_steps")  # in how many calls positions are drawn, which `explanation` says


@shown_briefly
class Infilled(NamedTuple):
  """A pattern and completions of it."""

  x: Int[np.ndarray, "completions *event"]
  pattern: Pattern
  explanation: str  # whether the completions follow the model's conditional distribution
  agreement: float | None  # share of the holes that are as in the data, over all completions; None: unknown
  position: str
  lines: list[str]  # for the terminal
  output: str | None
  pictures: tuple[str, ...]
  exit_code: int = 0  # 128 + the number of the signal that ended it before all were drawn
  heard: int = 0  # the same of a signal that came meanwhile, though all may have been drawn


def infill(
  run: Run,
  example: Any = None,
  *,
  text: str | None = None,
  where: Sequence[str] = (),
  hole: str = "_",
  pad: bool = True,
  input: str | None = None,
  encoding: str | None = None,
  split: str | None = None,
  index: int | None = None,
  region: Sequence[str] = (),
  mask: str | None = None,
  num_samples: int | None = None,
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
  pictures: bool = True,
  say: Callable[[str], None] = print,
  progress: OpenProgress = no_progress,
) -> Infilled:
  """Completes an example: each hole is drawn from the model given the rest.

  Args:
    run: the model.
    example: a text with holes, or an array in which holes are as in a file, instead of what the flags name.
    text: the pattern, where examples are text; `hole` stands for each missing position: a character or, in a model
      of bytes, a byte.
    where: of tables, the value of a column, name=value; may be repeated: rows are drawn given these, none is rejected.
    hole: one character that stands for a missing position; of tables a cell that is to be completed. An empty one, or
      a word for nothing such as NA, stands for every cell in which nothing is known.
    pad: continue a short pattern by holes; otherwise its length must be the model's.
    input: arrays: a .npy file of one example, or of several (see --index); -1 (or one below negative ids) = a hole. Of
      tables a file of rows, .csv, .tsv, .jsonl or .npy, all of which are completed where no --index is given.
    encoding: of a table without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...; default: UTF-8 where
      the file is, else that of the run's data.
    split: arrays: take an example of the run's data: train, validation or test.
    index: number of the example in --input or --split, from 0; default: 0, and of a file of rows all.
    region: maps: a hole, top,left,height,width in rows and columns; may be repeated.
    mask: arrays: a .npy file, True where there is a hole.
    num_samples: how many completions; default: 4, and 1 of each row of a file.
    num_steps: network calls of an iterative sampler; default: the run's, or all time steps.
    temperature: below 1: more probable categories, 0: the most probable one; above 1: more variety; default: the
      run's.
    top_k: draw among so many of the most probable categories; default: the run's, or all.
    top_p: draw among the most probable categories that together have so much probability; default: the run's, or 1.
    forbid: categories that are never drawn into a hole: characters of text; of arrays their ids or names, of tokens
      their numbers, with commas between them; default: the run's, or none.
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
    given: a label that all completions have, name=value; may be repeated.
    guidance: how strongly labels act: each category is drawn from p(with them)^guidance p(without)^(1 - guidance);
      default: 1, as they are; 0: not at all; more: exaggerated, at two network calls a step.
    guidance_interval: two times between 0 (data) and 1 (noise) between which it acts; default: 0,1; diffusion only.
    seed: of the draws.
    output: also write the completions, exactly: .npy (integers); of text also .jsonl, or .txt (one a line, where none
      can have a line break or be empty); of tables .csv, .tsv and .jsonl, all other cells as they were.
    pictures: leave pictures in the work directory, where examples can be pictured.
    say: receives a line where a picture cannot be written.
    progress: opens the bar.

  Raises:
    InputError: nothing is given to complete, or it does not fit the model.
  """
  if run.model.infill is None:
    kind = run.record.config["model"]["kind"]
    raise InputError(f"a model of kind {kind!r} cannot complete examples: take a diffusion or an autoregressive one")
  _check_kind(run, {"text": text, "input": input, "split": split, "mask": mask, "region": region or None})
  check_output(run, output)
  check_apart(output, input)
  example = infill_rows.observed(run, where, example, input, split) if where else example
  media, text = run.media, example if isinstance(example, str) else text
  typed = infill_rows.marks(run, hole, input if example is None else None, encoding)
  asked = _asked(run, example, text, typed, input, split, index, region, mask, num_samples, pad=pad)
  infill_rows.check_continues(run, asked.observed, asked.rows)
  limits = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "forbid": forbid}
  of_order = planned.of_order(run, order, positions_per_call, entropy_budget, blocks, num_calls)
  guiding = {"guidance": guidance, "guidance_interval": guidance_interval, "correction": correction}
  options = sample_options(run.record.config, media, num_steps=num_steps, **limits, **of_order, **guiding)
  with catch_signals() as request, closing(progress(len(asked.x), unit="completion", title="infill")) as bar:
    stop = distributed.Stop(run.spread.mesh, lambda: request.signal or 0)
    drawn = infilling.infill_each(
      run.model,
      drawing(run),
      run.state,
      asked.x,
      asked.observed,
      key=root_key(seed),
      given=numbers_of(run.record, given),
      batch_size=run.record.config["sampling"]["batch_size"],
      options=options,
      progress=bar.update,
      stop=stop,
      spread=run.spread,
    )
  completed, pattern = np.asarray(drawn.x), asked.pattern
  lines = _told(run, asked, input if example is None else [example], completed, typed, output, say)
  paths: list[str] = []
  if pictures and media.pictured.completions is not None and jax.process_index() == 0:
    with ByProducts(say).may_fail("pictures"):
      paths = media.pictured.completions(run.workdir, pattern, completed)
      writers.show_pictures(run.workdir, run.step, paths, say)
  return Infilled(
    completed,
    pattern,
    explained(run, options),
    _agreement(completed, pattern),
    run.record.position,
    lines,
    output,
    tuple(paths),
    stop.exit_code if len(completed) < len(asked.x) else 0,
    request.exit_code,
  )


def explained(run: Run, options: SampleOptions) -> str:
  """Returns in a sentence what completions follow."""
  assert run.model.infill is not None
  order, infill, orders, guided = options.order, run.model.infill, run.model.orders, explained_guidance(options)
  if guided is not None:
    return f"no draws of the model's conditional distribution; {guided}"
  leaving = named({name: value for name, value in stated(options).items() if name not in _OF_DRAWING})
  only_order = infill.prefix_only and infill.exact  # of a model that has no other
  if order is None or only_order or orders is None or order in orders.random:
    return f"drawn with {leaving}, which leaves the model's conditional distribution" if leaving else infill.explanation
  return (
    f"drawn by order {order}{f' with {leaving}' if leaving else ''}, observed positions first: they follow that order,"
    " and not the model's own p(x) given what is observed"
  )


class _Asked(NamedTuple):
  """What is to be completed."""

  pattern: Pattern  # with a first axis of rows where a file of rows is completed
  x: Int[np.ndarray, "completions *event"]  # the pattern of each completion
  observed: Bool[np.ndarray, "completions *event"]
  rows: Int[np.ndarray, "completions"] | None  # which of the rows that were handed in each is of; None: it is of none


def _asked(
  run: Run,
  example: Any,
  text: str | None,
  hole: Marks,
  path: str | None,
  split: str | None,
  index: int | None,
  regions: Sequence[str],
  mask: str | None,
  num_samples: int | None,
  *,
  pad: bool,
) -> _Asked:
  """Returns the pattern of each completion: all rows of a file of a table, or one example of whatever kind."""
  of_rows = run.media.filled is not None
  if of_rows and path is not None and index is None:
    pattern, number = infill_rows.rows(run, path, hole, mask), _number(num_samples, 1)
    rows = np.repeat(np.arange(len(pattern.x)), number)
    return _Asked(pattern, pattern.x[rows], pattern.observed[rows], rows)
  if run.media.parse is None:
    pattern = _array_pattern(run, example, path, split, index or 0, regions, mask, hole)
  elif example is not None and text is None:
    raise InputError(f"the example is {shown(example)}; give a text with holes, such as 'a pat{hole.hole * 4}'")
  elif text is None:
    raise InputError('nothing to complete; give --text="a pat____"')
  else:
    pattern = run.media.parse(text, hole=hole.hole, pad=pad)
  number = _number(num_samples, 4)
  x, observed = (np.repeat(array[None], number, axis=0) for array in pattern[:2])
  return _Asked(pattern, x, observed, np.full(number, index or 0) if of_rows and split is None else None)


def _told(
  run: Run,
  asked: _Asked,
  given: Any,
  completed: Int[np.ndarray, "completions *event"],
  hole: Marks,
  output: str | None,
  say: Callable[[str], None],
) -> list[str]:
  """Returns completions as lines for the terminal, and writes them where an output is named."""
  media = run.media
  if media.filled is not None and asked.rows is not None:
    fill = partial(media.filled, given, asked.rows[: len(completed)], completed, **hole._asdict())
    return infill_rows.filled(fill, output)
  known = asked.observed[0] | reached_positions(run.record)
  if output is not None:
    whole = batch_of(completed, np.broadcast_to(_up_to_last(known), completed.shape))
    with shown_where_lost(say, lambda: "\n".join(media.shown(whole))):
      distributed.first_does(lambda: media.written(output, whole))
  return media.shown(batch_of(completed, np.broadcast_to(known, completed.shape)))


def _number(given: int | None, default: int) -> int:
  number = default if given is None else given
  if number < 1:
    raise InputError(f"num_samples is {number}; it must be at least 1")
  return number


def _check_kind(run: Run, given: Mapping[str, Any]) -> None:
  """Raises InputError for a flag that means nothing to the kind of examples that a model has."""
  of_text = run.media.parse is not None
  for name, value in given.items():
    if value is not None and (name == "text") != of_text:
      needed = 'give --text="a pat____"' if of_text else "give --input=file.npy, or --split=test --index=3"
      raise InputError(f"--{name} means nothing to a model of {run.media.name}; {needed}")


def describe(infilled: Infilled) -> str:
  """Returns completions as lines, with what is known of them."""
  hidden = ~infilled.pattern.observed
  lines = [f"completions are {infilled.explanation}", *infilled.lines]
  if infilled.exit_code:
    lines.append(f"stopped after {len(infilled.x):,} completions")
  ignored = infilled.pattern.ignored
  also = f", {ignored:,} of which are ignored in the data" if ignored else ""
  lines.append(f"{hidden.sum():,} of {hidden.size:,} {infilled.position}s are holes{also}")
  if infilled.agreement is not None:
    number, those = len(infilled.x), "the others" if ignored else "them"
    lines.append(f"{infilled.agreement:.1%} of {those} are as in the data, on average over {number} completions")
  if infilled.pictures:
    lines.append(f"pictures: {', '.join(infilled.pictures)}")
  if infilled.output is not None:
    lines.append(f"{len(infilled.x)} completions written to {infilled.output}")
  return "\n".join(lines)


def one_example(run: Run, *, path: str | None, split: str, index: int, read: Any) -> tuple[Batch, str]:
  """Returns example number `index` of a file, read by `read`, or without a file of a split, and where it is from.

  Raises:
    InputError: there is none.
  """
  if path is not None:
    batch, name = read(path), f"{path}, number {index}"
    _check_index(index, len(batch.x), path)
    return take(batch, slice(index, index + 1)), name
  chosen = get_split(run.source(), split)
  _check_index(index, chosen.num_examples, f"the split {split!r}")
  return chosen.examples(np.array([index])), f"{split} split, number {index}"


def _array_pattern(
  run: Run,
  example: Any,
  path: str | None,
  split: str | None,
  index: int,
  regions: Sequence[str],
  mask: str | None,
  hole: Marks,
) -> Pattern:
  """Returns an example that was handed in, of a file or a split, with the holes of regions, of a mask and of -1."""
  assert run.media.typed_holes is not None
  assert run.media.read_holes is not None
  named = hole._asdict() if run.media.filled is not None else {}
  if example is not None:
    given = run.media.typed_holes([example], **({"hole": hole.hole} if named else {}))
  elif path is None and split is None:
    raise InputError("nothing to complete; give --input=file.npy, or --split=test --index=3")
  else:
    given, _ = one_example(run, path=path, split=split or "", index=index, read=partial(run.media.read_holes, **named))
  x, shape = np.asarray(given.x[0]), run.record.event.shape
  holes, valid = x == HOLE, given.valid[0]
  hidden = holes | ~valid
  if regions:
    hidden = hidden | infilling.parse_regions(regions, shape)
  if mask is not None:
    masked = read_array(mask)
    if masked.shape != shape:
      raise InputError(f"--mask has shape {masked.shape}, the example has {shape}; make them equal")
    hidden = hidden | (masked != 0)
  if not hidden.any():
    how = "give --region=top,left,height,width or --mask, or mark holes by -1"
    raise InputError(f"the example has no hole; {f'write {hole.hole!r} in each cell to fill' if named else how}")
  infilling.check_ignored(run.model, ~valid, ~hidden)
  return Pattern(x, ~hidden, None if holes.any() else np.where(valid, x, -1), int((~valid).sum()))


def _agreement(completed: Int[np.ndarray, "completions *event"], pattern: Pattern) -> float | None:
  """Returns the share of the holes that are as in the truth, over all completions; None where it is not known."""
  if pattern.truth is None:
    return None
  compared = ~pattern.observed & (pattern.truth >= 0)
  return float((completed == pattern.truth)[:, compared].mean()) if compared.any() else None


def _up_to_last(flags: Bool[np.ndarray, "*event"]) -> Bool[np.ndarray, "*event"]:
  """Returns True as far as the last position that is True."""
  return np.arange(flags.size).reshape(flags.shape) <= np.flatnonzero(flags)[-1]


def _check_index(index: int, count: int, owner: str) -> None:
  if not 0 <= index < count:
    raise InputError(f"--index is {index}, but {owner} has {terminal.counted(count, 'example')}, numbered from 0")
