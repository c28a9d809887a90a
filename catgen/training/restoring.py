"""Models read back from checkpoints, without the code, the optimizer or the devices that wrote them."""

import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from catgen.files import from_json
from catgen.interfaces import InputError, PyTree
from catgen.training import distributed, folders, ranking, stored
from catgen.training.checkpoint import checkpoint_steps, directory_of, fetched
from catgen.trees import number_keys

_LOOKS, _LOOK_SECONDS = 5, 0.2  # at a checkpoint that cannot be read, which may be about to be deleted

Wanted = Literal["all", "params", "average"]  # the average: where there is one, else the parameters


class Unreadable(InputError):  # noqa: N818 as InputError, it is told and not traced
  """A checkpoint is damaged, or not all there yet."""


class Gone(Unreadable):
  """There is no such checkpoint, or no more: a running job deletes those that it does not keep."""


class Restored(NamedTuple):
  """The model of a checkpoint, without its optimizer."""

  params: PyTree  # None where the moving average was wanted, and is there
  ema: PyTree  # None where the run keeps no moving average, or it was not wanted
  model_state: PyTree
  step: int
  identity: Mapping[str, Any] = MappingProxyType({})  # what the writer said of its run; nothing by older versions


def restore_params(
  workdir: str | os.PathLike,
  step: str | int = "latest",
  *,
  wanted: Wanted = "all",
  layout: Callable[[PyTree], PyTree] = lambda item: item,
  criterion: str = "bits",
  say: Callable[[str], None] = print,
) -> Restored:
  """Returns the model of a checkpoint without needing the model's code, the optimizer or the writer's devices.

  Dictionaries whose keys are all numbers, as those of a list of layers, have integer keys. Of several processes all
  call it, and the first decides which checkpoint is read.

  Args:
    workdir: the run's folder.
    step: "latest" (falls back, and says so, if the newest is corrupt), "best" by the criterion (the newest, and says
      so, where nothing was validated), or a number.
    wanted: what is read of the parameters and their average; what is not never leaves the disk.
    layout: gives the stored arrays, as `jax.ShapeDtypeStruct`s {"params", "ema", "model_state", "step"}, the shardings
      that they are read into; default: one device.
    criterion: name of the validation metric, lower = better.
    say: receives one line on a fall back.

  Raises:
    Gone: there is no such checkpoint, or no more.
    Unreadable: it cannot be read.
    InputError: checkpoints cannot be read from a folder of this name.
  """
  directory = directory_of(workdir)
  folders.check(directory)
  tried: set[int] = set()
  while True:
    find = functools.partial(_candidates, workdir, step, criterion, say if not tried else lambda line: None)
    candidates, problem = from_json(distributed.first_tells(find))
    if problem and not tried:
      raise Gone(problem)
    for candidate in [each for each in candidates if each not in tried]:
      tried.add(candidate)
      restored = _model(directory, candidate, wanted, layout)
      if isinstance(restored, Restored):
        return restored
      gone = bool(distributed.first_tells(functools.partial(_is_gone, workdir, candidate)))
      if gone and isinstance(step, int):
        raise Gone(f"checkpoint {step} in {directory} was deleted before it was read")
      say(f"checkpoint {candidate} in {directory} " + ("was deleted meanwhile" if gone else restored))
      if gone:
        break  # and what is there now may be newer
    else:
      others = ", ".join(str(each) for each in checkpoint_steps(workdir) if each not in tried)
      remedy = f"choose another by --step, or by @STEP behind its folder: {others}" if others else "there is no other"
      raise Unreadable(f"no readable checkpoint {step} in {directory}; {remedy}")


def _candidates(workdir: str | os.PathLike, step: str | int, criterion: str, say: Callable[[str], None]) -> bytes:
  """Returns the steps that may be read, the first of them first, and why there are none, as JSON."""
  directory, there = directory_of(workdir), checkpoint_steps(workdir)
  candidates, problem = list(reversed(there)), ""
  if not there:
    problem = f"no checkpoint in {directory}; train first, or name another work directory"
  elif step != "latest":
    wanted = ranking.best_step(directory, there, criterion) if step == "best" else int(step)
    if wanted is None:
      say(f"no checkpoint in {directory} has a validation result; taking the newest, of step {there[-1]}")
    elif wanted not in there:
      problem = f"no checkpoint of step {wanted} in {directory}; there are {', '.join(map(str, there))}"
    candidates = candidates if wanted is None else [wanted] if wanted in there else []
  return json.dumps([candidates, problem]).encode()


def _model(directory: str, step: int, wanted: Wanted, layout: Callable[[PyTree], PyTree]) -> Restored | str:
  """Returns what is wanted of a checkpoint's model, or in a few words what is wrong with it: "is corrupt (...)"."""
  with ExitStack() as stack:
    place, problem = "", ""
    try:
      place = stack.enter_context(fetched(directory, step, ["model", stored.IDENTITY]))
    except InputError as error:
      problem = str(error)
    if distributed.worst(int(bool(problem))):
      return f"is not at hand ({problem or 'it cannot be read on another process'})"
    return _model_at(place, step, wanted, layout)


def _model_at(place: str, step: int, wanted: Wanted, layout: Callable[[PyTree], PyTree]) -> Restored | str:
  shapes = stored.shapes(place, step, "model")
  told = distributed.all_tell("" if shapes is None else "there")
  if not all(told):
    where = f" or not there, for process {told.index('')}" if told[0] else ""
    return f"is corrupt (its description is damaged{where})"
  assert shapes is not None
  unwanted = {"average": "params" if "ema" in shapes else "", "params": "ema", "all": ""}[wanted]
  restored = stored.read(place, step, {"model": layout(shapes)}, unwanted)
  if isinstance(restored, str):
    return f"is corrupt ({restored})"
  model = number_keys(restored["model"])  # Orbax gives keys back as texts unless it is shown the tree
  identity = stored.identity_of(place, step)
  return Restored(model.get("params"), model.get("ema"), model.get("model_state", {}), int(model["step"]), identity)


def _is_gone(workdir: str | os.PathLike, step: int) -> bytes:
  """Returns some bytes where a checkpoint is deleted, or about to be, and none otherwise."""
  for _ in range(_LOOKS):
    if step not in checkpoint_steps(workdir):
      return b"gone"
    time.sleep(_LOOK_SECONDS)
  return b""
