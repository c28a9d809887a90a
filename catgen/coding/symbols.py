"""Range coding of examples, one position after another, many examples at a time in one stream.

Both directions run the same two compiled programs on arrays of the same shapes, position by position: encoding by the
parallel pass that evaluates a likelihood would give other last digits, and one is enough to decode something else.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int32, UInt32

from catgen.bounds import bits_per_position
from catgen.interfaces import EventSpec, InputError, Model, PyTree

Words = UInt32[np.ndarray, "words"]


class Coded(NamedTuple):
  """Examples as a stream."""

  words: Words
  bits: float  # -log2 of the probability of what was coded


class Coder(NamedTuple):
  """A model and its parameters, as what a range coder needs of them."""

  model: Model
  params: PyTree
  state: PyTree
  num_rows: int  # examples of a stream

  @property
  def num_positions(self) -> int:
    """Positions of an example."""
    return math.prod(self.model.event.shape)

  def encode(self, x: Int[np.ndarray, "rows *event"], valid: Bool[np.ndarray, "rows *event"]) -> Coded:
    """Returns the stream of `num_rows` examples; invalid positions are left out."""
    encoder, flat, bits = _library().stream.queue.RangeEncoder(), x.reshape(self.num_rows, -1).astype(np.int32), []

    def put(position: int, rows: np.ndarray, log_probs: np.ndarray, probs: np.ndarray) -> np.ndarray:
      categories = flat[rows, position]
      if len(categories) and probs.shape[1] > 1:
        encoder.encode(categories, _categorical(), probs[rows])
        bits.append(bits_per_position(-log_probs[rows, categories].astype(np.float64).sum(), 1))
      return flat[:, position]

    self._walk(valid, put)
    return Coded(encoder.get_compressed(), float(sum(bits)))

  def decode(self, words: Words, valid: Bool[np.ndarray, "rows *event"]) -> Int32[np.ndarray, "rows *event"]:
    """Returns the examples of a stream; invalid positions hold 0. A stream of something else gives other examples."""
    decoder, flat = _library().stream.queue.RangeDecoder(words), np.zeros((self.num_rows, self.num_positions), np.int32)

    def take(position: int, rows: np.ndarray, log_probs: np.ndarray, probs: np.ndarray) -> np.ndarray:
      if rows.any() and probs.shape[1] > 1:
        flat[rows, position] = decoder.decode(_categorical(), probs[rows])
      return flat[:, position]

    self._walk(valid, take)
    return flat.reshape(valid.shape)

  def _walk(
    self, valid: Bool[np.ndarray, "rows *event"], code: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
  ) -> None:
    """Calls code(position, rows that have it, log-probabilities [rows, categories], probabilities) -> categories there.

    Positions come in order. float32 has no probability below e^-103, the bits of which only the logarithm tells.
    """
    first, following = _programs(self.model)
    flat, sizes = valid.reshape(self.num_rows, -1), _sizes(self.model.event)
    log_probs, carry = first(self.params, self.state, jnp.asarray(valid))
    for position in range(self.num_positions):
      logs = np.asarray(log_probs)
      categories = code(position, flat[:, position], *(each[:, : sizes[position]] for each in (logs, np.exp(logs))))
      if position + 1 < self.num_positions:
        log_probs, carry = following(self.params, carry, jnp.int32(position), jnp.asarray(categories, jnp.int32))


@functools.lru_cache(maxsize=4)
def _programs(model: Model) -> tuple[Callable, Callable]:
  """Returns (params, state, valid) -> log-probabilities of position 0 and a carry; and (params, carry, position,
  categories there) -> those of the next position, and the carry."""
  sequential = model.sequential
  if sequential is None:
    raise InputError(
      "this model has no order of positions in which its probabilities are exact; compress by an autoregressive model "
      "of data in which nothing is ignored, or by a masked diffusion model"
    )

  @jax.jit
  def first(params: PyTree, state: PyTree, valid: Array) -> tuple[Float32[Array, "rows classes"], PyTree]:
    return sequential.log_probs(params, sequential.start(params, valid, state=state), 0)

  @functools.partial(jax.jit, donate_argnames="carry")  # or what attention remembers is copied at every position
  def following(
    params: PyTree, carry: PyTree, position: Array, categories: Array
  ) -> tuple[Float32[Array, "rows classes"], PyTree]:
    return sequential.log_probs(params, sequential.observe(carry, position, categories), position + 1)

  return first, following


def _sizes(event: EventSpec) -> tuple[int, ...]:
  return event.sizes or (event.num_classes,) * math.prod(event.shape)


def _library() -> Any:
  try:
    import constriction
  except ImportError as error:
    raise InputError("files are compressed by the package constriction: pip install 'catgen[compress]'") from error
  return constriction


@functools.lru_cache(maxsize=1)
def _categorical() -> Any:
  return _library().stream.model.Categorical(perfect=False)
