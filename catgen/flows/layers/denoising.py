"""Couplings that replace categories by their ranks among predictions, and learn to predict.

A rank has no gradient, so each layer is trained by the log-probability that it gives to what it replaces, and by
nothing that comes after it. Reference: Lindt and Hoogeboom (2021), Discrete Denoising Flows (arXiv:2107.11625).
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.flows.layer import Latents, LogDet, Values
from catgen.flows.layers.alternating import Alternating
from catgen.flows.layers.categories import SortingTransform
from catgen.flows.layers.coupling import Coupling
from catgen.networks.conditions import Conditions


class DenoisingPositions(Alternating):
  """Every second position sorted by predictions from the others; x is one-hot, [batch, *event, K]."""

  transform: SortingTransform

  def explain(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """Returns z and the log-probability of every position that is sorted."""
    features = self.features(v, conditions)
    z, log_p = _explained(self.transform, v, features)
    return jnp.where(self.changed()[..., None], z, v), jnp.where(self.changed(), log_p, 0.0)


class DenoisingChannels(Coupling):
  """Some categories of every position sorted by predictions from others, of all positions: [batch, *axes, C K]."""

  transform: SortingTransform

  def explain(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """Returns z and the log-probability of the categories of every position that are sorted."""
    kept, changed, rest = jnp.split(v, [self.kept, self.end], axis=-1)
    z, log_p = _explained(self.transform, changed, self.conditioner(kept, conditions))
    return jnp.concatenate([kept, z, rest], axis=-1), log_p


def _explained(
  transform: SortingTransform, v: Float[Array, "batch *axes channels"], features: Array
) -> tuple[Float[Array, "batch *axes channels"], Float[Array, "batch *axes"]]:
  return transform.inverse(v, features)[0], transform.log_prob(v, features)


def denoising_channels(
  num_classes: int, count: int, num_sorted: int, conditioner: Callable[..., Any]
) -> DenoisingChannels:
  """Returns the coupling that sorts the second half of C categories of a position, given the first C // 2.

  Args:
    count: C, at least 2.
    num_sorted: see `SortingTransform`.
    conditioner: (num_channels=, num_outputs=) -> conditioner.
  """
  kept = count // 2
  transform = SortingTransform(num_classes, num_sorted=num_sorted, count=count - kept)
  network = conditioner(num_channels=kept * num_classes, num_outputs=transform.num_features)
  return DenoisingChannels(kept * num_classes, network, transform)
