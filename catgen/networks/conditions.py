"""What a network or a flow layer may read besides its main input, as one record."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import PyTree


class Conditions(NamedTuple):
  """None in place of a field means that there is no such thing. The axes are those of the input's positions.

  Attributes:
    context: further features of every position.
    valid: False = padding, which no valid position sees; None = every position counts. Of a causal trunk: whether what
      came before the position is valid.
    keys: for dropout, one of each example; None = no dropout.
    given: attributes of each example, as in `EventSpec.given`.
    time: in [0, 1], of each example; for a process of T steps (t - 1) / T. Within a transformer a vector of it.
    memory: what a network keeps of the examples that stand before these; see `CarryingTrunk`. Within a transformer the
      inputs of a layer, or those of all layers along a leading axis.
  """

  context: Float[Array, "batch *axes context"] | None = None
  valid: Bool[Array, "batch *axes"] | None = None
  keys: Key[Array, "batch"] | None = None
  given: Int[Array, "batch attributes"] | None = None
  time: Float[Array, "batch *features"] | None = None
  memory: PyTree = None


NO_CONDITIONS = Conditions()
