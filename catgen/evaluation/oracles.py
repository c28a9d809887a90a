"""A bench of samplers on a small space: how far from p(x) their draws are though every prediction is exact.

An oracle is a model whose "network" is a table of p(x^d | the other positions of x_t), found by summing over all x of a
p(x) that is written out. What is then wrong with samples is the sampler's own: that positions are drawn apart from one
another in a move. All laws are exact, by enumeration; that the samplers draw them is tested beside.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from catgen.chains import Reverse
from catgen.evaluation import claims as stating
from catgen.evaluation import event_probabilities, exact_laws, order_curves
from catgen.evaluation.claims import LEVEL, Claim
from catgen.evaluation.enumeration import Space, all_states
from catgen.evaluation.exact_laws import States
from catgen.evaluation.spread import Spread
from catgen.interfaces import EventSpec, PyTree, SampleOptions
from catgen.orders import named, stated

_MOVES = (1, 2, 4, 8, 16)
_CORRECTION = 0.3
_REPEATS = 0.8
_ORDERS = ("left_to_right", "low_entropy")
_EXACT = 1e-5  # total variation that float32 may cost


class Row(NamedTuple):
  """What one sampler draws, beside p(x)."""

  options: SampleOptions
  calls: int  # of the network
  total_variation: float
  bits: float  # KL(p || law) of an event; inf where the law excludes what p has
  p_value: float | None  # of the sampler's draws by the law; None: none are drawn
  exact: bool  # whether the law must be p(x) itself

  @property
  def sampler(self) -> str:
    """How it is called."""
    return named(stated(self.options))


def bench(
  reverse: Reverse, params: PyTree, event: EventSpec, *, key: Array, num_samples: int, spread: Spread
) -> list[Row]:
  """Returns what each sampler of a process draws with exact predictions, by falling numbers of positions a call.

  Args:
    reverse: of a model of such events.
    params: those of the model where its noise is learned, otherwise nothing is read of them.
    event: of few positions and categories.
    key: of the draws.
    num_samples: drawn by each law.
    spread: see `Space`.

  Raises:
    InputError: there are too many states.
  """
  states, p = exact_laws.states_of(reverse, event), repeating(event)
  most = reverse.num_steps or _MOVES[-1]
  numbers = [number for number in _MOVES if number < most] + [most]
  asked = [SampleOptions(num_steps=number) for number in numbers]
  asked += [options._replace(correction=_CORRECTION) for options in asked[2:] if not reverse.learned]
  ends = [exact_laws.times_of(reverse, SampleOptions(num_steps=number))[0] for number in numbers]
  s, t = (np.concatenate([of[part] for of in ends]) for part in (slice(None, -1), slice(1, None)))
  noise = exact_laws.noise_of(reverse, params, event, s, t)
  table = predictions(states, event, p, noise.at_t)
  model = reverse.with_predictions(functools.partial(_looked_up, table[-most:], reverse))
  space = Space(model, params, {}, None, num_samples, spread)
  rows, last = [], dict(zip(numbers, np.cumsum(numbers).tolist(), strict=True))
  for options in asked:
    number = options.num_steps or 0
    of = slice(last[number] - number, last[number])
    law = states.law(np.log(np.maximum(table[of], 1e-300)), exact_laws.Noise(*(each[of] for each in noise)), options)
    rows.append(_row(space, p, law, options, number, key if number in (2, most) else None))
  return rows + _of_orders(space, p, table[-most], reverse.num_states, key)


def _of_orders(space: Space, p: np.ndarray, table: np.ndarray, num_states: int, key: Array) -> list[Row]:
  """Returns the orders of a masked model, whose predictions do not depend on the time."""
  orders, size = space.model.orders, math.prod(space.model.event.shape)
  rows: list[Row] = []
  if orders is None:
    return rows
  for options in [SampleOptions(order=name) for name in orders.random]:
    law = in_random_order(table, num_states, space.model.event.num_classes)
    rows.append(_row(space, p, law, options, size, key, exact=True))
  most = min(2, size)
  for name, together in itertools.product(_ORDERS, range(most, 0, -1)):
    options = SampleOptions(order=name, positions_per_call=together)
    log_prob = functools.partial(orders.log_prob, options=options)
    own = key if together == most and name == _ORDERS[-1] else None
    nats = space.drawn_of(lambda p, b, k, s, log_prob=log_prob: log_prob(p, b, state=s), 1)(key)[0, 0]
    rows.append(_row(space, p, np.exp(nats), options, -(-size // together), own, exact=together == 1))
  return rows


def claims_of(rows: list[Row]) -> list[Claim]:
  """Returns what must hold of the rows of a bench."""
  tested = [row.p_value for row in rows if row.p_value is not None]
  worst = min(tested, default=1.0)
  found = [
    Claim(
      "oracle: samples follow the exact law",
      worst >= LEVEL / max(1, len(tested)),
      f"least p of {len(tested)}: {worst:.3g}",
    )
  ]
  moves = [row for row in rows if row.options.num_steps and not row.options.correction]
  first, last = moves[0].total_variation, moves[-1].total_variation
  text = f"total variation {first:.4f} with {moves[0].calls} and {last:.4f} with {moves[-1].calls}"
  nearer = len(moves) < 2 or last < first or max(first, last) <= _EXACT  # of one position or category all are p(x)
  found.append(Claim("oracle: more moves come nearer to p(x)", nearer, text))
  if exact := [row for row in rows if row.exact]:
    away = max(row.total_variation for row in exact)
    found.append(Claim("oracle: one position a call draws p(x)", away <= _EXACT, f"total variation at most {away:.1e}"))
  return found


def repeating(event: EventSpec) -> Float[np.ndarray, "events"]:
  """Returns p(x): falling probabilities at the first position; each repeats the one before with probability 0.8."""
  k, x = event.num_classes, all_states(event.num_classes, event.shape)
  flat = x.reshape(len(x), -1)
  first = np.arange(k, 0, -1) / (k * (k + 1) / 2)
  same = _REPEATS * (flat[:, 1:] == flat[:, :-1]) + (1 - _REPEATS) / k
  return first[flat[:, 0]] * same.prod(axis=1)


def predictions(
  states: States,
  event: EventSpec,
  p: Float[np.ndarray, "events"],
  noise: Float[np.ndarray, "times positions classes states"],
) -> Float[np.ndarray, "times all positions classes"]:
  """Returns p(x^d | the other positions of x_t), of all states; uniform where x_t cannot be.

  Args:
    states, event, p: of the data.
    noise: q(x_t | x) of each position at each time.
  """
  x, x_t, k = all_states(event.num_classes, event.shape).reshape(len(p), -1), states.flat, event.num_classes
  size = x.shape[1]
  found = np.empty((len(noise), len(x_t), size, k))
  for number, at in enumerate(noise):
    each = np.stack([at[d][x[:, d]][:, x_t[:, d]] for d in range(size)])  # [positions, events, states]
    for d in range(size):
      joint = p[:, None] * np.delete(each, d, axis=0).prod(axis=0)
      found[number, :, d] = np.stack([joint[x[:, d] == category].sum(axis=0) for category in range(k)], axis=-1)
  total = found.sum(axis=-1, keepdims=True)
  return np.where(total > 0, found / np.where(total > 0, total, 1.0), 1.0 / k)


def in_random_order(
  table: Float[np.ndarray, "all positions classes"], num_states: int, num_classes: int
) -> Float[np.ndarray, "events"]:
  """Returns the mean over all orders of the product of predictions, each of a masked position from those before it."""
  size, mask = table.shape[1], num_states - 1
  x = all_states(num_classes, (size,))
  orders, places = list(itertools.permutations(range(size))), num_states ** np.arange(size)[::-1]
  law = np.zeros(len(x))
  for order in orders:
    seen, product = np.full_like(x, mask), np.ones(len(x))
    for d in order:
      product = product * table[seen @ places, d, x[:, d]]
      seen[:, d] = x[:, d]
    law += product / len(orders)
  return law


def _looked_up(table: np.ndarray, reverse: Reverse, x_t: Array, told: Array, given: Array | None) -> Array:
  """Returns the predictions of a table of all times from the first step on, at the time that is nearest."""
  flat, first = x_t.reshape(len(x_t), -1), 0 if reverse.num_steps else 1
  states = flat @ jnp.asarray(reverse.num_states ** np.arange(flat.shape[1])[::-1], jnp.int32)
  nearest = jnp.clip(jnp.round(told * len(table)).astype(jnp.int32) - first, 0, len(table) - 1)
  return jnp.log(jnp.asarray(table, jnp.float32))[nearest, states].reshape(*x_t.shape, table.shape[-1])


def _row(
  space: Space,
  p: np.ndarray,
  law: np.ndarray,
  options: SampleOptions,
  calls: int,
  key: Array | None,
  *,
  exact: bool = False,
) -> Row:
  with np.errstate(divide="ignore"):
    away = order_curves.distance(np.log(law), p, 1)
  truth = event_probabilities.of_law(law)
  p_value = None if key is None else stating.p_value_of(truth, space.counted(key, options)[0], space.num_samples)
  return Row(options, calls, away.total_variation, away.bits, p_value, exact)
