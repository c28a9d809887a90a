"""Importance weights of masked models with rates of their own: draws of w with E[w] = p(x), in continuous time.

Going back in time, a masked position of rate a shows category j at the rate a w_j x_hat_j / t, which depends on the
time, through the network, wherever categories have different rates. So the model's law of a whole path has an integral
of the network over time in it. It needs none if more happens than is seen (thinning): every masked position has events
at the rate a c / t, c a constant that no w_j exceeds, at which it shows j with probability w_j x_hat_j / c and stays
masked with what is left. Given x, an event shows x with probability w_x / c. The weight is the product over events of
the former probabilities over the latter, with one call of the network for each: on average c / w_x a position.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Batch, PyTree
from catgen.keys import fold_in
from catgen.models.diffusion.spec import Spec, for_batch, predict
from catgen.processes.masking_rates import Rates


def log_weight(
  spec: Spec, params: PyTree, rates: Rates, most: Float[Array, ""], batch: Batch, keys: Key[Array, "batch"]
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. One path of showing one position after another, until all are shown.

  Args:
    most: c, above every w_j, so that every category may stay masked at an event; or all of them, where they are equal.
      Then an event is as good as one less event, and there is one for each position.
  """
  spec, num_classes = for_batch(spec, batch), spec.process.num_classes
  by_position = jnp.broadcast_to(rates.by_position, batch.x.shape)
  shows = rates.by_class[batch.x] / most

  def hidden(x_t: Array) -> Array:
    return (x_t == num_classes) & batch.valid

  def event(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
    number, x_t, log_t, total = carry
    key_time, key_position, key_shown = (fold_in(fold_in(keys, number), part) for part in range(3))
    speed = jnp.where(hidden(x_t), by_position, 0.0)
    waited = jax.vmap(jax.random.exponential)(key_time)
    log_t = log_t - waited / jnp.maximum(most * sum_valid(speed), jnp.finfo(log_t.dtype).tiny)
    position = categorical.sample_each(key_position, jnp.log(speed).reshape(len(speed), -1))
    here = categorical.indicator(position, speed[0].size).reshape(x_t.shape) & hidden(x_t)
    shown = categorical.bernoulli_each(key_shown, shows, x_t.shape[1:])
    log_x0 = predict(spec, params, x_t, jnp.exp(log_t), batch.valid)
    expected = (jnp.exp(log_x0) * jnp.broadcast_to(rates.by_class / most, log_x0.shape)).sum(-1)
    ratio = jnp.where(shown, categorical.take(log_x0, batch.x), jnp.log1p(-expected) - jnp.log1p(-shows))
    return number + 1, jnp.where(here & shown, batch.x, x_t), log_t, total + sum_valid(ratio, here)

  nothing = jnp.zeros(len(batch.x))
  start = (jnp.int32(0), jnp.full_like(batch.x, num_classes), nothing, nothing)
  return jax.lax.while_loop(lambda carry: hidden(carry[1]).any(), event, start)[3]
