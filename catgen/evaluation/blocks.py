"""Sizes of the blocks in which a masked model draws: so many calls of the network, at the least predicted cost.

The loss curve says what a position costs where n are masked, c_n nats, the masks being anywhere. Drawn one after
another all positions cost c_D + ... + c_1; k of them that are drawn together, with n masked, cost k c_n. The sizes that
cost least among those of N calls are found by dynamic programming,

    F_s(n) = min over m < n of (n - m) c_n + F_(s-1)(m),        F_s(0) = 0.

The prediction is that of positions at random. The order "blocks" takes those of lowest entropy, and what samples cost
in truth is what `Orders.log_prob` says.

Reference: Hoogeboom et al. (2022), arXiv:2110.02037, section 3, after Watson et al. (2021), arXiv:2106.03802.
"""

from collections.abc import Callable, Iterable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.interfaces import Batch, InputError, Model, PyTree
from catgen.keys import example_keys

_COUNTS = 48  # of masks, at which a curve is measured; between them it is a line
_TIE = 2.0**-10  # nats that tell nothing apart: far below the error of a curve, far above what devices round off


def loss_curve(
  model: Model, params: PyTree, state: PyTree, batches: Iterable[Batch], *, key: Array, spread: Spread = ALONE
) -> Float[np.ndarray, "positions"]:
  """Returns what a position costs, in nats, by the number of masks, entry n - 1 with n of them: it never falls.

  Rounding it off so that it never falls (the nearest such curve, n masks weighing n: a mean over n positions has so
  much less noise) keeps the sizes from following what is by chance.

  Args:
    model, params, state: a model whose orders have `losses`.
    batches: examples of the training split; those without a valid position do not count.
    key: all randomness.
    spread: the devices that share the examples of a batch.
  """
  assert model.orders is not None
  assert model.orders.losses is not None
  losses = model.orders.losses
  most = model.orders.most_together
  counts = np.unique(np.round(np.linspace(1, most, min(_COUNTS, most))).astype(np.int32))

  def measured(params: PyTree, state: PyTree, batch: Batch, key: Array) -> tuple[Array, Array]:
    keys = example_keys(key, jnp.asarray(batch.index))
    there = jnp.asarray(batch.valid).reshape(len(batch.x), -1).any(axis=1)
    nats = losses(params, batch, keys, state=state, counts=jnp.asarray(counts))
    return jnp.where(there[:, None], nats, 0.0).sum(axis=0), there.sum()

  compiled: Callable[..., tuple[Array, Array]] = spread.compiled(measured)
  sums, number = np.zeros(len(counts)), 0
  for batch in batches:
    nats, examples = fetch(compiled(params, state, spread.put_parts(batch), key))
    sums, number = sums + nats, number + int(examples)
  if not number:
    raise InputError("no examples to measure a loss curve on: the training split holds no valid position")
  means = np.round(sums / number / _TIE) * _TIE
  return np.interp(np.arange(1, most + 1), counts, never_falling(means, counts))


def never_falling(
  values: Float[np.ndarray, "points"], weights: Shaped[np.ndarray, "points"]
) -> Float[np.ndarray, "points"]:
  """Returns the nearest values, in weighted squares, that never fall: where they fall, the mean over a stretch.

  Example:
    >>> never_falling(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1, 1, 3, 1])).tolist()
    [1.0, 2.25, 2.25, 4.0]
  """
  means: list[tuple[float, float, int]] = []
  for value, weight in zip(values, weights, strict=True):
    means.append((float(value), float(weight), 1))
    while len(means) > 1 and means[-2][0] > means[-1][0]:
      (one, some, left), (other, more, right) = means.pop(-2), means.pop()
      means.append(((one * some + other * more) / (some + more), some + more, left + right))
  return np.repeat([mean for mean, _, _ in means], [number for _, _, number in means])


def sizes(curve: Float[np.ndarray, "positions"], numbers_of_calls: Sequence[int]) -> list[tuple[int, ...]]:
  """Returns for each number of calls the sizes of as many blocks, or of fewer that cost no more, the first call first.

  Args:
    curve: nats of a position by the number of masks, from 1 on; it never falls.
    numbers_of_calls: each from 1 on.

  Raises:
    InputError: there cannot be so many calls.

  Example:
    >>> sizes(np.array([1.0, 1.0, 1.0, 3.0]), [1, 2])
    [(4,), (1, 3)]
  """
  most = len(curve)
  for number in numbers_of_calls:
    if not 1 <= number <= most:
      raise InputError(f"num_calls is {number}; give 1 to {most}, the number of positions")
  costs, masks = np.append(0.0, curve), np.arange(most + 1)
  best, choices = masks * costs, [np.zeros(most + 1, np.int64)]  # with one call nothing is left
  for _ in range(1, max(numbers_of_calls, default=1)):
    after = _best_rest(best, costs)
    best = (masks - after) * costs + best[after]
    choices.append(after)
  return [_walk(choices, most, number) for number in numbers_of_calls]


def _best_rest(best: Float[np.ndarray, "masks"], costs: Float[np.ndarray, "masks"]) -> Int[np.ndarray, "masks"]:
  """Returns for each number n of masks the smallest m < n of least (n - m) costs[n] + best[m].

  It lies on the lower convex hull of `best`, where the slopes on both sides enclose costs[n]. Since `best` costs at
  least as much for each position more as the curve says, the least is never at m >= n.
  """
  hull = [0]
  for m in range(1, len(best)):
    while len(hull) > 1 and (best[hull[-1]] - best[hull[-2]]) * (m - hull[-1]) >= (best[m] - best[hull[-1]]) * (
      hull[-1] - hull[-2]
    ):
      hull.pop()
    hull.append(m)
  corners = np.array(hull)
  slopes = np.diff(best[corners]) / np.diff(corners)
  found = corners[np.searchsorted(slopes, costs, side="left")]
  return np.minimum(found, np.maximum(np.arange(len(best)) - 1, 0))  # rounding must leave a block of one


def _walk(choices: Sequence[Int[np.ndarray, "masks"]], most: int, number: int) -> tuple[int, ...]:
  left, found = most, []
  for after in choices[number - 1 :: -1]:
    if not left:
      break
    found.append(left - int(after[left]))
    left = int(after[left])
  return tuple(found)
