"""Flow layers one after another."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from catgen.events import sum_valid
from catgen.flows.layer import Latents, Layer, Values, moved
from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.networks.conditions import NO_CONDITIONS, Conditions


class Chain(nnx.Module):
  """Layers in the order of generation: `forward` applies the first first, `inverse` the last first.

  Conditions are given at v's positions; layer i drops activations by fold_in(key, i).
  """

  def __init__(self, layers: Sequence[Layer]) -> None:
    self.layers: Any = nnx.List(list(layers))

  def forward(self, z: Latents, conditions: Conditions = NO_CONDITIONS) -> tuple[Values, Float[Array, "batch"]]:
    """Returns v and log |det dv/dz|, summed over valid positions."""
    log_det = jnp.zeros(len(z))
    for layer, met in reversed(self._met(conditions)):
      z, change = spread(layer.forward(z, met))
      log_det = log_det + sum_valid(change, met.valid)
    return z, log_det

  def inverse(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> tuple[Latents, Float[Array, "batch"]]:
    """Returns z and log |det dz/dv|, summed over valid positions."""
    log_det = jnp.zeros(len(v))
    for layer, met in self._met(conditions):
      v, change = spread(layer.inverse(v, met))
      log_det = log_det + sum_valid(change, met.valid)
    return v, log_det

  def explain(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> tuple[Latents, Float[Array, "batch"]]:
    """Returns z and what trains layers by themselves, in nats, summed over valid positions; see `Layer.explain`."""
    raised = jnp.zeros(len(v))
    for layer, met in self._met(conditions):
      if layer.explain is None:
        v, _ = spread(layer.inverse(v, met))
      else:
        v, own = spread(layer.explain(v, met))
        raised = raised + sum_valid(own, met.valid)
    return v, raised

  def initialize(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> None:
    """Initializes from data each layer that asks for it, in the order in which data meet them."""
    for layer, met in self._met(conditions):
      if layer.initialize is not None:
        layer.initialize(v, met)
      v, _ = layer.inverse(v, met)

  def moved(self, conditions: Conditions) -> Conditions:
    """Returns conditions at v's positions as they are at z's."""
    for layer in reversed(list(self.layers)):
      conditions = moved(layer, conditions)
    return conditions

  def move(self, values: Float[Array, "batch *axes features"]) -> Float[Array, "batch *places wide"]:
    """Returns values at v's positions as they are at z's."""
    for layer in reversed(list(self.layers)):
      values = values if layer.moving is None else layer.moving.values(values)
    return values

  def move_back(self, values: Float[Array, "batch *places wide"]) -> Float[Array, "batch *axes features"]:
    """Returns values at z's positions as they are at v's."""
    for layer in self.layers:
      values = values if layer.moving is None else layer.moving.back(values)
    return values

  def _met(self, conditions: Conditions) -> list[tuple[Any, Conditions]]:
    """Returns the layers in the order in which data meet them, each with the conditions on its side of the data."""
    met = []
    for i, layer in reversed(list(enumerate(self.layers))):
      met.append((layer, conditions._replace(keys=fold_in(conditions.keys, i))))
      conditions = moved(layer, conditions)
    return met
