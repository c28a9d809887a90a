"""Puts a toy model, an optimizer, a mesh and a step together, as a launcher would."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from catgen.interfaces import Model
from catgen.training.learning_rate import DECAYS
from catgen.training.optimizer import OPTIMIZERS
from catgen.training.sharding import make_mesh, place
from catgen.training.state import TrainState
from catgen.training.step import abstract_state, make_init, make_train_step
from tests import toys


class Setting(NamedTuple):
  """What a run may vary without changing its result."""

  devices: int | None = None  # None = all
  fsdp: int = 1
  num_microbatches: int = 1
  optimizer: str = "adamw"


class Trainer(NamedTuple):
  """All parts of a run."""

  mesh: Any
  target: TrainState
  init: Callable[[], TrainState]
  train_step: Callable
  key: jax.Array
  place: Callable


@functools.cache
def build(model: str | Model, setting: Setting | None = None, **optimizer) -> Trainer:
  """Returns the parts of a run; tests that ask for the same share their compilation."""
  setting = setting or Setting()
  model = toys.MODELS[model]() if isinstance(model, str) else model
  keywords = {
    "learning_rate": 2e-2,
    "warmup_steps": 2,
    "decay": DECAYS["inverse_sqrt"](),
    "clip_norm": 1.0,
    "b2": 0.95,
  } | optimizer
  update, rate = OPTIMIZERS[setting.optimizer](**keywords)(100)
  mesh = make_mesh(fsdp=setting.fsdp, devices=jax.devices()[: setting.devices])
  local = toys.first_batch(process=jax.process_index(), processes=jax.process_count())
  batch = place(local, mesh)
  target = abstract_state(model, update, batch, mesh=mesh, min_size=1, ema_decay=0.9)
  init = make_init(model, update, target=target)
  step = make_train_step(model, update, rate, target=target, num_microbatches=setting.num_microbatches, ema_decay=0.9)
  return Trainer(
    mesh, target, lambda: init(batch, jax.random.key(1)), step, jax.random.key(2), lambda batch: place(batch, mesh)
  )


def run_steps(trainer: Trainer, num_steps: int, state: TrainState | None = None) -> tuple[TrainState, list[dict]]:
  """Returns the state after some steps, and the metrics of each."""
  state = trainer.init() if state is None else state
  metrics = []
  start = int(state.step)
  batches = toys.batches(start)
  for number in range(start, start + num_steps):  # told to the step, as by the loop: one program
    state, latest = trainer.train_step(state, trainer.place(next(batches)), trainer.key, number)
    metrics.append(jax.device_get(latest))
  return state, metrics
