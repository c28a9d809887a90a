"""Diffusion models whose network is a table, made by what the models offer for it."""

import jax.numpy as jnp
import numpy as np

from catgen.interfaces import EventSpec
from catgen.kinds import Recipe
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts import exact

K, T = 3, 4
NETWORK = Recipe(TRUNKS["transformer"].make, {})
SHIFTS = np.float32([[1.5, 0, 0], [0, 1.5, 0], [0.5, 0.5, 0]])
LOGITS = np.random.default_rng(5).normal(size=(K + 1, K))


def said(x_t, time, xp):
  """Predicts each position from its neighbor, more surely in noise."""
  return xp.asarray(LOGITS)[xp.roll(x_t, 1, axis=1)] * (1 + time)


def repeats(x_t, time, xp):
  """Predicts that a position of two masked ones repeats the other with probability 0.8, as exactly it does."""
  log_p = np.log(np.append(0.8 * np.eye(K) + 0.2 / K, np.full((1, K), 1 / K), axis=0))
  return xp.asarray(log_p)[xp.roll(x_t, 1, axis=1)] + 0 * time


def model_of(process, num_steps, size=2, predict=said, **options):
  event = EventSpec((size,), K, frequencies=(0.5, 0.3, 0.2))
  noise = PROCESSES[process](**exact.options(process, K))
  parts = {"process": noise, "schedule": SCHEDULES["linear"](), "network": NETWORK, "num_steps": num_steps}
  model = MODELS["diffusion"].make(event=event, **parts, **options)
  return model.reverse.with_predictions(lambda x_t, time, given: predict(x_t, time[:, None, None], jnp))


def labelled(process, num_steps):
  """Returns a model of which each of two labels has more of the category of its number; the same of both without."""
  event = EventSpec((2,), K, (2,))
  parts = {"process": PROCESSES[process](), "schedule": SCHEDULES["linear"](), "network": NETWORK}

  def predict(x_t, time, given):
    number = jnp.full((len(x_t), 1), 2) if given is None else given
    return said(x_t, 0.0, jnp) + jnp.asarray(SHIFTS)[number]

  return MODELS["diffusion"].make(event=event, num_steps=num_steps, **parts).reverse.with_predictions(predict)
