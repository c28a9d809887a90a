"""Exact distributions of categories: bijections of one-hot vectors, level after level, with priors at their ends."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.flows.densities.categorical_priors import Prior
from catgen.flows.layer import Values
from catgen.flows.layers.chain import Chain
from catgen.keys import fold_in
from catgen.networks.conditions import NO_CONDITIONS, Conditions


class DiscreteDensity(nnx.Module):
  """log p(x) = the sum of what priors give to the categories that leave; no layer changes a volume.

  Args:
    levels: chains of layers on one-hot vectors [batch, *axes, C K], in the order in which data meet them.
    priors: of what leaves after each level, the last channels.
    leaving: number of channels that leave after each level; after the last all.
  """

  def __init__(self, levels: Sequence[Chain], priors: Sequence[Prior], leaving: Sequence[int]) -> None:
    self.levels: Any = nnx.List(list(levels))
    self.priors: Any = nnx.List(list(priors))
    self.leaving = tuple(leaving)

  def log_prob(self, x: Values, conditions: Conditions = NO_CONDITIONS) -> Float[Array, "batch"]:
    """Returns log p(x | given) in nats."""
    return self.explain(x, conditions)[0]

  def explain(
    self, x: Values, conditions: Conditions = NO_CONDITIONS
  ) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
    """Returns log p(x | given), and what trains layers by themselves: see `Layer.explain`."""
    log_p = raised = jnp.zeros(len(x))
    for number, (level, prior, leaving) in enumerate(self._parts()):
      own = conditions._replace(keys=fold_in(conditions.keys, number))
      x, change = level.explain(x, own)
      conditions, raised = level.moved(conditions), raised + change
      x, leaves = jnp.split(x, [x.shape[-1] - leaving], axis=-1)
      of_prior = conditions._replace(keys=fold_in(conditions.keys, len(self.levels) + number))
      log_p = log_p + prior.log_prob(leaves, x, of_prior)
    return log_p, raised

  def sample(self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None = None) -> Values:
    """Draws one x per key, all of a batch together."""
    conditions = Conditions(given=given)
    x: Any = None
    for number, (level, prior, _) in reversed(list(enumerate(self._parts()))):
      leaves = prior.sample(fold_in(keys, number), x, conditions)
      x, _ = level.forward(leaves if x is None else jnp.concatenate([x, leaves], axis=-1), conditions)
    return x

  def _parts(self) -> list[tuple[Any, Any, int]]:
    return list(zip(self.levels, self.priors, self.leaving, strict=True))
