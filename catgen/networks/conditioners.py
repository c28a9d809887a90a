"""Conditioners: networks that turn a latent sequence into features from which a flow layer takes its parameters.

A coupling conditioner is called as network(z, *, context, valid, keys) -> features of the same positions. A causal
conditioner has the same call, where position l sees positions < l only, and `init_cache(batch_size)` and
`decode(cache, previous, position) -> (features, cache)` for one position at a time.
"""

import math

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.kinds import Kind, Registry
from catgen.networks.convolution import blank_invalid, check_map
from catgen.networks.densenet import DenseNet
from catgen.networks.latent_embedding import LatentEmbedding
from catgen.networks.layers import Layers, shifted
from catgen.networks.linear import Linear
from catgen.networks.lstm import LSTM, BidirectionalLSTM, Carry
from catgen.networks.mlp import MLP
from catgen.networks.precision import compute_dtype
from catgen.networks.rotary import rotation_angles
from catgen.networks.self_attention import Cache, block_sizes


class LSTMConditioner(nnx.Module):
  """The paper's coupling conditioner: embedding, time code, bidirectional LSTMs, GELU perceptron.

  Args:
    width: of the LSTM's input, `time_width` of it the time code; hidden_width: of the perceptron before it.
    lstm_width: per direction. input_dropout: probability that a position's features are zeroed in training.
  """

  def __init__(
    self,
    num_channels: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    num_context: int = 0,
    given: tuple[int, ...] = (),
    *,
    rngs: nnx.Rngs,
    hidden_width: int = 256,
    width: int = 256,
    time_width: int = 64,
    lstm_width: int = 512,
    num_layers: int = 2,
    input_dropout: float = 0.0,
  ) -> None:
    self.embedding = LatentEmbedding(
      num_channels + num_context,
      math.prod(event_shape),
      hidden_width=hidden_width,
      width=width,
      time_width=time_width,
      input_dropout=input_dropout,
      rngs=rngs,
    )
    self.lstm = BidirectionalLSTM(width, lstm_width, num_layers, rngs=rngs)
    self.head = MLP(2 * lstm_width, lstm_width, num_outputs, rngs=rngs)

  def __call__(
    self,
    z: Float[Array, "batch *axes channels"],
    *,
    context: Float[Array, "batch *axes context"] | None = None,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position, which depend on all valid ones."""
    z = z if context is None else jnp.concatenate([z, context], axis=-1)
    shape = z.shape[:-1]
    z, valid = _flat(z, valid)
    return self.head(self.lstm(self.embedding(z, valid=valid, keys=keys))).reshape(*shape, -1)


class CausalLSTMConditioner(nnx.Module):
  """The paper's autoregressive conditioner: embedding, time code, shift by one, LSTMs, GELU layer of `num_outputs`.

  The time code belongs to the position that is read: it is shifted with it, and the first input is all zeros.
  """

  def __init__(
    self,
    num_channels: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    given: tuple[int, ...] = (),
    *,
    rngs: nnx.Rngs,
    hidden_width: int = 1024,
    width: int = 1024,
    time_width: int = 256,
    lstm_width: int = 2048,
    num_layers: int = 2,
    input_dropout: float = 0.0,
  ) -> None:
    self.width = width
    self.embedding = LatentEmbedding(
      num_channels,
      math.prod(event_shape),
      hidden_width=hidden_width,
      width=width,
      time_width=time_width,
      input_dropout=input_dropout,
      rngs=rngs,
    )
    inputs = [width] + [lstm_width] * (num_layers - 1)
    self.layers = nnx.List([LSTM(count, lstm_width, rngs=rngs) for count in inputs])
    self.head = MLP(lstm_width, num_outputs, activate_last=True, rngs=rngs)

  def __call__(
    self,
    z: Float[Array, "batch *axes channels"],
    *,
    context: None = None,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position, which depend on the valid ones before it."""
    shape = z.shape[:-1]
    z, valid = _flat(z, valid)
    h = self.embedding(z, valid=valid, keys=keys)
    h = shifted(h, 0.0)
    for layer in self.layers:
      h = layer(h)
    return self.head(h).reshape(*shape, -1)

  def init_cache(self, batch_size: int) -> tuple[Carry, ...]:
    """Returns the state of every layer before the first position."""
    return tuple(layer.init_carry(batch_size) for layer in self.layers)

  def decode(
    self, cache: tuple[Carry, ...], previous: Float[Array, "batch channels"], position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch outputs"], tuple[Carry, ...]]:
    """Returns the features of one position given the latent before it (not read at position 0), and the new state."""
    h = self.embedding.at(previous, jnp.maximum(position - 1, 0))
    h, updated = jnp.where(position > 0, h, 0.0), []
    for layer, carry in zip(self.layers, cache, strict=True):
      carry, h = layer.step(carry, h)
      updated.append(carry)
    return self.head(h), tuple(updated)


class TransformerConditioner(nnx.Module):
  """The blocks of the default transformer over latent positions, all at once: for coupling layers and accelerators."""

  causal = False

  def __init__(
    self,
    num_channels: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    num_context: int = 0,
    given: tuple[int, ...] = (),
    *,
    rngs: nnx.Rngs,
    width: int = 256,
    num_layers: int = 4,
    num_heads: int = 4,
    mlp_ratio: float = 8 / 3,
    dropout: float = 0.0,
    dtype: str = "float32",
    remat: bool = False,
  ) -> None:
    sizes = block_sizes(
      width=width,
      num_heads=num_heads,
      mlp_ratio=mlp_ratio,
      causal=self.causal,
      dropout=dropout,
      dtype=dtype,
    )
    self.sizes, self.event_shape, self.head_dim = sizes, tuple(event_shape), width // num_heads
    self.embedding = Linear(num_channels + num_context, width, dtype=sizes.dtype, rngs=rngs)
    self.layers = Layers(sizes, num_layers, remat=remat, scan_layers=False, rngs=rngs)
    self.head = Linear(width, num_outputs, rngs=rngs)

  def __call__(
    self,
    z: Float[Array, "batch *axes channels"],
    *,
    context: Float[Array, "batch *axes context"] | None = None,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position, which depend on all valid ones (those before it, if causal)."""
    z = z if context is None else jnp.concatenate([z, context], axis=-1)
    shape = z.shape[:-1]
    z, valid = _flat(z, valid)
    if valid is not None:
      z = jnp.where(valid[..., None], z, 0.0)
    h = self.embedding(z)
    if self.causal:
      h = shifted(h, 0.0)
      valid = None if valid is None else shifted(valid, True)
    h = self.layers(h, self._angles(), valid=valid, keys=keys)
    return self.head(h.astype(jnp.float32)).reshape(*shape, -1)

  def _angles(self) -> Array:
    return jnp.asarray(rotation_angles(self.event_shape, self.head_dim), jnp.float32)


class CausalTransformerConditioner(TransformerConditioner):
  """The same, each position seeing those before it, with a key and value cache for sampling."""

  causal = True

  def init_cache(self, batch_size: int) -> tuple[Cache, ...]:
    """Returns what `decode` carries before the first position, one entry a layer."""
    return self.layers.init_cache(batch_size, len(self._angles()))

  def decode(
    self, cache: tuple[Cache, ...], previous: Float[Array, "batch channels"], position: Int[Array, ""]
  ) -> tuple[Float[Array, "batch outputs"], tuple[Cache, ...]]:
    """Returns the features of one position given the latent before it (not read at position 0), and the cache."""
    h = self.embedding(previous[:, None])
    h = jnp.where(position > 0, h, jnp.zeros_like(h))
    h, cache = self.layers.decode(h, self._angles(), cache=cache, position=position)
    return self.head(h.astype(jnp.float32))[:, 0], cache


class DenseNetConditioner(nnx.Module):
  """A DenseNet over a latent map, flattened in row-major order; parameters start without reading it.

  Args:
    event_shape: (height, width) of the latent map.
    width, num_layers, growth, dropout: see `DenseNet`.
    dtype: "float32" or "bfloat16", of activations.
  """

  def __init__(
    self,
    num_channels: int,
    num_outputs: int,
    event_shape: tuple[int, ...],
    num_context: int = 0,
    given: tuple[int, ...] = (),
    *,
    rngs: nnx.Rngs,
    width: int = 64,
    num_layers: int = 10,
    growth: int = 64,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    check_map(event_shape, 1, "densenet")
    self.event_shape = tuple(event_shape)
    self.network = DenseNet(
      num_channels + num_context,
      num_outputs,
      width=width,
      num_layers=num_layers,
      growth=growth,
      dropout=dropout,
      zeros=True,
      dtype=compute_dtype(dtype),
      rngs=rngs,
    )

  def __call__(
    self,
    z: Float[Array, "batch *axes channels"],
    *,
    context: Float[Array, "batch *axes context"] | None = None,
    valid: Bool[Array, "batch *axes"] | None = None,
    keys: Key[Array, "batch"] | None = None,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> Float[Array, "batch *axes outputs"]:
    """Returns features of every position, which depend on the valid ones around it."""
    z = z if context is None else jnp.concatenate([z, context], axis=-1)
    return self.network(blank_invalid(z, valid), keys)


def _flat(z: Array, valid: Array | None) -> tuple[Array, Array | None]:
  """Returns latents and validity of positions in row-major order."""
  return z.reshape(len(z), -1, z.shape[-1]), None if valid is None else valid.reshape(len(z), -1)


COUPLING_CONDITIONERS: Registry = {
  "lstm": Kind(LSTMConditioner),
  "transformer": Kind(TransformerConditioner),
  "densenet": Kind(DenseNetConditioner),
}
CAUSAL_CONDITIONERS: Registry = {
  "lstm": Kind(CausalLSTMConditioner),
  "transformer": Kind(CausalTransformerConditioner),
}
