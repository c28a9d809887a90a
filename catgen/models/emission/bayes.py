"""CategoricalNF: a law q(z_i | x_i) of every category, decoded by Bayes' rule (Lippe and Gavves, 2021).

p(x_i | z_i) is proportional to pi_x q(z_i | x_i). So with q(z_i) = sum_k pi_k q(z_i | k) a draw of the bound is
log p(z) - sum_i log q(z_i) + sum_i log pi_(x_i): what q(z | x) says of its own category cancels, and where p(z) is the
product of these mixtures, every draw is sum_i log pi_(x_i).
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.distributions import categorical, logistic
from catgen.events import sum_valid
from catgen.flows.layer import Layer
from catgen.flows.layers.context_affine import ContextAffine
from catgen.flows.layers.coupling import half_coupling
from catgen.flows.layers.invertible_linear import InvertibleLinear
from catgen.interfaces import EventSpec, InputError
from catgen.models.emission.encoding import Encoded
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from catgen.networks.parts.embedding import Embedding
from catgen.networks.roles import Conditioner

PRIORS = ("uniform", "frequencies")


class BayesEncoding(nnx.Module):
  """Categories as logistics of deviation 1 behind flow layers whose context is the category, and their posterior.

  Args:
    layers: in the order of generation, each position by itself.
    embedding_width: features of a category, the context.
    prior: pi; "uniform", or "frequencies": learned, those of the first batch at first.

  Raises:
    InputError: unknown prior.
  """

  def __init__(
    self,
    event: EventSpec,
    layers: Sequence[Layer],
    *,
    num_channels: int,
    embedding_width: int,
    prior: str,
    rngs: nnx.Rngs,
  ) -> None:
    if prior not in PRIORS:
      raise InputError(f"prior {prior!r} of an encoding is unknown; choose {' or '.join(PRIORS)}")
    self.num_channels, self.num_classes = num_channels, event.num_classes
    self.embedding = Embedding(event.num_classes, embedding_width, key=rngs.params())
    self.layers: Any = nnx.List(list(layers))
    self.log_prior = nnx.Param(jnp.zeros((event.num_classes,))) if prior == "frequencies" else None

  def __call__(
    self,
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
    keys: Key[Array, "batch"],
    dropout_keys: Key[Array, "batch"] | None,
  ) -> Encoded:
    """See `Encoding`. One log q(z | x) stands in both laws, so that it cancels."""
    location = jnp.zeros((*x.shape[1:], self.num_channels))
    z = jax.vmap(lambda key: logistic.sample(key, location, location + logistic.UNIT_LOG_SCALE))(keys)
    conditions = Conditions(context=self.embedding(x))
    for layer in self.layers:
      z, _ = layer.forward(z, conditions)
    log_probs = self.log_probs(z)
    log_q, log_likelihood = categorical.take(log_probs, x), categorical.log_prob(self._weighted(log_probs), x)
    return Encoded(z, sum_valid(log_q, valid), sum_valid(log_likelihood, valid))

  def log_probs(self, z: Float[Array, "batch *axes channels"]) -> Float[Array, "batch *axes classes"]:
    """Returns log q(z_i | k) of every category k at every position, in nats."""
    each = (*z.shape[:-1], self.num_classes)
    features = self.embedding.embedding[...]
    conditions = Conditions(context=features.reshape((1,) * (z.ndim - 1) + features.shape))
    z, log_det = jnp.broadcast_to(z[..., None, :], (*each, self.num_channels)), jnp.zeros(each)
    for layer in reversed(list(self.layers)):
      z, change = layer.inverse(z, conditions)
      log_det = log_det + change
    noise = logistic.log_prob(jnp.zeros_like(z), jnp.full_like(z, logistic.UNIT_LOG_SCALE), z)
    return noise.sum(axis=-1) + log_det

  def log_q(
    self,
    z: Float[Array, "batch *axes channels"],
    x: Int[Array, "batch *axes"],
    *,
    valid: Bool[Array, "batch *axes"] | None,
  ) -> Float[Array, "batch"]:
    """See `Encoding.log_q`."""
    return sum_valid(categorical.take(self.log_probs(z), x), valid)

  def logits(
    self, z: Float[Array, "batch *axes channels"], *, valid: Bool[Array, "batch *axes"] | None
  ) -> Float[Array, "batch *axes classes"]:
    """See `Encoding.logits`. Each position by itself."""
    return self._weighted(self.log_probs(z))

  def initialize(self, x: Int[Array, "batch *axes"], *, valid: Bool[Array, "batch *axes"]) -> None:
    """Sets pi to the frequencies of a batch, each category counted once more than seen."""
    if self.log_prior is not None:
      one_hot = jax.nn.one_hot(x, self.num_classes) * valid[..., None]
      self.log_prior.set_value(jnp.log(1.0 + one_hot.sum(axis=tuple(range(x.ndim)))))

  def _weighted(self, log_probs: Float[Array, "batch *axes classes"]) -> Float[Array, "batch *axes classes"]:
    """Returns log pi_k q(z_i | k), but for a constant."""
    if self.log_prior is None:
      return log_probs
    return log_probs + self.log_prior[...].reshape((1,) * (log_probs.ndim - 1) + (-1,))


def mixture(
  event: EventSpec, *, rngs: nnx.Rngs, num_channels: int = 3, embedding_width: int = 64, prior: str = "uniform"
) -> BayesEncoding:
  """Returns the encoding in which every category is a logistic: z = (noise + b) exp(s), with b and s of the category.

  Args:
    num_channels: of z, at every position.
    embedding_width: features of a category, of which a linear layer makes b and the argument of s = tanh(.).
    prior: pi in Bayes' rule; "uniform", or "frequencies": learned, those of the first batch at first.
  """
  spread = 4 / math.sqrt(num_channels)
  layers = [ContextAffine(num_channels, embedding_width, spread=spread, rngs=rngs)]
  sizes = {"num_channels": num_channels, "embedding_width": embedding_width}
  return BayesEncoding(event, layers, prior=prior, rngs=rngs, **sizes)


def linear_flows(
  event: EventSpec,
  *,
  rngs: nnx.Rngs,
  num_channels: int = 4,
  num_layers: int = 4,
  embedding_width: int = 64,
  hidden_width: int = 128,
  prior: str = "uniform",
) -> BayesEncoding:
  """Returns the encoding in which every category is a logistic behind affine layers, functions of the category.

  The decoder inverts them for every category at every position, so its cost grows with their number.

  Args:
    num_channels: of z, at every position; at least 2.
    num_layers: of a shift and scale, a matrix and an affine coupling, one after the other.
    embedding_width: features of a category.
    hidden_width: of the perceptron of each coupling.
    prior: pi in Bayes' rule; "uniform", or "frequencies": learned, those of the first batch at first.

  Raises:
    InputError: one channel or no layers.
  """
  if num_layers < 1:
    raise InputError(f"num_layers of an encoding of linear flows is {num_layers}; it must be at least 1")
  network = TRUNKS["per_position"](width=hidden_width, output_width=hidden_width)

  def conditioner(num_channels: int, num_outputs: int) -> Conditioner:
    return Conditioner(network, event.shape, num_channels, num_outputs, num_context=embedding_width, rngs=rngs)

  layers: list[Layer] = []
  for number in range(num_layers):
    spread = 0.0 if number else 4 / math.sqrt(num_channels)
    layers += [ContextAffine(num_channels, embedding_width, spread=spread, rngs=rngs)]
    layers += [InvertibleLinear(num_channels, rngs=rngs), half_coupling(num_channels, 0, conditioner)]
  sizes = {"num_channels": num_channels, "embedding_width": embedding_width}
  return BayesEncoding(event, layers, prior=prior, rngs=rngs, **sizes)
