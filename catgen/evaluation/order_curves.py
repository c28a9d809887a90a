"""What orders of drawing cost and give: bits against calls of the network, and samples beside a reference."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from catgen.bounds import bits_per_position, ratio_error
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import Orders


class Mean(NamedTuple):
  """A mean over independent examples, and its standard error; NaN with one."""

  value: float
  error: float


class Distance(NamedTuple):
  """How far a law is from frequencies, both of all events there are."""

  total_variation: float  # in [0, 1]
  bits: float  # KL(frequencies || law), per position; inf where the law excludes what occurs


def laws_of(
  orders: Orders,
  names: Sequence[str],
  together: Sequence[int],
  budgets: Sequence[float],
  restrictions: SampleOptions,
  blocks: Callable[[Sequence[int]], Sequence[tuple[int, ...]]],
) -> list[SampleOptions]:
  """Returns the laws of the named orders (none: all), each with as many positions a call, or nats, as the model can.

  blocks: numbers of calls -> sizes of blocks; asked for as many calls as the other orders make.

  Raises:
    InputError: an order that the model has not.
  """
  for name in names:
    if name not in orders.names:
      raise InputError(f"this model has no order {name!r} with an exact likelihood; it has: {', '.join(orders.names)}")
  numbers = [number for number in together if 1 <= number <= orders.most_together]
  calls = calls_of(orders, together)
  found: list[SampleOptions] = []
  for order in names or orders.names:
    if order == "entropy_budget":
      found += [restrictions._replace(order=order, entropy_budget=budget) for budget in budgets]
    elif order == "blocks":
      sizes = dict.fromkeys(blocks(calls)) if calls else ()  # of several numbers of calls they may be the same
      found += [restrictions._replace(order=order, blocks=each) for each in sizes]
    else:
      found += [restrictions._replace(order=order, positions_per_call=number) for number in numbers]
  return found


def calls_of(orders: Orders, together: Sequence[int]) -> list[int]:
  """Returns how many calls are made of so many positions each, where there are so many positions; none twice."""
  most = orders.most_together
  return list(dict.fromkeys(-(-most // number) for number in together if 1 <= number <= most))


def divergence(
  own: Float[np.ndarray, "samples"],
  reference: Float[np.ndarray, "samples"],
  positions: Int[np.ndarray, "samples"],
) -> Mean:
  """Returns an unbiased estimate of KL(law || reference) in bits per position, of samples of the law.

  Args:
    own, reference: log p of each sample by both, in nats; positions: of each.

  Where samples have as many positions each the error is that of a mean; otherwise a ratio's, by linearization.
  """
  return ratio(bits_per_position((own - reference).astype(np.float64), 1.0), positions)


def ratio(
  values: Float[np.ndarray, "samples"], counts: Int[np.ndarray, "samples"], *, consecutive: bool = False
) -> Mean:
  """Returns the sum of values over the sum of counts, and its standard error over samples; see `bounds.ratio_error`."""
  counts = counts.astype(np.float64)
  total = float(counts.sum())
  value = float(values.sum() / total)
  return Mean(value, ratio_error(values - value * counts, total, consecutive=consecutive))


def distance(log_p: Float[np.ndarray, "events"], counts: Num[np.ndarray, "events"], num_positions: int) -> Distance:
  """Returns how far a law, of which log p of every event is known in nats, is from how often, or likely, events are."""
  frequencies, seen = counts / counts.sum(), counts > 0
  with np.errstate(invalid="ignore"):
    nats = float((frequencies[seen] * (np.log(frequencies[seen]) - log_p[seen])).sum())
  return Distance(float(np.abs(np.exp(log_p) - frequencies).sum() / 2), bits_per_position(nats, num_positions))


def count_events(x: Int[np.ndarray, "examples *event"], num_classes: int) -> Int[np.ndarray, "events"]:
  """Returns how often each event occurs, in the sequence of `enumeration.enumerate_events`."""
  flat = x.reshape(len(x), -1)
  places = num_classes ** np.arange(flat.shape[1])[::-1]
  return np.bincount(flat @ places, minlength=num_classes ** flat.shape[1])
