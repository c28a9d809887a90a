"""The categorical distribution over K classes, given by unnormalized logits in the last axis."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


def log_prob(logits: Float[Array, "*batch classes"], value: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log p(value) in nats, logits[value] - logsumexp(logits).

  Values outside [0, K) are not checked: as everywhere in JAX they read a clamped entry.

  Example:
    >>> float(log_prob(jnp.zeros(4), jnp.array(1)))  # -ln 4
    -1.3862943649291992
  """
  return take(logits, value) - jax.nn.logsumexp(logits, axis=-1)


def take(values: Float[Array, "*batch classes"], index: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns values[..., index]: what a product with a one-hot vector would, without the vector."""
  return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def indicator(index: Int[Array, "*batch"], num_classes: int) -> Bool[Array, "*batch classes"]:
  """Returns whether each class is the one at `index`, for elementwise selection (compilers fuse it away)."""
  return jax.nn.one_hot(index, num_classes, dtype=bool)


def entropy(logits: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
  """Returns -sum_k p_k log p_k in nats; classes of probability 0 (logit -inf) contribute 0, gradients included."""
  log_probs = jax.nn.log_softmax(logits)
  possible = log_probs > -jnp.inf
  return -jnp.sum(jnp.exp(log_probs) * jnp.where(possible, log_probs, 0.0), axis=-1)


def kl(logits: Float[Array, "*batch classes"], other: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
  """Returns KL(p || p_other) = sum_k p_k log(p_k / p_other_k) in nats, summed over classes only.

  Numerics: classes with p_k = 0 contribute 0; a class with p_k > 0 = p_other_k gives inf. Rounding can make a value of
  order 1e-7 negative, since the terms cancel.
  """
  log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(other)
  possible = log_p > -jnp.inf
  difference = jnp.where(possible, log_p - jnp.where(possible, log_q, 0.0), 0.0)
  return jnp.sum(jnp.exp(log_p) * difference, axis=-1)


def sample(key: Key[Array, ""], logits: Float[Array, "*batch classes"]) -> Int[Array, "*batch"]:
  """Draws classes with probabilities softmax(logits), by Gumbel-max.

  Numerics: the noise is drawn in JAX's high-precision mode. The default mode takes 23-bit uniforms, whose largest
  Gumbel is about 16, so that classes rarer than about 1e-7 would be drawn too rarely.
  """
  return jax.random.categorical(key, logits, mode="high")


def sample_each(keys: Key[Array, "batch"], logits: Float[Array, "batch *event classes"]) -> Int[Array, "batch *event"]:
  """Draws like `sample`, each example by its own key: what surrounds an example in a batch does not change it."""
  return jax.vmap(sample)(keys, logits)


def bernoulli_each(
  keys: Key[Array, "batch"], probability: Float[Array, "batch"], shape: tuple[int, ...]
) -> Bool[Array, "batch *event"]:
  """Draws booleans of the given event shape, one success probability and one key per example (high precision)."""
  return jax.vmap(lambda key, p: jax.random.bernoulli(key, p, shape, mode="high"))(keys, probability)
