"""Where a run begins: parameters of another one, by name and shape; and what changes where it goes on otherwise."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from catgen.config import make_training_optimizer
from catgen.interfaces import InputError, PyTree
from catgen.paths import absolute, expanded
from catgen.runs import exported
from catgen.runs.record import Ancestor, RunRecord
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.restoring import Restored
from catgen.training.state import TrainState
from catgen.trees import leaves

_SHOWN = 8  # names in a line


def taken(
  state: TrainState, init_from: str, say: Callable[[str], None], found: Restored | None = None
) -> tuple[TrainState, Ancestor]:
  """Returns a new state with the parameters of another run that have the same name and shape, and where they are from.

  Their moving average is taken where the other run kept one, for the parameters and for the new average. Optimizer,
  step and the history of losses begin anew.

  Args:
    state: at step 0.
    init_from: a work directory, "runs/other", for its best checkpoint, or with a step, "runs/other@3000"; or an
      exported model, "pretrained/NAME".
    say: receives what was taken and what was not.
    found: what `check_there` has read already.

  Raises:
    InputError: there is no such checkpoint, or nothing in it fits.
  """
  workdir, step = split_step(init_from)
  found = exported.restored(workdir, step, wanted="average", say=say) if found is None else found
  theirs, ours = dict(leaves(_averaged(found))), dict(leaves(state.params))
  fitting = [name for name, leaf in ours.items() if name in theirs and theirs[name].shape == leaf.shape]
  if not fitting:
    raise InputError(f"--init_from={init_from}: none of its parameters has the name and shape of one here")
  say(f"took {len(fitting)} of {len(ours)} arrays of parameters from {workdir}, checkpoint {found.step}")
  others = [f"{name} {_compared(theirs.get(name), leaf)}" for name, leaf in ours.items() if name not in fitting]
  for title, names in (
    ("left as they were drawn", others),
    ("not used", [name for name in theirs if name not in ours]),
  ):
    if names:
      more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
      say(f"  {title}: {', '.join(names[:_SHOWN])}{more}")
  ancestor = Ancestor("init_from", absolute(workdir), found.step)
  chosen = set(fitting)
  return state._replace(
    params=_put(state.params, theirs, chosen), ema=None if state.ema is None else _put(state.ema, theirs, chosen)
  ), ancestor


def check_there(init_from: str) -> Restored | None:
  """Returns the parameters of an exported model, which are read to know that they are whole; None of a run.

  Raises:
    InputError: there are no checkpoints to begin from; before a work directory is made.
  """
  workdir, step = split_step(init_from)
  if exported.is_exported(workdir):
    return exported.restored(workdir, step, wanted="average")
  there = checkpoint_steps(workdir)
  if not there or step not in ("best", *there):
    what = "no checkpoint" if step == "best" else f"no checkpoint of step {step}"
    raise InputError(f"--init_from={init_from}: there is {what} in {workdir}; name the work directory of another run")
  return None


def check_began_from(record: RunRecord, init_from: str, workdir: str) -> None:
  """Raises InputError unless a run that goes on has begun from there."""
  other, step = split_step(init_from)
  for ancestor in record.lineage:
    if ancestor.workdir == absolute(other) and step in ("best", ancestor.step):
      return
  raise InputError(f"{workdir} holds a run that did not begin from {init_from}; leave --init_from out")


def split_step(text: str) -> tuple[str, str | int]:
  """Returns the work directory and the checkpoint that "workdir@step" means; without a step "best"."""
  workdir, at, step = expanded(text).rpartition("@")
  if at and re.fullmatch("[0-9]{1,18}", step):
    return exported.located(workdir), int(step)
  return exported.located(text), "best"


def changed_rates(before: Mapping[str, Any], after: Mapping[str, Any], step: int) -> Iterator[str]:
  """Yields a line where the learning rate of the next step is not what it would have been."""
  if (before["optimizer"], before["training"]["num_steps"]) == (after["optimizer"], after["training"]["num_steps"]):
    return
  old, new = (float(make_training_optimizer(config)[1](step)) for config in (before, after))
  if not np.isclose(old, new, rtol=1e-6, atol=0.0):
    yield f"the learning rate of step {step} is {new:.3g}; it would have been {old:.3g}"


def _averaged(found: Restored) -> PyTree:
  return found.params if found.ema is None else found.ema


def _compared(theirs: Any, ours: Any) -> str:
  there = "not there" if theirs is None else f"{tuple(theirs.shape)} there"
  return f"({there}, {tuple(ours.shape)} here)"


def _put(params: PyTree, theirs: Mapping[str, Any], chosen: set[str]) -> PyTree:
  """Returns parameters with those of the other run in place of the chosen ones, where and how they were."""
  replaced = [
    jax.device_put(np.asarray(theirs[name]).astype(leaf.dtype), leaf.sharding) if name in chosen else leaf
    for name, leaf in leaves(params)
  ]
  return jax.tree.unflatten(jax.tree.structure(params), replaced)
