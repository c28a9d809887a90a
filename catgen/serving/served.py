"""A trained model as clients see it: what it can do, and examples between JSON and batches."""

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from catgen import orders
from catgen.batches import batch_of
from catgen.evaluation import estimators, spelling
from catgen.evaluation.infilling import Pattern, check_patterns
from catgen.interfaces import Batch, InputError, PyTree
from catgen.media import text as text_medium
from catgen.media.medium import HOLE, marked
from catgen.paths import name_of
from catgen.reporting.colors import legend_or_numbers
from catgen.runs.drawn import drawing
from catgen.runs.exported import evaluations
from catgen.runs.load import Run
from catgen.runs.record import reached_positions
from catgen.serving.words import words_for

NUM_STEPS = (1, 8, 16, 32, 64, 128, 250, 500, 1000)  # that clients may ask for
_STEPS = 128
_DISTINCT = re.compile(r": ([\d,]+) (\w+s) of ([\d,]+)$")  # "text8: 100,000,000 characters of 27"
_COUNTED = {"alphabet": "character", "bytes": "byte"}
Kind = Literal["text", "map", "row", "array"]


class Served(NamedTuple):
  """A run under the name by which clients call it."""

  name: str
  run: Run
  kind: Kind
  drawing: PyTree  # the parameters of what is drawn; see `runs.drawn`


def served(name: str, run: Run) -> Served:
  """Returns a run with the kind of its examples."""
  if run.media.parse is not None:
    return Served(name, run, "text", run.params)
  if run.media.filled is not None:
    return Served(name, run, "row", drawing(run))
  return Served(name, run, "map" if len(run.record.event.shape) == 2 else "array", run.params)


def names_of(workdirs: Sequence[str]) -> list[str]:
  """Returns short names of folders, each of which is of one alone.

  Example:
    >>> names_of(["runs/text", "runs/maps", "old/maps"])
    ['text', 'maps', 'maps-2']
    >>> names_of(["a/m-2", "b/m", "c/m"])
    ['m-2', 'm', 'm-3']
  """
  found: list[str] = []
  for workdir in workdirs:
    own = name_of(workdir.rstrip("/")) or "model"
    free = (own if number == 1 else f"{own}-{number}" for number in itertools.count(1))
    found.append(next(name for name in free if name not in found))
  return found


def described(model: Served) -> dict[str, Any]:
  """Returns what clients may know of a model, as JSON; never where it lies."""
  run, record = model.run, model.run.record
  legend = legend_or_numbers(record.codec.legend, record.event.num_classes) if model.kind == "map" else None
  infill, chain = run.model.infill, run.model.chain
  steps, watched = record.config["model"].get("num_steps"), chain is not None and model.kind != "row"
  of_text, ended = model.kind == "text", record.codec.end is not None
  return {
    "name": model.name,
    "family": record.config["model"]["kind"],
    "words": words_for(record.config["model"], model.kind, record.position, watched=watched)._asdict(),
    "data": _DISTINCT.sub(r": \1 \2, \3 distinct", re.sub(r"(?<![\w.])[~/][^\s:,]*/", "", record.description)),
    "example": model.kind,
    "shape": list(record.event.shape),
    "num_classes": record.event.num_classes,
    "position": record.position,
    "counted": _COUNTED.get(record.codec.spec["kind"], "token") if of_text else None,  # what positions of a text are
    "longest": record.event.shape[0] - ended if of_text else None,  # of a text, in positions
    "alphabet": record.codec.spec.get("alphabet") if record.codec.spec["kind"] == "alphabet" else None,
    "columns": list(record.codec.decode(np.zeros(record.event.shape, np.int32))) if model.kind == "row" else None,
    "legend": None if legend is None else [{"name": n, "color": c} for n, c in zip(*legend[:2], strict=True)],
    "labels": [{"name": each.name, "values": list(each.values)} for each in record.attributes],
    "guided": bool(record.attributes) and record.config["training"]["hidden_given"] > 0,
    "parameters": sum(leaf.size for leaf in jax.tree.leaves(run.params)),
    "step": run.step,
    "num_steps": steps if isinstance(steps, int) and steps > 0 else None,
    "iterative": chain is not None and run.model.denoise is not None,
    "defaults": defaults(run),
    "can": {
      "watch": watched,
      "infill": infill is not None,
      "prefix_only": infill is not None and infill.prefix_only,
      "correct": bool(corrections(run)),
    },
    "corrections": list(corrections(run)),
    "estimators": [name for name in estimators.available(run.model) if name in estimators.ONE_CALL],
    "results": _results(run),
  }


def defaults(run: Run) -> dict[str, Any]:
  """Returns what the page draws unless it is asked for something else: few enough network calls to watch it."""
  own, all_steps = run.record.config["sampling"]["num_steps"], run.record.config["model"].get("num_steps")
  iterative = run.model.chain is not None and run.model.denoise is not None
  most = all_steps if isinstance(all_steps, int) and all_steps > 0 else NUM_STEPS[-1]
  wanted = own if own in NUM_STEPS else _STEPS
  steps = max((n for n in NUM_STEPS if n <= min(wanted, most)), default=None) if iterative else None
  return {"num_samples": 4, "num_steps": steps}


def corrections(run: Run) -> tuple[str, ...]:
  """Returns the methods of correction that clients may ask for, the default one first; none where the model has none.

  "channel" of a model that also denoises is left to commands: it calls the whole network for each position.
  """
  return spelling.chosen(run.model) if spelling.available(run.model) else ()


def _results(run: Run) -> list[dict[str, Any]]:
  """Returns what evaluations of this checkpoint have found; nothing where they cannot be read."""
  try:
    records = evaluations(run.folder)
  except InputError:
    return []
  shown = ("split", "estimator", "unit", "value", "data_error", "monte_carlo_error", "num_examples")
  own = [each for each in records if each.get("step") == run.step and not orders.of_record(each)][-4:]
  return [{**{name: each.get(name) for name in shown}, "bound": each.get("estimator") != "exact"} for each in own]


def batch_from(model: Served, examples: Sequence[Any]) -> Batch:
  """Returns examples that a client sends: texts, maps or arrays of categories, rows as objects or lists of cells.

  Raises:
    InputError: one does not fit, with its number where there are several.
  """
  parts: list[Batch] = []
  for number, example in enumerate(examples):
    try:
      parts.append(_one(model, example))
    except InputError as error:
      raise InputError(f"example {number + 1}: {error}" if len(examples) > 1 else str(error)) from error
  x, valid = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
  return batch_of(x, valid)


def _one(model: Served, example: Any) -> Batch:
  if model.kind in ("map", "array"):
    x = _array(model, example)
    if (x == HOLE).all():
      raise InputError("there is no category at all; give at least one")
    return batch_of(np.where(x == HOLE, 0, x)[None], (x != HOLE)[None])
  _check_type(model, example)
  return model.run.media.typed([example])


def pattern_from(model: Served, example: Any, hole: str) -> Pattern:
  """Returns one example with holes as arrays with a first axis of 1: `hole` in texts and cells, -1 in maps and arrays.

  Raises:
    InputError: it does not fit, has no hole, or is none that the model can complete.
  """
  run = model.run
  if model.kind in ("map", "array"):
    x = _array(model, example)
  else:
    _check_type(model, example)
    if model.kind == "text":
      assert run.media.parse is not None
      found = run.media.parse(example, hole=hole, pad=True)
      x = np.where(found.observed, found.x, HOLE)
    else:
      assert run.media.typed_holes is not None
      x = np.asarray(run.media.typed_holes([example], hole=hole).x[0])
  if (x != HOLE).all():
    raise InputError(
      f"nothing is to be completed; write {'-1' if model.kind in ('map', 'array') else repr(hole)} there"
    )
  pattern = Pattern(np.where(x == HOLE, 0, x)[None].astype(np.int32), (x != HOLE)[None])
  check_patterns(run.model, *pattern)
  return pattern


def shown(
  model: Served, x: Int[np.ndarray, "examples *event"], drawn: Bool[np.ndarray, "examples *event"]
) -> list[Any]:
  """Returns examples as JSON: texts, maps or arrays of categories with -1 where there is none, rows as objects.

  Args:
    model: whose examples they are.
    x: what was drawn.
    drawn: False where a code means no category.
  """
  reached = np.broadcast_to(reached_positions(model.run.record), x.shape)
  found = batch_of(marked(batch_of(x, drawn)), reached)
  if model.kind in ("map", "array"):
    return marked(found).tolist()
  return [model.run.decode(each, valid) for each, valid in zip(found.x, found.valid, strict=True)]


def on_the_way(model: Served, x: Int[np.ndarray, "examples *event"]) -> list[Any]:
  """Returns states of a chain as JSON: texts with light blocks where nothing is drawn, categories with -1 there."""
  if model.run.media.frames is not None:
    return model.run.media.frames(x)
  if model.kind == "row":
    return []
  return np.where(x < model.run.record.event.num_classes, x, HOLE).tolist()


def characters(model: Served, x: Int[np.ndarray, "positions"]) -> list[str] | None:
  """Returns what each position of a text adds to it; None where a position is no character, as a token is."""
  try:
    return text_medium.characters(model.run.record.codec, x)
  except InputError:
    return None


def _array(model: Served, example: Any) -> Int[np.ndarray, "*event"]:
  shape, most = model.run.record.event.shape, model.run.record.event.num_classes
  try:
    x = np.array(example)
  except ValueError:  # rows of different lengths
    x = np.zeros(0)
  named = " x ".join(map(str, shape))
  if x.shape != shape or x.dtype.kind != "i":
    raise InputError(f"give {math.prod(shape):,} whole numbers as lists of {named}, -1 where nothing is known")
  if ((x < HOLE) | (x >= most)).any():
    wrong = int(x[(x < HOLE) | (x >= most)][0])
    raise InputError(f"{wrong} is no category; they are numbered from 0 to {most - 1}, and -1 stands for none")
  return x.astype(np.int32)


def _check_type(model: Served, example: Any) -> None:
  """Raises InputError unless an example is a text, or a row; a text is never taken for the path of a file."""
  if model.kind == "text" and not isinstance(example, str):
    raise InputError(f"a text is needed here, not {type(example).__name__}")
  if model.kind == "row":
    cells = example.values() if isinstance(example, dict) else example
    if not isinstance(example, dict | list) or any(isinstance(cell, dict | list) for cell in cells):
      raise InputError("a row is an object by the names of the columns, or a list of cells")
