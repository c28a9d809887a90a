"""Each position by itself: the trunk of the paper's encoder of couplings on text."""

from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.networks.conditions import Conditions
from catgen.networks.parts.mlp import MLP
from catgen.networks.trunk import Abilities, Ends


class PerPosition(nnx.Module):
  """A GELU layer and a linear one, the same at every position. A causal one sees the position before, and no other.

  Args:
    width: features of a position that are read, and of the hidden layer.
    output_width: features that the linear layer gives.
  """

  abilities = Abilities(causal=True)

  def __init__(self, ends: Ends, *, rngs: nnx.Rngs, width: int = 512, output_width: int = 128) -> None:
    self.num_inputs, self.num_outputs = width, output_width
    self.read_in, self.head = None, None
    self.mlp = MLP(width, width, output_width, rngs=rngs)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """See `Trunk`."""
    return self.mlp(h)

  def init_cache(self, batch_size: int) -> tuple[()]:
    """See `CausalTrunk.init_cache`; nothing is carried."""
    return ()

  def decode(
    self, h: Float[Array, "batch inputs"], *, cache: tuple[()], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[()]]:
    """See `CausalTrunk.decode`."""
    return self.mlp(h), ()
