"""What examples are given: labels that condition a model. A label equal to the attribute's size means "not given"."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from catgen.interfaces import Batch, EventSpec, InputError, Model
from catgen.keys import fold_in
from catgen.sources import Attribute

_HIDING = 2**31 - 1  # apart from the small numbers that models fold into an example's key


def hide(
  given: Int[Array, "batch attributes"], sizes: tuple[int, ...], keys: Key[Array, "batch"], share: float
) -> Int[Array, "batch attributes"]:
  """Returns labels of which each is "not given" with probability `share`, as each example's own key has it.

  A model that is trained so answers with labels, with some of them and with none.
  """
  uniforms = jax.vmap(lambda key: jax.random.uniform(key, (len(sizes),)))(fold_in(keys, _HIDING))
  return jnp.where(uniforms < share, jnp.asarray(sizes, given.dtype)[None], given)


def sizes_of(attributes: Sequence[Attribute]) -> tuple[int, ...]:
  """Returns how many values each attribute has: `EventSpec.given`, for labels [batch, attributes]."""
  return tuple(len(attribute.values) for attribute in attributes)


def label_numbers(attributes: Sequence[Attribute], labels: Sequence[str]) -> Int[np.ndarray, "attributes"]:
  """Returns what "name=value" labels give, in the order of the attributes; those that are not named are not given.

  A text by itself is one label.

  >>> label_numbers([Attribute("size", ("s", "m", "l")), Attribute("color", ("red",))], ["size=m"])
  array([1, 1], dtype=int32)

  Raises:
    InputError: a label is no "name=value", its name or value is unknown, or one name is given twice.
  """
  numbers = [len(attribute.values) for attribute in attributes]
  places, given = {attribute.name: i for i, attribute in enumerate(attributes)}, set[str]()
  for label in [labels] if isinstance(labels, str) else labels:
    name, equals, value = label.partition("=")
    if not equals or name not in places:
      known = ", ".join(places) or "none, its data have no labels"
      raise InputError(f"the label {label!r} is not of the form name=value with a name that the model knows: {known}")
    values = attributes[places[name]].values
    if value not in values:
      raise InputError(f"{name} cannot be {value!r}; choose one of {', '.join(values)}")
    if name in given:
      raise InputError(f"{name} is given more than once; it can be given once, so leave out all labels but one")
    given.add(name)
    numbers[places[name]] = values.index(value)
  return np.array(numbers, np.int32)


def check_given(event: EventSpec, given: Int[np.ndarray, "*batch attributes"]) -> None:
  """Raises InputError unless there is a category, or "not given", for each attribute of the event."""
  if given.shape[-1] != len(event.given):
    raise InputError(f"{given.shape[-1]} labels are given, but examples of this model have {len(event.given)}")
  outside = (given < 0) | (given > np.array(event.given))
  if outside.any():
    *_, place = np.unravel_index(int(outside.argmax()), given.shape)
    size = event.given[place]
    raise InputError(f"label {int(given[outside][0])} of attribute {place} is outside 0..{size}, {size} = not given")


def labels_of_each(
  event: EventSpec, given: Int[np.ndarray, "*batch attributes"], number: int
) -> Int[np.ndarray, "number attributes"]:
  """Returns the labels of so many examples, which have their own or share them. Raises InputError: `check_given`."""
  check_given(event, given)
  return np.broadcast_to(given.astype(np.int32), (number, len(event.given)))


def fix_given(model: Model, given: Sequence[int]) -> Model:
  """Returns p(x | given) as a model without labels: the category of each attribute, or its size for "not given".

  These take the place of the labels [batch, attributes] of any batch and any draw.

  Raises:
    InputError: see `check_given`.
  """
  fixed = np.array(given, np.int32).reshape(len(given))
  check_given(model.event, fixed)

  def labels(number: int) -> Int[Array, "batch attributes"]:
    return jnp.broadcast_to(jnp.asarray(fixed), (number, len(fixed)))

  def labelled(batch: Batch) -> Batch:
    return batch._replace(given=labels(len(batch.x)))

  def of_batch(function: Any) -> Any:
    if function is None:
      return None
    return lambda params, batch, *more, **keywords: function(params, labelled(batch), *more, **keywords)

  def of_draws(function: Any) -> Any:
    if function is None:
      return None
    return lambda params, first, *more, **keywords: function(
      params, first, *more, given=labels(len(first)), **{name: keywords[name] for name in keywords if name != "given"}
    )

  infill, latent, carry = model.infill, model.latent, model.carry
  orders, sequential = model.orders, model.sequential
  return model._replace(
    event=model.event._replace(given=()),
    init=lambda batch, key: model.init(labelled(batch), key),
    bound=of_batch(model.bound),
    sample=of_draws(model.sample),
    log_prob=of_batch(model.log_prob),
    log_weight=of_batch(model.log_weight),
    full_bound=of_batch(model.full_bound),
    denoise=of_draws(model.denoise),
    infill=None if infill is None else infill._replace(draw=of_draws(infill.draw)),
    chain=None,
    reverse=None,
    orders=None
    if orders is None
    else orders._replace(log_prob=of_batch(orders.log_prob), num_calls=of_batch(orders.num_calls)),
    sequential=None if sequential is None else sequential._replace(start=of_draws(sequential.start)),
    carry=None if carry is None else carry._replace(bound=of_batch(carry.bound)),
    latent=None
    if latent is None
    else latent._replace(
      infer=of_batch(latent.infer),
      log_prob=of_draws(latent.log_prob),
      sample=of_draws(latent.sample),
      log_q=of_batch(latent.log_q),
      log_likelihood=of_batch(latent.log_likelihood),
    ),
  )
