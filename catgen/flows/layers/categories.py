"""Bijections of single categories as one-hot channels, whose parameters a network computes; none changes a volume.

See `catgen.flows.layer.Transform`: so autoregressive layers and couplings work on categories too.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from catgen.bijections import modular, sorting
from catgen.distributions import categorical
from catgen.distributions.straight_through import most_probable
from catgen.interfaces import InputError

_MOST_CLASSES = 46_340  # whose products fit into 32 bits


class ModularTransform(nnx.Module):
  """y = shift + scale x modulo K, both the most probable ones of 2 K logits (of K, without a scale).

  Scales that are not coprime to K have no inverse and are never chosen. Gradients are straight-through.

  Args:
    temperature: of the softmax that stands for the most probable category in the gradient.

  Raises:
    InputError: more categories than products of them fit into 32 bits, with a scale.

  Reference: Tran et al. (2019), whose published code lets scales be chosen that cannot be undone.
  """

  def __init__(self, num_classes: int, *, scaled: bool, temperature: float) -> None:
    if scaled and num_classes > _MOST_CLASSES:
      raise InputError(f"scales need at most {_MOST_CLASSES:,} categories, not {num_classes:,}; set scale to false")
    self.num_channels, self.num_features = num_classes, num_classes * (1 + scaled)
    self.scaled, self.temperature = scaled, temperature

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.forward`."""
    return modular.forward(z, *self._shift_and_scale(features)), jnp.zeros(z.shape[:-1])

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.inverse`."""
    return modular.inverse(v, *self._shift_and_scale(features)), jnp.zeros(v.shape[:-1])

  def _shift_and_scale(self, features: Array) -> tuple[Array, Array | None]:
    shift = most_probable(features[..., : self.num_channels], self.temperature)
    if not self.scaled:
      return shift, None
    units = modular.are_units(self.num_channels).reshape((1,) * (features.ndim - 1) + (-1,))
    return shift, most_probable(jnp.where(units, features[..., self.num_channels :], -jnp.inf), self.temperature)


class SortingTransform(nnx.Module):
  """y = the rank of x by K logits; C categories of a position side by side, each by its own.

  It has no gradient: its network learns to predict, by `log_prob`.

  Args:
    num_sorted: of the most probable categories; the others follow in their own order.
    count: C.
  """

  def __init__(self, num_classes: int, *, num_sorted: int, count: int = 1) -> None:
    self.num_channels = self.num_features = count * num_classes
    self.num_sorted, self.count, self.num_classes = num_sorted, count, num_classes

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.forward`."""
    rank, logits = self._numbers(z), self._each(features)
    return self._one_hot(sorting.forward(rank, logits, self.num_sorted)), jnp.zeros(z.shape[:-1])

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """See `Transform.inverse`."""
    category, logits = self._numbers(v), self._each(features)
    return self._one_hot(sorting.inverse(category, logits, self.num_sorted)), jnp.zeros(v.shape[:-1])

  def log_prob(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> Float[Array, "*batch"]:
    """Returns log p of the categories of a position by the prediction, in nats."""
    return categorical.log_prob(self._each(features), self._numbers(v)).sum(axis=-1)

  def _each(self, values: Array) -> Float[Array, "*batch count classes"]:
    return values.reshape(*values.shape[:-1], self.count, self.num_classes)

  def _numbers(self, one_hot: Array) -> Int[Array, "*batch count"]:
    return jnp.argmax(self._each(one_hot), axis=-1)

  def _one_hot(self, numbers: Array) -> Float[Array, "*batch channels"]:
    each = jax.nn.one_hot(numbers, self.num_classes)
    return each.reshape(*numbers.shape[:-1], self.num_channels)
