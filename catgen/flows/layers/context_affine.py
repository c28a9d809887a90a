"""A shift and a scale of every channel that are functions of the context."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from catgen.flows.layer import Latents, Layer, LogDet, Values
from catgen.interfaces import InputError
from catgen.networks.conditions import Conditions
from catgen.networks.parts.linear import Linear


class ContextAffine(Layer):
  """v = (z + b) exp(s) with b and s = tanh(a) linear in the context; s is 0 at first, b random or 0.

  The context may have axes of size 1 where it is the same for all.

  Args:
    spread: of b at first: what PyTorch's initialization is multiplied by.

  Reference: the encoding of CategoricalNF (Lippe and Gavves, 2021).
  """

  def __init__(self, num_channels: int, num_context: int, *, spread: float = 0.0, rngs: nnx.Rngs) -> None:
    self.shift = Linear(num_context, num_channels, init="uniform" if spread else "zeros", rngs=rngs)
    if spread:
      self.shift.kernel.set_value(spread * self.shift.kernel[...])
    self.log_scale = Linear(num_context, num_channels, init="zeros", rngs=rngs)

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """See `Layer.forward`."""
    shift, log_scale = self._of(conditions)
    return (z + shift) * jnp.exp(log_scale), jnp.broadcast_to(log_scale.sum(axis=-1), z.shape[:-1])

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """See `Layer.inverse`."""
    shift, log_scale = self._of(conditions)
    return v * jnp.exp(-log_scale) - shift, jnp.broadcast_to(-log_scale.sum(axis=-1), v.shape[:-1])

  def _of(self, conditions: Conditions) -> tuple[Array, Array]:
    context = conditions.context
    if context is None:
      raise InputError("a layer whose shift and scale are functions of a context is called without one")
    return self.shift(context), jnp.tanh(self.log_scale(context))
