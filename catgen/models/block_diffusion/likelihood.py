"""What block diffusion models say of examples: a bound, importance weights, and the likelihood itself.

Within a block the positions are uncovered in a uniformly random order, so that p(block | blocks before) is the mean
over its orders of the product of the predictions along each. By Jensen's inequality the mean of the logarithm of these
products is a lower bound of its logarithm; and with n uniform on 1 .. v of v positions, that mean is the mean of v / n
times the log-probabilities of n masked ones, given the others.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, PyTree
from catgen.models.block_diffusion.spec import Spec, log_p_of, read_clean
from catgen.models.diffusion.counted import masks


def bound(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. A number of masks for each block, spread over the blocks, and by the strata over the batch."""
  key_number, key_noise, key_clean, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=4))(keys), 1, 0)
  uniforms = jax.vmap(jax.random.uniform)(key_number) if strata is None else strata
  scores = jax.vmap(lambda key: jax.random.uniform(key, batch.x.shape[1:]))(key_noise)
  nats = nats_of(spec, params, batch, uniforms, scores, (key_clean, key_network) if train else (None, None))
  return Bound(nats, {"diffusion": nats})


def nats_of(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  uniforms: Float[Array, "batch"],
  scores: Float[Array, "batch length"],
  keys: tuple[Key[Array, "batch"], Key[Array, "batch"]] | tuple[None, None] = (None, None),
) -> Float[Array, "batch"]:
  """Returns the bound of the masks that `counted.masks` makes of random numbers, block by block.

  Block b of B gets its number of masks of frac(uniform + b / B): each is uniform, and together they are spread evenly.
  """
  of_block = (uniforms[:, None] + jnp.arange(spec.num_blocks)[None] / spec.num_blocks) % 1.0
  found, _, weight = masks(of_block.reshape(-1), spec.rows(scores), spec.rows(batch.valid))
  masked = found.reshape(batch.x.shape)
  log_p = log_p_of(spec, params, read_clean(spec, params, batch, keys[0]), batch, masked, keys[1])
  return sum_valid(jnp.repeat(weight, spec.block_length).reshape(log_p.shape) * log_p, masked)


def log_prob(spec: Spec, params: PyTree, batch: Batch, *, state: PyTree) -> Float[Array, "batch"]:
  """See `Model.log_prob`. 2^L - 1 noisy passes, one for each set of positions that may be visible."""
  clean, length = read_clean(spec, params, batch), spec.block_length
  visible = (np.arange(2**length - 1)[:, None] >> np.arange(length)) % 2 == 1

  def given_visible(own: Array) -> Array:
    masked = jnp.broadcast_to(jnp.tile(~own, spec.num_blocks)[None], batch.x.shape)
    return log_p_of(spec, params, clean, batch, masked)

  found = jax.lax.map(given_visible, jnp.asarray(visible))
  rows = found.reshape(len(visible), -1, length)
  return sum_valid(over_orders(rows, spec.rows(batch.valid)).reshape(len(batch.x), -1))


def over_orders(log_p: Float[Array, "visible rows block"], valid: Bool[Array, "rows block"]) -> Float[Array, "rows"]:
  """Returns log of the mean over all orders of the product of predictions along each, in nats.

  With f(S) the mean over the orders of the positions S alone, f({}) = 1, the last of S is any of them equally often:
  f(S) = 1 / |S| sum over i in S of f(S - i) p(x^i | S - i).

  Args:
    log_p: of each position, given the valid ones among those that are visible; these are the ones bits of the number
      of an entry along the first axis.
    valid: positions that are there; the others are in no order.
  """
  length = valid.shape[1]
  logs = jnp.zeros((2**length, len(valid)))
  by_position, there = jnp.moveaxis(log_p, 2, 1), valid.T
  for size in range(1, length + 1):
    sets = np.array([number for number in range(2**length) if number.bit_count() == size])
    members = np.array([[i for i in range(length) if number >> i & 1] for number in sets])
    before = sets[:, None] ^ (1 << members)
    ways = jnp.where(there[members], logs[before] + by_position[before, members], -jnp.inf)
    number = there[members].sum(axis=1)
    mean = jax.nn.logsumexp(ways, axis=1) - jnp.log(jnp.maximum(number, 1))
    logs = logs.at[sets].set(jnp.where(number > 0, mean, 0.0))
  return logs[-1]


def log_weight(
  spec: Spec, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. One random order in each block; L noisy passes."""
  clean, valid = read_clean(spec, params, batch), spec.rows(batch.valid)
  scores = jax.vmap(lambda key: jax.random.uniform(key, batch.x.shape[1:]))(keys)
  rank = jnp.argsort(jnp.argsort(jnp.where(valid, spec.rows(scores), 2.0), axis=1), axis=1).reshape(batch.x.shape)

  def uncover(total: Array, number: Array) -> tuple[Array, None]:
    log_p = log_p_of(spec, params, clean, batch, rank >= number)
    return total + sum_valid(log_p, (rank == number) & batch.valid), None

  return jax.lax.scan(uncover, jnp.zeros(len(batch.x)), jnp.arange(spec.block_length))[0]
