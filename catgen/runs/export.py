"""A trained model as a folder that says all that is needed to use it: to keep, to give away, to read elsewhere."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from catgen import __version__
from catgen.evaluation import results
from catgen.files import read_bytes, remove_leftovers, replacing, write_error
from catgen.interfaces import InputError, PyTree
from catgen.paths import (
  alone,
  exists,
  expanded,
  is_folder,
  join,
  make_folder,
  move_folder,
  name_of,
  names_in,
  normal,
  parent_of,
  remove_folder,
)
from catgen.reporting import writers
from catgen.runs import cards, exported
from catgen.runs.load import Run
from catgen.runs.record import RunRecord, write_record
from catgen.runs.schema import FILE_NAME, Exported
from catgen.runs.standalone import programs
from catgen.runs.tensors import flat, packed
from catgen.training.ledger import TRAINING, last_of
from catgen.trees import num_elements

CARD = "card.md"


class ExportedModel(NamedTuple):
  """What was written."""

  output: str  # the folder
  sizes: dict[str, int]  # bytes of its files, by their names
  step: int
  averaged: bool
  num_parameters: int


def export(
  run: Run,
  *,
  output: str,
  dtype: Literal["float32", "bfloat16"] = "float32",
  card: str | None = None,
  force: bool = False,
  program: bool = False,
  say: Callable[[str], None] = print,
) -> ExportedModel:
  """Writes a model into a folder that is taken wherever a work directory is, and needs no data; see docs/MODELS.md.

  Args:
    run: the model: the moving average of its parameters where there is one, unless it was loaded without.
    output: the folder to write, which must not be there; it is there whole or not at all. What an export to it that
      was killed has left beside it is removed, and the old model given back where it is the only one.
    dtype: float32 keeps every bit; bfloat16 takes half the room, keeps 8 binary digits of each matrix, and all of
      vectors and of what is no parameter.
    card: a text in Markdown: licence of the data, command, hardware, what the model is good and bad at; it stands at
      the top of card.md.
    force: replace an exported model that is there; what it has and the new one has not is said, and goes.
    program: also write the sampler and the scorer as programs that run without catgen, by JAX alone.
    say: receives a line where records of the run that belong into the card cannot be read, and where an old model is
      given back.

  Raises:
    InputError: the folder is there, or cannot be written, or the model cannot be made a program.
  """
  output = normal(expanded(output))
  _tidy(output, say)
  lost = _check_free(output, force)
  said = cards.written_by_hand(card)
  found = _told(say, lambda: _results(run.folder), [])
  seconds = _told(say, lambda: _seconds(run.folder), None)
  record = _record(run, dtype, seconds)
  state = {"model_state": run.state} if jax.tree.leaves(run.state) else {}
  metadata = {"format": "catgen", "version": str(exported.FORMAT)}
  tensors = flat({"params": _stored(run.params, dtype), **state})
  contents = {
    **(programs(run, tensors) if program else {}),
    exported.MODEL: packed(tensors, metadata),
    CARD: cards.card(name_of(output), said, record, seconds, found).encode(),
  }
  if found:
    contents[results.FILE_NAME] = f"{json.dumps(found, indent=2, allow_nan=False)}\n".encode()
  if card is None and CARD in lost and cards.UNSAID.encode() not in read_bytes(join(output, CARD)):
    lost.add("a person's words in its card")
  sizes = _write(output, record, contents)
  if gone := ", ".join(sorted(lost - sizes.keys())):
    say(f"the model that was in {output} had {gone} too, which this one has not (see --program and --card)")
  return ExportedModel(output, sizes, run.step, run.uses_ema, num_elements(run.params))


def describe(found: ExportedModel) -> str:
  """Returns what was written, and how it is used."""
  files = ", ".join(f"{name} {size:,}" for name, size in found.sizes.items())
  kept = "averaged parameters" if found.averaged else "parameters"
  return (
    f"{found.num_parameters:,} {kept} of step {found.step:,} written to {found.output} (bytes: {files}); python -m "
    f"launch.sample --workdir={found.output} draws samples"
  )


def _tidy(output: str, say: Callable[[str], None]) -> None:
  """Ends what an export that was killed has begun: the old model is removed, or given back where no other is whole."""
  remove_leftovers(output)
  with contextlib.suppress(OSError):
    for name in names_in(parent_of(output)):
      if not re.fullmatch(rf"\.{re.escape(name_of(output))}\.\d+\.old", name):
        continue
      old = join(parent_of(output), name)
      if not exists(output):
        move_folder(old, output)
        say(f"an export to {output} was killed; the model that it had put aside is given back")
      elif _is_whole(output):
        remove_folder(old)


def _is_whole(folder: str) -> bool:
  try:
    return bool(exported.verify(folder))
  except InputError:
    return False


def _check_free(output: str, force: bool) -> set[str]:
  """Returns the files of an exported model that is there and may be replaced; none where nothing is.

  Raises:
    InputError: there is something that may not be replaced.
  """
  if not name_of(output):
    raise InputError(f"--output={output} is no name of a new folder; give one")
  if not exists(output) or (is_folder(output) and not names_in(output)):
    return set()
  if not exported.is_exported(output):
    raise InputError(f"{output} is there already, and holds no exported model; choose another --output")
  if not force:
    raise InputError(f"{output} holds an exported model already; choose another --output, or --force replaces it")
  there, ours = set(names_in(output)), {FILE_NAME, exported.MODEL, exported.SUMS, CARD, results.FILE_NAME}
  if exported.SUMS in there:
    ours |= exported.sums_of(output).keys()
  if others := ", ".join(sorted(there - ours)):
    raise InputError(
      f"{output} also holds {others}, no files of the exported model; move them, or choose another --output"
    )
  return there


def _record(run: Run, dtype: str, seconds: Mapping[str, float] | None) -> RunRecord:
  """Returns the record of the exported model, which names no folders of the machine that it was trained on."""
  config, record = run.record.config, run.record
  trained = 0.0 if seconds is None else round(seconds[TRAINING], 1)
  trained = trained if record.exported is None else record.exported.training_seconds
  size = num_elements(run.params)
  about = Exported(exported.FORMAT, __version__, run.step, run.uses_ema, dtype, size, trained)
  data = {key: _named(value) for key, value in config["data"].items()}
  description = record.description
  for place in [value for key, value in config["data"].items() if data[key] is not value]:
    description = description.replace(expanded(place), _named(place)).replace(place, _named(place))
  return record._replace(
    config={**config, "data": data},
    description=description,
    changes=tuple(each._replace(before=_named(each.before), after=_named(each.after)) for each in record.changes),
    lineage=tuple(each._replace(workdir=name_of(each.workdir)) for each in record.lineage),
    started_in="",
    exported=about,
  )


def _named(value: Any) -> Any:
  """Returns the name alone of an absolute path, and any other value as it is."""
  path = isinstance(value, str) and value.startswith(("/", "~"))
  return name_of(normal(value)) or value if path else value  # "/" alone may separate columns


def _stored(params: PyTree, dtype: str) -> PyTree:
  """Returns parameters as they are stored: matrices of float32 perhaps in bfloat16, rounded to the nearest."""

  def stored(leaf: jax.Array) -> np.ndarray:
    array = np.asarray(leaf)
    narrow = dtype == "bfloat16" and array.ndim > 1 and array.dtype == np.float32
    return array.astype(jnp.bfloat16) if narrow else array

  return jax.tree.map(stored, params)


def _results(workdir: str) -> list[dict[str, Any]]:
  """Returns the evaluations of a run, which name no folders of the machine that it was trained on."""
  found = results.read_results(workdir)
  for each in found:
    for name in ("lineage", "changes"):
      if isinstance(told := each.get(name), list):
        each[name] = [_of_no_machine(one) for one in told if isinstance(one, dict)]
  return found


def _of_no_machine(told: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what is told of an ancestor, or of a change, without folders."""
  return {key: name_of(str(value)) if key == "workdir" else _named(value) for key, value in told.items()}


def _seconds(workdir: str) -> dict[str, float] | None:
  path = join(workdir, writers.FILE_NAME)
  return last_of(writers.read_metrics(path)) if exists(path) else None


def _told(say: Callable[[str], None], read: Callable[[], Any], otherwise: Any) -> Any:
  try:
    return read()
  except InputError as error:
    say(f"warning: {error}; the card goes without")
    return otherwise


def _write(output: str, record: RunRecord, contents: Mapping[str, bytes]) -> dict[str, int]:
  """Writes the folder beside its place, then moves it there; returns the sizes of its files."""
  beside = join(parent_of(output), f".{name_of(output)}.{os.getpid()}")
  fresh, old = f"{beside}.tmp", f"{beside}.old"
  contents = dict(contents)
  try:
    make_folder(fresh)
    with alone(fresh):  # until it has its place: nobody takes it for one that was left
      write_record(fresh, record)
      contents[FILE_NAME] = read_bytes(join(fresh, FILE_NAME))
      contents[exported.SUMS] = exported.sealed(contents)
      for name, content in contents.items():
        if name != FILE_NAME:
          with replacing(join(fresh, name)) as file:
            file.write(content)
      if exists(output):
        move_folder(output, old)
      try:
        move_folder(fresh, output)
      except BaseException:
        if exists(old):
          move_folder(old, output)
        raise
  except (OSError, InputError) as error:
    refusal = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(refusal, OSError):
      raise
    raise write_error(output, refusal, remedy="free space or choose another --output") from error
  finally:
    remove_folder(fresh)
    remove_folder(old)
  return {name: len(content) for name, content in sorted(contents.items())}
