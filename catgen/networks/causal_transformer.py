"""An autoregressive transformer: each position predicted from those before it, all at once or one at a time."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float32, Int, Key

from catgen.networks.blocks import Head
from catgen.networks.embedding import Embedding
from catgen.networks.layers import Layers
from catgen.networks.precision import compute_dtype
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import BlockSizes, Cache


class CausalTransformer(nnx.Module):
  """The blocks of `Transformer` without time, each position seeing only positions before it in row-major order.

  Args: those of `Transformer`, less `time_width`; `conv_width` taps end at the position itself and may be even.
  The category `num_inputs` is the start token, which the network itself puts before the first position.
  An untrained network returns logits of exactly zero.
  """

  def __init__(
    self,
    *,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
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
    sizes = BlockSizes(
      width=width,
      num_heads=num_heads,
      hidden_width=8 * round(mlp_ratio * width / 8),
      time_width=None,
      causal=True,
      conv_width=conv_width,
      dropout=dropout,
      dtype=compute_dtype(dtype),
    ).checked()
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
    tokens = _shift(x.reshape(x.shape[0], -1), self.start)
    seen = None
    if valid is not None:
      seen = _shift(valid.reshape(x.shape[0], -1), True)
      tokens = jnp.where(seen, tokens, self.start)  # what follows padding starts from its own residual stream
    h = self.layers(self.embedding(tokens), self._angles(), valid=seen, keys=keys)
    return self.head(h, None).reshape(*x.shape, -1)

  def init_cache(self, batch_size: int) -> tuple[Cache, ...]:
    """Returns what `decode` carries before the first position, one entry a layer."""
    length = len(self._angles())
    return tuple(self.layers.block(i).attention.init_cache(batch_size, length) for i in range(self.layers.num_layers))

  def decode(
    self, cache: tuple[Cache, ...], token: Int[Array, "batch"], position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], tuple[Cache, ...]]:
    """Returns the logits of one flattened position, and the cache for the next.

    Args:
      cache: from `init_cache` or from the position before; positions come in order from 0.
      token: the category at position - 1; for position 0 the start token, `num_inputs`.
    """
    angles = jax.lax.dynamic_slice_in_dim(self._angles(), position, 1)
    h, updated = self.embedding(token[:, None]), []
    for number, layer_cache in enumerate(cache):
      h, layer_cache = self.layers.block(number).decode(h, angles, cache=layer_cache, position=position)
      updated.append(layer_cache)
    return self.head(h, None)[:, 0], tuple(updated)

  def _angles(self) -> Array:
    return jnp.asarray(rotation_angles(self.event_shape, self.head_dim), jnp.float32)


def _shift(x: Array, first: int | bool) -> Array:
  """Returns x one position later, with `first` in front and the last entry gone."""
  return jnp.concatenate([jnp.full_like(x[:, :1], first), x[:, :-1]], axis=1)
