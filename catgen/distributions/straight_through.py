"""The most probable category as a one-hot vector, with the gradient of a softmax, which is biased."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def most_probable(logits: Float[Array, "*batch classes"], temperature: float) -> Float[Array, "*batch classes"]:
  """Returns the one-hot vector of the largest logit; its gradient is that of softmax(logits / temperature).

  Of equal logits the category with the smaller number is more probable. A class whose logit is -inf is never returned,
  and no gradient reaches it.

  Args:
    temperature: > 0; the smaller, the nearer to the true gradient, which is zero almost everywhere.

  Example:
    >>> most_probable(jnp.array([0.0, 2.0, 1.0]), 0.1).tolist()
    [0.0, 1.0, 0.0]

  Reference: Bengio et al. (2013), as in Tran et al. (2019).
  """
  return jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=logits.dtype)


def _forward(logits: Array, temperature: float) -> tuple[Array, Array]:
  return most_probable(logits, temperature), jax.nn.softmax(logits / temperature, axis=-1)


def _backward(temperature: float, probs: Array, slope: Array) -> tuple[Array]:
  return (probs * (slope - jnp.sum(probs * slope, axis=-1, keepdims=True)) / temperature,)


most_probable.defvjp(_forward, _backward)
