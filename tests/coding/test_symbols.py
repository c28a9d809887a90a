"""Streams of examples: every event of tiny spaces comes back, in as many bits as its probability says."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.coding.symbols import Coder
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.orders import Sequential
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts.making import initial
from tests.contracts.parts import transformer
from tests.parameters import filled

PLAIN, COLUMNS = EventSpec((3,), 3), EventSpec((3,), 3, sizes=(2, 3, 1))
MASKED = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"](), "num_steps": 0}
BYTES = EventSpec((16,), 256)
CASES = {
  "bytes": ("autoregressive", BYTES, {}),
  "autoregressive": ("autoregressive", PLAIN, {}),
  "columns": ("autoregressive", COLUMNS, {}),
  "masked": ("diffusion", PLAIN, MASKED),
}


@functools.cache
def coder(name: str) -> Coder:
  kind, event, options = CASES[name]
  model = MODELS[kind].make(event=event, network=transformer(), **options)
  if event is not BYTES:
    return Coder(model, *initial(model), num_rows=27)
  shapes, _ = jax.eval_shape(model.init, batch_of(np.zeros((1, *event.shape), np.int32)), jax.random.key(0))
  return Coder(model, jax.device_put(filled(shapes)), {}, num_rows=27)


def every_event(name: str) -> np.ndarray:
  event = coder(name).model.event
  found = np.array(list(itertools.product(*map(range, event.sizes or (3, 3, 3)))), np.int32)
  return np.concatenate([found, np.zeros((27 - len(found), 3), np.int32)])


@pytest.mark.parametrize("name", [name for name in CASES if name != "bytes"])
def test_every_event_comes_back_in_the_bits_of_its_probability(name):
  own, x = coder(name), every_event(name)
  valid = np.ones(x.shape, bool)
  coded = own.encode(x, valid)
  np.testing.assert_array_equal(own.decode(coded.words, valid), x)
  law = SampleOptions(order="left_to_right")
  log_prob = jax.jit(functools.partial(own.model.orders.log_prob, options=law))
  log_p = np.asarray(log_prob(own.params, batch_of(x), state=own.state), np.float64)
  assert coded.bits == pytest.approx(-log_p.sum() / math.log(2), rel=1e-5)
  assert coded.bits - 64 <= 32 * len(coded.words) <= coded.bits * 1.001 + 64


def test_invalid_positions_take_no_bits_and_come_back_as_nothing():
  own, x = coder("autoregressive"), every_event("autoregressive")
  valid = np.arange(3) < np.arange(27)[:, None] % 4
  coded = own.encode(x, valid)
  np.testing.assert_array_equal(own.decode(coded.words, valid), np.where(valid, x, 0))
  other = own.encode(np.where(valid, x, 2), valid)
  np.testing.assert_array_equal(coded.words, other.words)
  assert own.encode(x, np.zeros_like(valid)).bits == 0


def test_bits_of_what_is_less_probable_than_float32_can_say_are_finite():
  """A probability of e^-120 is 0 in float32: it has 173 bits, which were infinite."""
  log_p = np.array([0.0, -120.0, -150.0], np.float32)
  sequential = Sequential(
    lambda params, valid, *, given=None, state: jnp.zeros(len(valid)),
    lambda params, carry, position: (jnp.broadcast_to(log_p, (len(carry), 3)), carry),
    lambda carry, position, category: carry,
  )
  own = Coder(coder("autoregressive").model._replace(sequential=sequential), {}, {}, num_rows=2)
  x = np.array([[1, 0, 0], [0, 2, 1]], np.int32)
  coded = own.encode(x, np.ones(x.shape, bool))
  assert coded.bits == pytest.approx((120 + 150 + 120) / math.log(2))
  np.testing.assert_array_equal(own.decode(coded.words, np.ones(x.shape, bool)), x)


def test_random_examples_come_back():
  own, rng = coder("autoregressive"), np.random.default_rng(0)
  for _ in range(40):
    x, valid = rng.integers(0, 3, (27, 3), np.int32), rng.random((27, 3)) < rng.random()
    valid = np.logical_and.accumulate(valid, axis=1)  # padding is at the end
    np.testing.assert_array_equal(own.decode(own.encode(x, valid).words, valid), np.where(valid, x, 0))


def test_a_thousand_random_byte_strings_come_back():
  """Each a row of its own, of 0 to 16 bytes; 27 of them in a stream, the last of fewer."""
  own, rng, number = coder("bytes"), np.random.default_rng(1), 0
  while number < 1000:
    rows = min(27, 1000 - number)
    sizes = np.append(rng.integers(0, 17, rows), np.zeros(27 - rows, int))
    valid = np.arange(16) < sizes[:, None]
    x = np.where(valid, rng.integers(0, 256, valid.shape), 0).astype(np.int32)
    coded = own.encode(x, valid)
    found = own.decode(coded.words, valid)
    assert [row[:size].tobytes() for row, size in zip(found.astype(np.uint8), sizes, strict=True)] == [
      row[:size].tobytes() for row, size in zip(x.astype(np.uint8), sizes, strict=True)
    ]
    assert 32 * len(coded.words) <= coded.bits * 1.001 + 64
    number += rows
  assert number == 1000


@pytest.mark.parametrize(("kind", "event"), [("diffusion", PLAIN), ("autoregressive", PLAIN._replace(ignores=True))])
def test_a_model_without_an_order_of_positions_is_refused(kind, event):
  model = MODELS[kind].make(event=event, network=transformer())
  uniform = Coder(model, {}, {}, 2)
  needed = "compress by an autoregressive model of data in which nothing is ignored, or by a masked diffusion model"
  with pytest.raises(InputError, match=needed):
    uniform.encode(np.zeros((2, 3), np.int32), np.ones((2, 3), bool))
