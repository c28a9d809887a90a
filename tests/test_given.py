"""Labels: hidden by chance, read as text, checked, and fixed to make a model without labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.chains import Chain, Reverse
from catgen.given import check_given, fix_given, hide, label_numbers, labels_of_each, sizes_of
from catgen.interfaces import Bound, Denoised, EventSpec, Infill, InputError, Latent, Model, Samples
from catgen.keys import example_keys
from catgen.memories import Carry
from catgen.orders import Orders, Sequential
from catgen.sources import Attribute

SIZES = (3, 2)
ATTRIBUTES = (Attribute("color", ("red", "green", "blue")), Attribute("size", ("small", "large")))
EVENT = EventSpec((4,), 5, SIZES)


@functools.partial(jax.jit, static_argnames="share")
def hidden_of(given, key, numbers, share):
  """Returns the labels of the examples with these numbers, some of them hidden."""
  return hide(given, SIZES, example_keys(key, numbers), share)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_are_hidden_with_their_share_and_independently(share):
  number = 20_000
  numbers = np.arange(number, dtype=np.int32)
  given = np.stack([numbers % 3, numbers % 2], axis=1)
  hidden = np.asarray(hidden_of(given, jax.random.key(0), numbers, share))
  gone = hidden == np.array(SIZES)
  np.testing.assert_array_equal(hidden[~gone], given[~gone])
  error = 4 * np.sqrt(share * (1 - share) / number)
  np.testing.assert_allclose(gone.mean(axis=0), share, atol=error)
  np.testing.assert_allclose(gone.all(axis=1).mean(), share**2, atol=error)


def test_what_is_hidden_follows_from_the_key_of_the_example():
  given, numbers = np.zeros((64, 2), np.int32), np.arange(64, dtype=np.int32)
  whole, part = (
    hidden_of(given[some], jax.random.key(1), numbers[some], 0.5) for some in (slice(0, 64), slice(40, 64))
  )
  np.testing.assert_array_equal(np.asarray(whole)[40:], part)


def test_a_label_is_given_once_and_a_text_is_one_label():
  assert label_numbers(ATTRIBUTES, "size=large").tolist() == [3, 1]
  for twice in (["size=large", "size=small"], ["color=red", "size=large", "color=red"]):
    with pytest.raises(InputError, match=r"^(size|color) is given more than once; it can be given once"):
      label_numbers(ATTRIBUTES, twice)


def test_labels_are_read_by_name():
  assert sizes_of(ATTRIBUTES) == SIZES
  assert label_numbers(ATTRIBUTES, ["size=large", "color=blue"]).tolist() == [2, 1]
  assert label_numbers(ATTRIBUTES, ["size=small"]).tolist() == [3, 0]
  assert label_numbers(ATTRIBUTES, []).tolist() == [3, 2]
  for label, message in (
    ("large", "not of the form name=value .*: color, size"),
    ("weight=1", "a name that the model knows: color, size"),
    ("color=pink", "color cannot be 'pink'; choose one of red, green, blue"),
  ):
    with pytest.raises(InputError, match=message):
      label_numbers(ATTRIBUTES, [label])
  with pytest.raises(InputError, match="none, its data have no labels"):
    label_numbers((), ["color=red"])


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ([0], "1 labels are given, but examples of this model have 2"),
    ([0, 3], "label 3 of attribute 1 is outside 0..2, 2 = not given"),
    ([[0, 0], [4, 1]], "label 4 of attribute 0 is outside 0..3"),
    ([-1, 0], "label -1 of attribute 0"),
  ],
)
def test_labels_that_do_not_fit_are_named(given, message):
  with pytest.raises(InputError, match=message):
    check_given(EVENT, np.array(given))


def test_examples_share_labels_or_have_their_own():
  assert labels_of_each(EVENT, np.array([3, 1]), 2).tolist() == [[3, 1], [3, 1]]
  assert labels_of_each(EVENT, np.array([[3, 1], [0, 2]]), 2).tolist() == [[3, 1], [0, 2]]


def teller():
  """A model all of whose functions answer what they were given, as a number: the labels' digits."""

  def told(given):
    return (given * jnp.array([10, 1])[None]).sum(axis=1)

  def of_batch(params, batch, *more, **keywords):
    return told(batch.given).astype(jnp.float32)

  def bound(params, batch, keys, *, state, train, strata=None):
    return Bound(told(batch.given), {})

  def drawn(params, first, *more, given=None, state, options=None):
    x = told(given)[:, None]
    return Samples(x, x >= 0)

  return Model(
    EVENT,
    init=lambda batch, key: (told(batch.given), {}),
    bound=bound,
    sample=drawn,
    log_prob=of_batch,
    log_weight=of_batch,
    full_bound=lambda *arguments, state: (of_batch(*arguments), {}),
    denoise=lambda *arguments, given=None, state: Denoised(told(given), told(given)),
    infill=Infill(drawn, True, "exact"),
    latent=Latent(
      infer=lambda *arguments, state: (of_batch(*arguments), of_batch(*arguments)),
      log_prob=lambda params, v, *, given=None, state: told(given),
      sample=lambda params, keys, *, given=None, state: (told(given), drawn(params, keys, given=given, state=state)),
      log_q=of_batch,
      log_likelihood=of_batch,
      has_unused_codes=False,
    ),
    carry=Carry(lambda params, number: None, lambda *arguments, **_: (of_batch(*arguments), None)),
    chain=Chain(drawn, drawn, drawn, drawn),
    orders=Orders((), (), 1, of_batch, of_batch),
    sequential=Sequential(lambda params, valid, *, given=None, state: told(given), drawn, drawn),
    reverse=Reverse(5, 2, 2, False, False, *[drawn] * 5),
  )


def test_a_model_with_fixed_labels_gives_them_everywhere():
  model = fix_given(teller(), [2, 1])
  assert model.event == EVENT._replace(given=())
  batch, keys = batch_of(np.zeros((3, 4), np.int32)), jax.random.split(jax.random.key(0), 3)
  answers = [
    model.init(batch, keys[0])[0],
    model.bound({}, batch, keys, state={}, train=False).nats,
    model.log_prob({}, batch, state={}),
    model.sample({}, keys, state={}, options=None).x[:, 0],
    model.denoise({}, batch.x, batch.valid, 0.1, state={}).posterior,
    model.infill.draw({}, batch.x, batch.valid, keys, state={}, options=None).x[:, 0],
    model.latent.infer({}, batch, keys, state={})[0],
    model.latent.log_prob({}, np.zeros((3, 2)), state={}),
    model.latent.sample({}, keys, state={})[0],
    model.latent.log_q({}, batch, np.zeros((3, 2)), state={}),
    model.latent.log_likelihood({}, batch, np.zeros((3, 2)), state={}),
    model.log_weight({}, batch, keys, state={}),
    model.full_bound({}, batch, keys, state={})[0],
    model.carry.bound({}, batch, None, keys, state={}, train=False)[0],
    model.orders.log_prob({}, batch, options=None, state={}),
    model.orders.num_calls({}, batch, options=None, state={}),
    model.sequential.start({}, batch.valid, state={}),
  ]
  for answer in answers:
    assert np.asarray(answer).tolist() == [21, 21, 21]
  assert (model.chain, model.reverse) == (None, None)  # whose parts would be given other labels, or none
  least = fix_given(
    teller()._replace(full_bound=None, log_weight=None, latent=None, carry=None, sequential=None), [2, 1]
  )
  assert (least.full_bound, least.log_weight, least.latent, least.carry, least.sequential) == (None,) * 5
  with pytest.raises(InputError, match="label 4 of attribute 0"):
    fix_given(teller(), [4, 1])
