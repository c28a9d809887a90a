"""The bound of masked models in continuous time with a fixed number of masks at a time: the same mean, less variance.

Each position is masked at a time of its own with P(time <= t) = 1 - alpha_bar(t). Let n be uniform on 1..D, of D valid
positions. The n positions whose times are earliest are any n with equal probability, and the time of the latest of
these has the law of t given that n positions are masked, weighed by 1 / (1 - alpha_bar): Beta(n, D + 1 - n) in
1 - alpha_bar. So D / n times the sum of -ln prediction over these, with the network told that time, has the mean of the
bound with independent masks; in the latter the number of masks varies by itself at every time, and is divided by t.

Reference: Hoogeboom et al. (2022), arXiv:2110.02037, for networks that are told no time.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, PyTree
from catgen.models.diffusion.spec import FIRST_TIME, Spec, costs, for_batch
from catgen.models.diffusion.weights import inverse_lost
from catgen.processes.levels import Level


def counted_bound(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. One number of masks per example, spread over the batch by the strata."""
  spec = for_batch(spec, batch)
  key_number, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  uniforms = jax.vmap(jax.random.uniform)(key_number) if strata is None else strata
  scores = jax.vmap(lambda key: jax.random.uniform(key, batch.x.shape[1:]))(key_noise)
  nats = nats_of(spec, params, batch, uniforms, scores, key_network if train else None)
  return Bound(nats, {"diffusion": nats, "prior": jnp.zeros_like(nats)})


def nats_of(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  uniforms: Float[Array, "batch"],
  scores: Float[Array, "batch *event"],
  keys: Key[Array, "batch"] | None = None,
) -> Float[Array, "batch"]:
  """Returns the bound of the masks that `masks` makes of random numbers."""
  masked, lost, weight = masks(uniforms, scores, batch.valid)
  time = jnp.maximum(inverse_lost(spec, lost[:, None])[:, 0], FIRST_TIME)
  one = jnp.ones(())

  def cost(log_x0: Array, x_t: Array, x: Array) -> Array:
    return spec.process.kl_rate(x_t, x, log_x0, Level(one - 1.0, one), weight)

  x_t = jnp.where(masked, spec.process.num_classes, batch.x)
  return -sum_valid(costs(spec, params, batch, x_t, time, cost, keys), batch.valid)


def masks(
  uniforms: Float[Array, "batch"], scores: Float[Array, "batch *event"], valid: Bool[Array, "batch *event"]
) -> tuple[Bool[Array, "batch *event"], Float[Array, "batch"], Float[Array, "batch"]]:
  """Returns which positions are masked, the share 1 - alpha_bar that is lost by then, and D / n.

  Args:
    uniforms: in [0, 1), from which the number n of masks is made.
    scores: in [0, 1), uniform: what is lost by the time at which each position is masked.
    valid: which of them count; an example without any has no mask.
  """
  flat = jnp.where(valid, scores, 2.0).reshape(len(scores), -1)
  there = valid.reshape(flat.shape).sum(axis=1)
  number = jnp.clip(jnp.floor(uniforms * there).astype(jnp.int32) + 1, 1, jnp.maximum(there, 1))
  order = jnp.argsort(flat, axis=1)
  rank = jnp.argsort(order, axis=1)
  masked = (rank < number[:, None]).reshape(valid.shape) & valid
  lost = jnp.take_along_axis(flat, _last(order, number), axis=1)[:, 0]
  return masked, jnp.minimum(lost, 1.0), there / number


def _last(order: Int[Array, "batch length"], number: Int[Array, "batch"]) -> Int[Array, "batch one"]:
  return jnp.take_along_axis(order, number[:, None] - 1, axis=1)
