"""An autoregressive transformer: each position predicted from those before it, all at once or one at a time."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float32, Int, Key

from catgen.networks.blocks import Head
from catgen.networks.embedding import Embedding
from catgen.networks.layers import Layers, shifted
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import Cache, block_sizes


class CausalTransformer(nnx.Module):
  """The blocks of `Transformer` without time, each position seeing only positions before it in row-major order.

  Args: those of `Transformer`, less `time_width`; `conv_width` taps end at the position itself and may be even.
  The category `num_inputs` is the start token, which the network itself puts before the first position.
  An untrained network returns logits of exactly zero.
  """

  def __init__(
    self,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
    *,
    rngs: nnx.Rngs,
    width: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    mlp_ratio: float = 8 / 3,
    conv_width: int = 0,
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: bool = False,
    scan_layers: bool = False,
  ) -> None:
    sizes = block_sizes(
      width=width,
      num_heads=num_heads,
      mlp_ratio=mlp_ratio,
      causal=True,
      conv_width=conv_width,
      dropout=dropout,
      dtype=dtype,
    )
    self.event_shape, self.head_dim, self.start = tuple(event_shape), width // num_heads, num_inputs
    rotation_angles(self.event_shape, self.head_dim)  # refuses what cannot rotate before anything is built
    self.embedding = Embedding(num_inputs + 1, width, dtype=sizes.dtype, rngs=rngs)
    self.layers = Layers(sizes, num_layers, remat=remat, scan_layers=scan_layers, rngs=rngs)
    self.head = Head(width, num_outputs, time_width=None, rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *event"],
    *,
    valid: Bool[Array, "batch *event"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns logits of every position given the valid ones before it; keys: for dropout, None = none."""
    tokens = shifted(x.reshape(x.shape[0], -1), self.start)
    seen = None
    if valid is not None:
      seen = shifted(valid.reshape(x.shape[0], -1), True)
      tokens = jnp.where(seen, tokens, self.start)  # what follows padding starts from its own residual stream
    h = self.layers(self.embedding(tokens), self._angles(), valid=seen, keys=keys)
    return self.head(h, None).reshape(*x.shape, -1)

  def init_cache(self, batch_size: int) -> tuple[Cache, ...]:
    """Returns what `decode` carries before the first position, one entry a layer."""
    return self.layers.init_cache(batch_size, len(self._angles()))

  def decode(
    self, cache: tuple[Cache, ...], token: Int[Array, "batch"], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[Cache, ...]]:
    """Returns the logits of one flattened position, and the cache for the next.

    Args:
      cache: from `init_cache` or from the position before; positions come in order from 0.
      token: the category at position - 1; for position 0 the start token, `num_inputs`.
    """
    h, cache = self.layers.decode(self.embedding(token[:, None]), self._angles(), cache=cache, position=position)
    return self.head(h, None)[:, 0], cache

  def _angles(self) -> Array:
    return jnp.asarray(rotation_angles(self.event_shape, self.head_dim), jnp.float32)
