"""The bound of masked models with learned rates, and the gradient of its expectation in the rates.

The bound is an expectation over q(x_t | x), which has the rates in it. Differentiating a draw as it is ("plain
autodiff") leaves that out and is wrong: of what is left, the rates multiply positive costs, so that they all sink to 0,
where the bound pretends to be 0 because in truth hardly anything is masked. So two states x_t are drawn at the same
time, and what is trained is

  1/2 (L1 + L2) + 1/2 stop_gradient(L1 - L2) (ln q1 - ln q2),

whose gradient has the right mean: E[(L1 - L2) (grad ln q1 - grad ln q2)] / 2 is E[L grad ln q], and each draw is the
other's baseline (leave-one-out). It costs a second call of the network, in training alone.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.events import sum_valid
from catgen.interfaces import Batch, Bound, PyTree
from catgen.keys import fold_in
from catgen.models.diffusion.spec import FIRST_TIME, Spec, costs, for_batch
from catgen.processes import masking_rates
from catgen.processes.levels import Level, over_events
from catgen.processes.masking_rates import Rates


class Times(NamedTuple):
  """A time t in (0, 1) of each example, by its logarithm, which small rates need."""

  log_t: Float[Array, "batch"]
  weight: Float[Array, "batch"]  # 1 / (t p(t)) of the density p that t was drawn from


def bound(
  spec: Spec,
  params: PyTree,
  rates: Rates,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. One time per example; in training two states there, with their mean as the bound."""
  spec = for_batch(spec, batch)
  key_time, key_noise, key_network = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
  uniforms = jax.vmap(jax.random.uniform)(key_time) if strata is None else strata
  times = times_of(jnp.maximum(uniforms, FIRST_TIME), jax.lax.stop_gradient(rates.of(batch.x)), batch.valid)

  def drawn(number: int) -> tuple[Array, Array]:
    noise, network = (fold_in(each, number) if number else each for each in (key_noise, key_network))
    x_t = masking_rates.masked(noise, batch.x, times.log_t, rates)
    nats = loss(spec, params, rates, batch, x_t, times, network if train else None)
    return nats, log_q(rates, batch, x_t, times)

  first = drawn(0)
  if not train:
    return Bound(-first[0], {"diffusion": -first[0]})
  second = drawn(1)
  nats = -(first[0] + second[0]) / 2
  return Bound(nats, {"diffusion": nats}, objective=-leave_one_out(*first, *second))


def times_of(
  uniforms: Float[Array, "batch"], rates: Float[Array, "batch *event"], valid: Bool[Array, "batch *event"]
) -> Times:
  """Returns times at which the expected share of masked positions is `uniforms`: the mean of t^w over valid positions.

  So, whatever the rates are, every share of masks is met equally often, as with the linear schedule, and the weights of
  an example's positions add up to the same at all times. With rates of one size w it is t = u^(1/w). By 40 bisections.

  Args:
    uniforms: in (0, 1].
    rates: of what is at each position; no gradient should reach them here, since times are no part of the bound.
    valid: which positions count.
  """
  axes = tuple(range(1, rates.ndim))
  counted = valid | ~valid.any(axes, keepdims=True)  # of an example without any position: all, and the result is unused
  number, log_u = sum_valid(counted.astype(rates.dtype)), jnp.log(uniforms)

  def mean(log_t: Array, values: Array) -> Array:
    return sum_valid(values * jnp.exp(rates * over_events(log_t, rates.ndim)), counted) / number

  def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
    low, high = bracket
    middle = (low + high) / 2
    below = mean(middle, jnp.ones_like(rates)) < uniforms
    return jnp.where(below, middle, low), jnp.where(below, high, middle)

  slowest, fastest = (
    jnp.where(counted, rates, jnp.inf).min(axes),
    jnp.where(counted, rates, 0.0).max(axes),
  )
  low, high = jax.lax.fori_loop(0, 40, halve, (log_u / slowest, log_u / fastest))
  log_t = (low + high) / 2
  return Times(log_t, 1.0 / mean(log_t, rates))


def loss(
  spec: Spec,
  params: PyTree,
  rates: Rates,
  batch: Batch,
  x_t: Int[Array, "batch *event"],
  times: Times,
  keys: Key[Array, "batch"] | None = None,
) -> Float[Array, "batch"]:
  """Returns the loss of each example in nats: of one time and state, weighted, so that its mean is minus the bound."""
  scalar = jnp.ones(())
  certain = Level(scalar - 1.0, scalar)

  def rate(log_x0: Array, x_t: Array, x: Array) -> Array:  # of some of the positions, so without their own rates
    own = Rates(rates.by_class, scalar)
    return masking_rates.kl_rate(x_t, x, log_x0, certain, times.weight, rates=own)

  nats = costs(spec, params, batch, x_t, jnp.exp(times.log_t), rate, keys)
  return sum_valid(nats * jnp.broadcast_to(rates.by_position, nats.shape), batch.valid)


def log_q(rates: Rates, batch: Batch, x_t: Int[Array, "batch *event"], times: Times) -> Float[Array, "batch"]:
  """Returns ln q(x_t | x), the sum over valid positions of w ln t where masked and ln(1 - t^w) elsewhere."""
  masked = x_t == rates.by_class.shape[0]
  log_masked = masking_rates.log_masked(batch.x, times.log_t, rates)
  log_shown = masking_rates.log_rest(jnp.where(masked, -1.0, log_masked))
  return sum_valid(jnp.where(masked, log_masked, log_shown), batch.valid)


def leave_one_out(
  first: Float[Array, "batch"],
  first_log_q: Float[Array, "batch"],
  second: Float[Array, "batch"],
  second_log_q: Float[Array, "batch"],
) -> Float[Array, "batch"]:
  """Returns what has the mean of the gradient of E[L] of two draws L with their ln q; no loss by itself."""
  difference = jax.lax.stop_gradient(first - second)
  return (first + second) / 2 + difference / 2 * (first_log_q - second_log_q)
