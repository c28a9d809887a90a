"""What an encoding is: q(z | x), from which the model learns, and p(x | z), by which it draws, with what they share."""

from typing import NamedTuple, Protocol

from jaxtyping import Array, Bool, Float, Float32, Int, Key


class Encoded(NamedTuple):
  """A draw of z for each example, and what both laws say of it in nats, summed over valid positions."""

  z: Float[Array, "batch *axes channels"]
  log_q: Float[Array, "batch"]  # log q(z | x)
  log_likelihood: Float[Array, "batch"]  # log p(x | z)


class Encoding(Protocol):
  """A module that is built as `recipe(event, rngs=rngs)`. Given z, positions are independent: p(x | z) has logits.

  What an invalid position holds reaches no valid one.
  """

  num_channels: int  # of z, at every position

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Encoded:
    """Returns one draw of q(z | x) per example, by its own key."""
    ...

  def log_q(
    self,
    z: Float[Array, "batch *axes channels"],
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
  ) -> Float[Array, "batch"]:
    """Returns log q(z | x) of any z, summed over valid positions."""
    ...

  def logits(
    self, z: Float[Array, "batch *axes channels"], *, valid: Bool[Array, "batch *axes"] | None
  ) -> Float32[Array, "batch *axes classes"]:
    """Returns unnormalized log p(x | z) of every category at every position."""
    ...

  def initialize(self, x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]) -> None:
    """Sets what depends on data."""
    ...
