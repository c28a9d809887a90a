"""What a flow layer is: two methods, and fields that are None unless the layer sets them.

Values have the axes of an event, [batch, *axes, channels]: z lies towards the base, v towards the data. `forward` is
the direction that generates, from z to v; `inverse` the one that likelihoods take. Both say log |det| of the direction
called at every position of v, summed over its channels; `Chain` sums it over the valid positions. What an invalid
position holds reaches no valid one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float

from catgen.networks.conditions import Conditions

Latents = Float[Array, "batch *places latents"]
Values = Float[Array, "batch *axes channels"]
LogDet = Float[Array, "batch *axes"]


class Moving(NamedTuple):
  """How a layer puts positions elsewhere."""

  values: Callable[[Array], Array]  # [batch, *axes, features] at v's positions -> at z's
  valid: Callable[[Array], Array]  # [batch, *axes] at v's positions -> at z's
  back: Callable[[Array], Array]  # [batch, *places, features] at z's positions -> at v's


class Layer(nnx.Module):
  """A bijection of latents. A layer writes `forward` and `inverse`, and sets what else it has."""

  moving: Moving | None = None  # None = every position stays
  initialize: Callable[..., None] | None = None  # (v, conditions): sets what depends on data
  # (v, conditions) -> z and, in nats of every position of v, what trains the layer where the likelihood's gradient does
  # not reach it
  explain: Callable[..., tuple[Latents, LogDet]] | None = None

  def forward(self, z: Latents, conditions: Conditions) -> tuple[Values, LogDet]:
    """Returns v and log |det dv/dz| of every position."""
    raise NotImplementedError

  def inverse(self, v: Values, conditions: Conditions) -> tuple[Latents, LogDet]:
    """Returns z and log |det dz/dv| of every position."""
    raise NotImplementedError


@runtime_checkable
class Transform(Protocol):
  """A bijection of the channels of a position, given features of it: what couplings and autoregressive layers apply.

  Both directions return values and log |det| summed over the channels.
  """

  num_channels: int
  num_features: int

  def forward(
    self, z: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """Returns (v, log |det dv/dz|)."""

  def inverse(
    self, v: Float[Array, "*batch channels"], features: Float[Array, "*batch features"]
  ) -> tuple[Float[Array, "*batch channels"], Float[Array, "*batch"]]:
    """Returns (z, log |det dz/dv|)."""


def moved(layer: Any, conditions: Conditions) -> Conditions:
  """Returns conditions at v's positions as they are at z's."""
  moving: Moving | None = layer.moving
  if moving is None:
    return conditions
  context, valid = conditions.context, conditions.valid
  return conditions._replace(
    context=None if context is None else moving.values(context), valid=None if valid is None else moving.valid(valid)
  )
