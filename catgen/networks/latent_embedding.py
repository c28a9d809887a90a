"""How the recurrent conditioners of flows read a latent sequence: a perceptron, input dropout and a time code."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.networks.linear import Linear
from catgen.networks.mlp import MLP


class LatentEmbedding(nnx.Module):
  """channels -> hidden -> width - time_width features (GELU), beside `time_width` features of the position.

  The time code is a linear layer on the one-hot position and the one-hot position counted from the end. Input dropout
  zeroes all features of a position, without rescaling the rest, and leaves the time code.
  Reference: the paper's text flows, after CategoricalNF (Lippe and Gavves, 2021).
  """

  def __init__(
    self,
    num_channels: int,
    length: int,
    *,
    hidden_width: int,
    width: int,
    time_width: int,
    input_dropout: float,
    rngs: nnx.Rngs,
  ) -> None:
    self.length, self.input_dropout = length, input_dropout
    self.mlp = MLP(num_channels, hidden_width, width - time_width, activate_last=True, rngs=rngs)
    self.time_code = Linear(2 * length, time_width, use_bias=False, init="uniform", rngs=rngs)
    self.bias = nnx.Param(jnp.zeros((time_width,)))

  def __call__(
    self,
    z: Float[Array, "batch length channels"],
    *,
    valid: Bool[Array, "batch length"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch length width"]:
    """Returns features of every position; invalid ones have only their time code; keys: for dropout, None = none."""
    h = self.mlp(z)
    if keys is not None and self.input_dropout:
      keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.input_dropout, (self.length,)))(keys)
      h = jnp.where(keep[..., None], h, 0.0)
    if valid is not None:
      h = jnp.where(valid[..., None], h, 0.0)
    code = self._codes()
    return jnp.concatenate([h, jnp.broadcast_to(code[None], (len(h), *code.shape))], axis=-1)

  def at(self, z: Float[Array, "batch channels"], position: Int[Array, ""]) -> Float[Array, "batch width"]:
    """Returns the features of one position, without dropout."""
    code = jax.lax.dynamic_index_in_dim(self._codes(), position, keepdims=False)
    return jnp.concatenate([self.mlp(z), jnp.broadcast_to(code[None], (len(z), *code.shape))], axis=-1)

  def _codes(self) -> Array:
    """Returns [length, time_width]: what the linear layer gives for the pair of one-hot vectors of each position."""
    kernel = self.time_code.kernel[...]
    return kernel[: self.length] + kernel[self.length :][::-1] + self.bias[...][None]
