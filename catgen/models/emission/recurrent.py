"""The encoding of Ziegler and Rush (2019), arXiv:1901.10548: LSTMs from categories to latents and back."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int, Key

from catgen.distributions import categorical, normal
from catgen.events import sum_valid
from catgen.interfaces import EventSpec
from catgen.keys import fold_in
from catgen.meshes import gathered, spread
from catgen.models.emission.encoding import Encoded
from catgen.networks.parts.dropout import check_rate, dropout
from catgen.networks.parts.embedding import Embedding
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.lstm import BidirectionalLSTM
from catgen.networks.parts.precision import compute_dtype


class RecurrentEncoding(nnx.Module):
  """Normals q(z_t | x) of a network on all of x, and logits of x_t from z_t and what a network makes of all of z.

  Of the latter, a position reads its own latent beside the states of its neighbors, forward of the one before and
  backward of the one after. The features that this gives are compared with the table by which categories are read.
  Both networks know each position, as one-hot vectors counted from either end.

  Args:
    num_channels: of z, at every position.
    width: of the table of categories.
    lstm_width: of the states, in each direction.
    num_layers: of LSTMs.
    dropout: probability, in training, of a feature that enters one of the networks.
    dtype: of the factors of the LSTMs' products, float32 or bfloat16.
  """

  def __init__(
    self,
    event: EventSpec,
    *,
    rngs: nnx.Rngs,
    num_channels: int = 50,
    width: int = 500,
    lstm_width: int = 500,
    num_layers: int = 2,
    dropout: float = 0.0,
    dtype: str = "float32",
  ) -> None:
    self.num_channels, self.length, self.dropout = num_channels, math.prod(event.shape), check_rate(dropout)
    network = partial(BidirectionalLSTM, code_length=self.length, dtype=compute_dtype(dtype), rngs=rngs)
    self.embedding = Embedding(event.num_classes, width, key=rngs.params())
    # as the layer that makes logits, it must not begin sure of anything
    self.embedding.embedding.set_value(width**-0.5 * self.embedding.embedding[...])
    self.bias = nnx.Param(jnp.zeros((event.num_classes,)))
    self.inference = network(width, lstm_width, num_layers)
    self.posterior = Linear(2 * lstm_width, 2 * num_channels, init="uniform", rngs=rngs)
    self.emission = network(num_channels, lstm_width, num_layers)
    self.output = Linear(num_channels + 2 * lstm_width, width, init="uniform", rngs=rngs)

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Encoded:
    """See `Encoding`."""
    location, log_scale = self._law(x, valid, fold_in(dropout_keys, 0))
    z = jax.vmap(normal.sample)(keys, location, log_scale)
    log_q = normal.log_prob(location, log_scale, z).sum(axis=-1)
    log_likelihood = categorical.log_prob(self._logits(z, valid, fold_in(dropout_keys, 1)), x)
    return Encoded(z, sum_valid(log_q, valid), sum_valid(log_likelihood, valid))

  def log_q(
    self,
    z: Float[Array, "batch *axes channels"],
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
  ) -> Float[Array, "batch"]:
    """See `Encoding.log_q`."""
    return sum_valid(normal.log_prob(*self._law(x, valid, None), z).sum(axis=-1), valid)

  def logits(
    self, z: Float[Array, "batch *axes channels"], *, valid: Bool[Array, "batch *axes"] | None
  ) -> Float32[Array, "batch *axes classes"]:
    """See `Encoding.logits`."""
    return self._logits(z, valid, None)

  def initialize(self, x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]) -> None:
    """Sets nothing."""

  def _law(self, x: Array, valid: Array | None, keys: Array | None) -> tuple[Array, Array]:
    """Returns location and log-scale of every latent; the network's second half are logarithms of variances."""
    states = self.inference(self._read(self.embedding(x), valid, keys))
    location, log_variance = jnp.split(self.posterior(states).reshape(*x.shape, -1), 2, axis=-1)
    return location, 0.5 * log_variance

  def _logits(self, z: Array, valid: Array | None, keys: Array | None) -> Array:
    read = self._read(z, valid, keys)
    ahead, back = jnp.split(self.emission(read), 2, axis=-1)
    none = jnp.zeros_like(ahead[:, :1])
    before, after = jnp.concatenate([none, ahead[:, :-1]], axis=1), jnp.concatenate([back[:, 1:], none], axis=1)
    features = self.output(jnp.concatenate([z.reshape(read.shape), before, after], axis=-1))
    logits = spread(features @ gathered(self.embedding.embedding[...]).T) + self.bias[...][None, None]
    return logits.reshape(*z.shape[:-1], -1)

  def _read(self, features: Array, valid: Array | None, keys: Array | None) -> Float[Array, "batch length features"]:
    """Returns what enters a network, a row of positions; zeros where one is not valid."""
    features = features if valid is None else jnp.where(valid[..., None], features, 0.0)
    return dropout(keys, features, self.dropout).reshape(len(features), self.length, -1)
