"""Encoders: from categories to features of every position, for the inverses of flows and other posteriors.

Called as encoder(x, *, valid, keys) -> [batch, *axes, num_outputs]. What an invalid position holds is not read.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.kinds import Kind, Registry
from catgen.networks.convolution import blank_invalid, check_map
from catgen.networks.densenet import DenseNet
from catgen.networks.embedding import Embedding
from catgen.networks.layers import Layers
from catgen.networks.linear import Linear
from catgen.networks.lstm import BidirectionalLSTM
from catgen.networks.mlp import MLP
from catgen.networks.precision import compute_dtype
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import block_sizes


class NoEncoder(nnx.Module):
  """Zeros, whatever the categories: noise of a fixed distribution."""

  def __init__(self, num_inputs: int, num_outputs: int, event_shape: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
    self.num_outputs = num_outputs

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns zeros."""
    return jnp.zeros((*x.shape, self.num_outputs))


class PositionEncoder(nnx.Module):
  """Each position by itself: embedding, GELU layer, and two linear ones (the paper's coupling flow on text)."""

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    *,
    rngs: nnx.Rngs,
    width: int = 512,
    output_width: int = 128,
  ) -> None:
    self.embedding = Embedding(num_inputs, width, rngs=rngs)
    self.mlp = MLP(width, width, output_width, rngs=rngs)
    self.output = Linear(output_width, num_outputs, init="uniform", rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of the position's own category."""
    return self.output(self.mlp(self.embedding(x)))


class LSTMEncoder(nnx.Module):
  """Embedding, bidirectional LSTM, two linear layers: the paper's autoregressive flow on text."""

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    *,
    rngs: nnx.Rngs,
    width: int = 512,
    num_layers: int = 1,
    output_width: int = 128,
  ) -> None:
    self.embedding = Embedding(num_inputs, width, rngs=rngs)
    self.lstm = BidirectionalLSTM(width, width, num_layers, rngs=rngs)
    self.hidden = Linear(2 * width, output_width, init="uniform", rngs=rngs)
    self.output = Linear(output_width, num_outputs, init="uniform", rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position that depend on all valid ones."""
    h = self.embedding(x)
    if valid is not None:
      h = jnp.where(valid[..., None], h, 0.0)
    h = self.hidden(self.lstm(h.reshape(len(x), -1, h.shape[-1])))
    return self.output(h).reshape(*x.shape, -1)


class TransformerEncoder(nnx.Module):
  """The blocks of the default transformer over categories, for accelerators."""

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    *,
    rngs: nnx.Rngs,
    width: int = 256,
    num_layers: int = 2,
    num_heads: int = 4,
    mlp_ratio: float = 8 / 3,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    sizes = block_sizes(
      width=width,
      num_heads=num_heads,
      mlp_ratio=mlp_ratio,
      dropout=dropout,
      dtype=dtype,
    )
    self.angles = (tuple(event_shape), width // num_heads)
    rotation_angles(*self.angles)  # refuses what cannot rotate before anything is built
    self.embedding = Embedding(num_inputs, width, dtype=sizes.dtype, rngs=rngs)
    self.layers = Layers(sizes, num_layers, remat=False, scan_layers=False, rngs=rngs)
    self.output = Linear(width, num_outputs, rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position that depend on all valid ones."""
    angles = jnp.asarray(rotation_angles(*self.angles), jnp.float32)
    valid = None if valid is None else valid.reshape(len(x), -1)
    h = self.layers(self.embedding(x.reshape(len(x), -1)), angles, valid=valid, keys=keys)
    return self.output(h.astype(jnp.float32)).reshape(*x.shape, -1)


class DenseNetEncoder(nnx.Module):
  """A DenseNet over the embedded categories of a map."""

  def __init__(
    self,
    num_inputs: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    *,
    rngs: nnx.Rngs,
    width: int = 32,
    num_layers: int = 4,
    growth: int = 16,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    check_map(event_shape, 1, "densenet")
    self.event_shape = tuple(event_shape)
    self.embedding = Embedding(num_inputs, width, rngs=rngs)
    self.network = DenseNet(
      width,
      num_outputs,
      width=width,
      num_layers=num_layers,
      growth=growth,
      dropout=dropout,
      zeros=False,
      dtype=compute_dtype(dtype),
      rngs=rngs,
    )

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position that depend on the valid ones around it."""
    return self.network(blank_invalid(self.embedding(x), valid), keys)


ENCODERS: Registry = {
  "none": Kind(NoEncoder),
  "per_position": Kind(PositionEncoder),
  "lstm": Kind(LSTMEncoder),
  "transformer": Kind(TransformerEncoder),
  "densenet": Kind(DenseNetEncoder),
}
