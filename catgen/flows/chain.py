"""Flow layers one after another."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from catgen.keys import fold_in


class Chain(nnx.Module):
  """Layers in the order of generation: `forward` applies the first first, `inverse` the last first."""

  def __init__(self, layers: Sequence[nnx.Module]) -> None:
    self.layers: Any = nnx.List(list(layers))

  def forward(
    self,
    z: Float[Array, "batch positions latents"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns (v, log_det). Context and validity are given at v's positions."""
    met, log_det = self._met(context, valid), jnp.zeros(len(z))
    for i, layer in enumerate(self.layers):
      context, valid = met[i]
      z, change = layer.forward(z, context=context, valid=valid, keys=fold_in(keys, i))
      log_det = log_det + change
    return z, log_det

  def inverse(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> tuple[Float[Array, "batch positions latents"], Float[Array, "batch"]]:
    """Returns (z, log_det); layer i drops activations by fold_in(key, i)."""
    met, log_det = self._met(context, valid), jnp.zeros(len(v))
    for i, layer in reversed(list(enumerate(self.layers))):
      context, valid = met[i]
      v, change = layer.inverse(v, context=context, valid=valid, keys=fold_in(keys, i))
      log_det = log_det + change
    return v, log_det

  def move(self, values: Array | None) -> Array | None:
    """Returns values [batch, length, ...] at v's positions as they are at z's; None stays None."""
    for layer in reversed(list(self.layers)):
      values = _moved(layer, values)
    return values

  def move_back(self, values: Array) -> Array:
    """Returns values [batch, length, ...] at z's positions as they are at v's."""
    for layer in self.layers:
      values = layer.move_back(values) if hasattr(layer, "move_back") else values
    return values

  def _met(self, context: Array | None, valid: Array | None) -> list[tuple[Array | None, Array | None]]:
    """Returns the context and validity that each layer meets on its side of the data."""
    met = []
    for layer in reversed(list(self.layers)):
      met.append((context, valid))
      context, valid = _moved(layer, context), _moved(layer, valid)
    return met[::-1]

  def initialize(
    self,
    v: Float[Array, "batch length channels"],
    *,
    context: Float[Array, "batch length context"] | None = None,
    valid: Bool[Array, "batch length"] | None = None,
  ) -> None:
    """Initializes from data each layer that asks for it, in the order in which data meet them."""
    for layer in reversed(list(self.layers)):
      if hasattr(layer, "initialize"):
        layer.initialize(v, valid=valid)
      v, _ = layer.inverse(v, context=context, valid=valid)
      valid, context = _moved(layer, valid), _moved(layer, context)


def _moved(layer: Any, values: Any) -> Any:
  return layer.move(values) if values is not None and hasattr(layer, "move") else values
