"""Correction of wrong categories: a sentence with typos, a map with wrong pixels; and how well that works."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from catgen.evaluation import spelling
from catgen.evaluation.shares import Share
from catgen.evaluation.spelling import Correction, SpellingScore
from catgen.interfaces import Batch, InputError
from catgen.keys import checked_seed
from catgen.media import Media
from catgen.media.medium import marked, reader
from catgen.paths import join
from catgen.records import shown_briefly
from catgen.reporting import terminal, writers
from catgen.runs.by_products import ByProducts, shown_where_lost
from catgen.runs.drawn import drawing
from catgen.runs.experiment import first_examples
from catgen.runs.infill import one_example
from catgen.runs.load import Run
from catgen.runs.own_encoding import encoding_for
from catgen.runs.record import with_labels
from catgen.runs.sample import check_output
from catgen.training import distributed

Method = Literal["bayes", "paper", "channel"]


@shown_briefly
class Corrected(NamedTuple):
  """One example and its corrections."""

  name: str  # where the example is from; "" where it was handed in
  seen: Batch  # one example, with errors
  truth: Batch | None  # where the errors were made here
  error_rate: float
  corrections: dict[str, Correction]  # by each method, of one example
  scores: dict[str, SpellingScore]  # by each method, where the truth is known
  media: Media
  position: str
  output: str | None
  pictures: tuple[str, ...]

  @property
  def x(self) -> Int[np.ndarray, "*event"]:
    """The example as corrected by the first method; of a shorter text that was handed in, its length, [length]."""
    x, valid = self._whole, self.seen.valid[0]
    return x[: int(valid.sum())] if self.truth is None and self.media.parse is not None else x

  @property
  def _whole(self) -> Int[np.ndarray, "*event"]:
    return next(iter(self.corrections.values())).x[0]


@shown_briefly
class Scored(NamedTuple):
  """What corrections of held-out examples repair and break."""

  scores: dict[str, SpellingScore]  # by each method
  name: str  # of the examples
  num_examples: int
  split: str
  error_rate: float
  position: str


def correct(
  run: Run,
  example: Any = None,
  *,
  text: str | None = None,
  input: str | None = None,
  encoding: str | None = None,
  split: str = "test",
  index: int = 0,
  error_rate: float = 0.05,
  method: Method | None = None,
  beam: int | None = None,
  given: Sequence[str] = (),
  seed: int = 0,
  output: str | None = None,
  pictures: bool = True,
  say: Callable[[str], None] = print,
) -> Corrected:
  """Corrects one example.

  An example that is handed in, typed or in a file is taken as it is. One of the run's data is corrupted first: each
  position becomes, with probability `error_rate`, another category. Of models that denoise, "bayes" weighs the
  prediction of each position by the likelihood of what was seen, and "paper" takes the most probable category given the
  other positions; of models that are read position by position, "channel" looks for the example that most probably led
  to what was seen. The first method's correction is `.x`, [*event].

  Args:
    run: a model that can correct.
    example: a text, or an array.
    text: the sentence to correct, at most as long as the model's sequences.
    input: a file of one corrupted example, or of several (see --index): .npy, or for text .jsonl, or one a line.
    encoding: of a text of --input without a byte order mark: "utf-8", "utf-16-le", "latin-1", "cp1252" ...; default:
      UTF-8 where the file is, else that of the run's data.
    split: without --text and --input: the split whose example is corrupted.
    index: number of the example in --input or --split.
    error_rate: share of wrong positions: assumed, or made so.
    method: how to decide; default: bayes, and beside it paper unless a sentence is given; channel of a model without a
      denoiser.
    beam: of channel: beginnings that are kept on the way, 1 to 1,024; default: 16. More miss less and take longer.
    given: a label of an example that is handed in, name=value; may be repeated. Those of the data have their own.
    seed: of the errors that are made.
    output: also write the example, exactly, as corrected by the first method: .npy; of text also .jsonl, or .txt (one
      line, where the alphabet has no line break).
    pictures: leave a picture in the work directory, where examples can be pictured.
    say: receives a line where it cannot be written.

  Raises:
    InputError: the model cannot correct by this method, or the example does not fit it.
  """
  methods, encoding = spelling.chosen(run.model, method, beam), encoding_for(run.record, input, encoding)
  if text is not None and (input is not None or run.media.parse is None):
    raise InputError("--text is a sentence for a model of text, instead of --input; leave one of them out")
  check_output(run, output)
  example, media, truth, name = text if example is None else example, run.media, None, ""
  if example is not None:
    wrong = with_labels(media.typed([example]), run.record, given)
  else:
    read = reader(run.media, input, encoding)
    wrong, name = one_example(run, path=input, split=split, index=index, read=read)
    if input is not None:
      wrong = with_labels(wrong, run.record, given)
    else:
      truth, rng = wrong, np.random.default_rng(checked_seed(seed))
      event = run.record.event
      wrong = spelling.corrupt(rng, truth, error_rate, event.num_classes, sizes=event.sizes)
  params = drawing(run)
  corrections = {
    each: spelling.correct(run.model, params, run.state, wrong, error_rate, method=each, beam=beam, spread=run.spread)
    for each in (methods if example is None else methods[:1])
  }
  scores = {}
  if truth is not None:
    scores = {each: spelling.judge(truth, wrong.x, made.x) for each, made in corrections.items()}
  corrected = Corrected(name, wrong, truth, error_rate, corrections, scores, media, run.record.position, output, ())
  if output is not None:
    with shown_where_lost(say, lambda: describe(corrected)):
      handed_in = input if example is None else [example]
      distributed.first_does(lambda: _write(corrected, output, handed_in, index if example is None else 0, encoding))
  if pictures and jax.process_index() == 0:
    with ByProducts(say).may_fail("pictures"):
      corrected = corrected._replace(pictures=_draw(run, corrected, say))
  return corrected


def _write(corrected: Corrected, output: str, handed_in: Any, number: int, encoding: str) -> None:
  """Writes the example; of a row of a table that was handed in all cells that are not changed are as they were."""
  x, media = corrected._whole[None], corrected.media
  if media.filled is None or handed_in is None:
    media.written(output, corrected.seen._replace(x=x))
    return
  changed = next(iter(corrected.corrections.values())).changed
  media.filled(handed_in, np.array([number]), x, hole=None, output=output, encoding=encoding, changed=changed)


def describe(corrected: Corrected, *, color: bool = False) -> str:
  """Returns what was changed, and where the truth is known what was repaired and broken, in percent.

  Args:
    corrected: one example and its corrections.
    color: mark changes by color instead of brackets.
  """
  lines = [f"{corrected.name}, errors at a rate of {corrected.error_rate:.1%}"] if corrected.name else []
  if corrected.media.corrections is not None:
    lines += [f"typed:     {line}" for line in corrected.media.shown(corrected.seen)]
    for method, made in corrected.corrections.items():
      by = f" ({method})" if len(corrected.corrections) > 1 else ""
      shown = corrected.media.corrections(corrected.seen, made.x[0], made.probability[0], color=color)
      lines.append(f"corrected{by}: {shown}")
  else:
    number = int(corrected.seen.valid.sum())
    for method, made in corrected.corrections.items():
      lines.append(f"{method}: {int(made.changed.sum()):,} of {number:,} {corrected.position}s changed")
  if corrected.scores:
    lines.append(_table(corrected.scores))
  if corrected.output is not None:
    lines.append(f"the example as corrected by {next(iter(corrected.corrections))} is in {corrected.output}")
  if corrected.pictures:
    lines.append(f"pictures: {', '.join(corrected.pictures)}")
  return "\n".join(lines)


def score_corrections(
  run: Run,
  *,
  split: str = "test",
  error_rate: float = 0.05,
  max_examples: int = 256,
  method: Method | None = None,
  beam: int | None = None,
  seed: int = 0,
) -> Scored:
  """Corrupts held-out examples and counts what each method repairs and breaks.

  Args:
    run: a model that can correct.
    split: whose examples are corrupted.
    error_rate: probability of an error at a position; the corrector knows it.
    max_examples: how many examples.
    method: the one that is scored; default: bayes and paper, or channel of a model without a denoiser.
    beam: of channel: beginnings that are kept on the way, 1 to 1,024; default: 16.
    seed: of the errors.
  """
  spelling.chosen(run.model, method, beam)  # before the data are read
  batch = first_examples(run.source(), split, max_examples)
  rng = np.random.default_rng(checked_seed(seed))
  scores = spelling.score(
    run.model,
    run.params,
    run.state,
    batch,
    rng=rng,
    rate=error_rate,
    method=method,
    beam=beam,
    spread=run.spread,
  )
  return Scored(scores, run.media.name, len(batch.x), split, error_rate, run.record.position)


def describe_scores(scored: Scored) -> str:
  """Returns a table of the methods."""
  return (
    f"{scored.num_examples} {scored.name} of the {scored.split} split, {scored.error_rate:.1%} of the "
    f"{scored.position}s wrong\n{_table(scored.scores)}"
  )


def _table(scores: dict[str, SpellingScore]) -> str:
  rows = [
    [method, *(_percent(share) for share in (found.repaired, found.broken, found.wrong_before, found.wrong_after))]
    for method, found in scores.items()
  ]
  header = ["method", "repaired", "broken", "wrong before", "wrong after"]
  return f"{terminal.table(header, rows)}\n(in brackets: 95% intervals)"


def _percent(share: Share) -> str:
  """Returns the share and its interval; "?" of nothing, as where no error was made."""
  return f"{share.value:.2%} ({share.low:.2%} to {share.high:.2%})" if share.total else "?"


def _draw(run: Run, corrected: Corrected, say: Callable[[str], None]) -> tuple[str, ...]:
  if run.media.pictured.corrections is None:
    return ()
  sets = {"as given": corrected.seen.x}
  if corrected.truth is not None:
    sets = {"clean": corrected.truth.x, "corrupted": corrected.seen.x}
  sets |= {f"corrected ({method})": made.x for method, made in corrected.corrections.items()}
  panels = {name: marked(corrected.seen._replace(x=x))[0] for name, x in sets.items()}
  path = join(run.workdir, "denoised.png")
  run.media.pictured.corrections(path, panels)
  writers.show_pictures(run.workdir, run.step, [path], say)
  return (path,)
