"""The default denoising network: a bidirectional transformer of the best known parts, told the time."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.networks.blocks import Head
from catgen.networks.conditioning import TimeMLP
from catgen.networks.embedding import Embedding
from catgen.networks.layers import Layers
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import block_sizes


class Transformer(nnx.Module):
  """Rotary positions, normalized queries and keys, gated perceptrons, and norms that adapt to time.

  Args:
    event_shape: flattened to one sequence; rotary angles follow the axes, so distances on maps are two-dimensional.
    num_inputs, num_outputs: categories in (with a mask state, one more) and logits out.
    width, num_layers, num_heads: width / num_heads is even, and for the fused GPU kernel a multiple of 8, at most 128.
    mlp_ratio: hidden features of the gated perceptron over width, rounded to a multiple of 8.
    time_width: even; features of the time vector.
    conv_width: odd number of taps of a depthwise convolution along the flattened sequence before attention; 0 = none.
    dropout: probability, on the output of every branch, where keys are given.
    dtype: "float32" or "bfloat16", of activations; parameters and logits stay float32.
    remat: recompute activations in the backward pass. scan_layers: stack the blocks' parameters and scan over them.

  An untrained network returns logits of exactly zero.
  Reference: Peebles and Xie (2023) for adaLN-zero; Su et al. (2021) for rotary positions.
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
    time_width: int = 128,
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
      time_width=time_width,
      conv_width=conv_width,
      dropout=dropout,
      dtype=dtype,
    )
    self.event_shape, self.head_dim = tuple(event_shape), width // num_heads
    rotation_angles(self.event_shape, self.head_dim)  # refuses what cannot rotate before anything is built
    self.embedding = Embedding(num_inputs, width, dtype=sizes.dtype, rngs=rngs)
    self.time = TimeMLP(time_width, rngs=rngs)
    self.layers = Layers(sizes, num_layers, remat=remat, scan_layers=scan_layers, rngs=rngs)
    self.head = Head(width, num_outputs, time_width=time_width, rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *event"],
    time: Float[Array, "batch"],
    *,
    valid: Bool[Array, "batch *event"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns logits of the clean category at every position.

    Args:
      time: in [0, 1]; for a process of T steps (t - 1) / T.
      valid: False = padding, which no valid position sees; None = every position counts.
      keys: one key per example for dropout; None = no dropout.
    """
    batch = x.shape[0]
    angles = jnp.asarray(rotation_angles(self.event_shape, self.head_dim), jnp.float32)
    vector = self.time(time)
    flat_valid = None if valid is None else valid.reshape(batch, -1)
    h = self.layers(self.embedding(x.reshape(batch, -1)), angles, time=vector, valid=flat_valid, keys=keys)
    return self.head(h, vector).reshape(*x.shape, -1)
