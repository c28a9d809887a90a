"""All events of a small space, by all labels: what a model says of each of them, and how often it draws each."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from catgen.batches import batch_of, take
from catgen.evaluation.order_curves import count_events
from catgen.evaluation.samples import generate
from catgen.evaluation.spread import Spread
from catgen.interfaces import Batch, InputError, Model, PyTree, SampleOptions
from catgen.keys import example_keys

MAX_EVENTS = 1000
LEAST_DRAWS = 16
AT_ONCE = 50  # draws computed together


class Space(NamedTuple):
  """A model, and the labels by each of which it is looked at."""

  model: Model
  params: PyTree
  state: PyTree
  labels: Int[np.ndarray, "labels attributes"] | None  # None: nothing is given, which counts as one label
  num_samples: int  # drawn by each label
  spread: Spread

  @property
  def num_labels(self) -> int:
    """Returns how many labels there are, 1 where nothing is given."""
    return 1 if self.labels is None else len(self.labels)

  def drawn_of(
    self, function: Callable[..., Array], num_draws: int
  ) -> Callable[[Key[Array, ""]], Float[np.ndarray, "draws labels events"]]:
    """Returns key -> independent draws, float64, of function(params, batch, keys, state) for every event."""
    batch = enumerate_events(self.model)
    number = len(batch.x)
    if self.labels is not None:
      batch = take(batch, np.tile(np.arange(number), len(self.labels)))
      index = np.arange(len(batch.x), dtype=np.int32)
      batch = batch._replace(index=index, given=self.labels.repeat(number, axis=0).astype(np.int32))

    def all_draws(params: PyTree, state: PyTree, batch: Batch, key: Array) -> Array:
      def one(number: Array) -> Array:
        return function(params, batch, example_keys(jax.random.fold_in(key, number), jnp.asarray(batch.index)), state)

      return jax.lax.map(one, jnp.arange(num_draws), batch_size=AT_ONCE)

    compiled, total = self.spread.compiled(all_draws), len(batch.x)
    placed = self.spread.put(take(batch, self.spread.numbers(0, total)))

    def draw(key: Array) -> np.ndarray:
      found = np.asarray(compiled(self.params, self.state, placed, key), np.float64)
      return found[:, :total].reshape(num_draws, self.num_labels, number)

    return draw

  def counted(self, key: Key[Array, ""], options: SampleOptions) -> Int[np.ndarray, "labels events"]:
    """Returns how often each event was drawn; what is missing to `num_samples` was invalid."""
    total = self.num_labels * self.num_samples
    given = None if self.labels is None else self.labels.repeat(self.num_samples, axis=0)
    drawn = generate(
      self.model,
      self.params,
      self.state,
      num_samples=total,
      batch_size=5000,
      key=key,
      given=given,
      options=options,
      spread=self.spread,
    )
    num_classes, shape = self.model.event.num_classes, (self.num_labels, self.num_samples, -1)
    each = zip(*(np.asarray(array).reshape(shape) for array in (drawn.x, drawn.valid)), strict=True)
    return np.stack([count_events(x[valid.all(axis=1)], num_classes) for x, valid in each])


def few(num_states: int, size: int, most: int = MAX_EVENTS) -> bool:
  """Returns whether so many positions have together at most so many states: S^D itself may have millions of digits."""
  return size * math.log(num_states) <= math.log(most + 0.5)


def check_size(shape: Sequence[int], num_classes: int, num_draws: int) -> None:
  """Raises InputError where a space has no events or too many to enumerate, or a proof too few draws."""
  size = math.prod(shape)
  if num_classes < 1:
    raise InputError(f"num_classes is {num_classes}; it must be at least 1")
  if not few(num_classes, size):
    raise InputError(f"{num_classes}^{size} events are too many to enumerate: at most {MAX_EVENTS} are")
  if not LEAST_DRAWS <= num_draws < 2**31:
    raise InputError(f"num_draws is {num_draws}; a proof needs at least {LEAST_DRAWS} draws, and less than 2^31")


def enumerate_events(model: Model) -> Batch:
  """Returns all K^D events of the model as one batch, the last position counting fastest."""
  check_size(model.event.shape, model.event.num_classes, LEAST_DRAWS)
  return batch_of(all_states(model.event.num_classes, model.event.shape))


def all_states(num_states: int, shape: tuple[int, ...]) -> Int[np.ndarray, "all *event"]:
  """Returns all states of all positions, the last position counting fastest."""
  size = math.prod(shape)
  places = np.unravel_index(np.arange(num_states**size), (num_states,) * size)
  return np.stack(places, axis=-1).astype(np.int32).reshape(-1, *shape)
