"""Latent models with an emission: log p(x) >= E[log p(z) + log p(x | z) - log q(z | x)].

The family gives an encoding, which is q(z | x) and p(x | z), and a density p(z). One draw in the brackets is both a
draw of the ELBO and the logarithm of an importance weight. Samples are drawn from p(z), then from p(x | z): the most
probable category of p(x | z) would be no sample of the model.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.batches import refuse_scored, seen
from catgen.distributions import categorical
from catgen.events import refuse_sizes, sum_valid
from catgen.interfaces import Batch, Bound, EventSpec, Latent, Model, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.models.absent import check_ignored, of_those_there
from catgen.models.adapter import functional
from catgen.models.emission.weighting import Weighting
from catgen.models.updates import count_update, no_updates
from catgen.networks.conditions import Conditions
from catgen.orders import OF_ORDERS

_NAME = "a latent model with an emission"


class LatentEmission(nnx.Module):
  """An encoding, q(z | x) and p(x | z), and a density p(z)."""

  def __init__(
    self, event: EventSpec, encoding: Callable[..., Any], density: Callable[..., nnx.Module], *, rngs: nnx.Rngs
  ) -> None:
    self.event = event
    self.encoding = encoding(event, rngs=rngs)
    self.density: Any = density(self.encoding.num_channels, event.shape, event.given, rngs=rngs)
    check_ignored(event, self)

  def terms(self, batch: Batch, keys: Key[Array, "batch"], *, train: bool) -> dict[str, Float[Array, "batch"]]:
    """Returns one draw of log p(z), of log p(x | z) and of -log q(z | x) per example."""
    to_encoding, to_density = (fold_in(keys, 1), fold_in(keys, 2)) if train else (None, None)
    valid = seen(self.event, batch.valid)
    encoded = self.encoding(batch.x, valid=valid, keys=fold_in(keys, 0), dropout_keys=to_encoding)
    log_p = self.density.log_prob(encoded.z, Conditions(valid=valid, keys=to_density, given=batch.given))
    terms = {"density": log_p, "emission": encoded.log_likelihood, "inference": -encoded.log_q}
    return terms if valid is not None else of_those_there(batch, terms)

  def infer(
    self, batch: Batch, keys: Key[Array, "batch"]
  ) -> tuple[Float[Array, "batch *axes channels"], Float[Array, "batch"]]:
    """Returns the draw of z that `terms` scores with the same keys, and log q(z | x)."""
    encoded = self.encoding(batch.x, valid=batch.valid, keys=fold_in(keys, 0), dropout_keys=None)
    return encoded.z, encoded.log_q

  def sample(
    self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None, options: SampleOptions
  ) -> tuple[Float[Array, "batch *axes channels"], Samples]:
    """Returns draws of p(z), and of p(x | z), restricted by the options."""
    z = self.density.sample(fold_in(keys, 0), given)
    logits = categorical.restrict(self.encoding.logits(z, valid=None), options)
    x = categorical.sample_each(fold_in(keys, 1), logits).astype(jnp.int32)
    return z, Samples(x, jnp.ones(x.shape, bool))

  def log_likelihood(self, batch: Batch, z: Float[Array, "batch *axes channels"]) -> Float[Array, "batch"]:
    """Returns log p(x | z) in nats, summed over valid positions."""
    logits = self.encoding.logits(z, valid=batch.valid)
    return sum_valid(categorical.log_prob(logits, batch.x), batch.valid)

  def initialize(self, batch: Batch, key: Key[Array, ""]) -> None:
    """Sets what depends on data: frequencies, ActNorm."""
    self.encoding.initialize(batch.x, valid=batch.valid)
    z, _ = self.infer(batch, jax.random.split(key, len(batch.x)))
    self.density.initialize(z, Conditions(valid=batch.valid, given=batch.given))


def latent_emission(
  event: EventSpec,
  *,
  encoding: Callable[..., Any],
  density: Callable[..., nnx.Module],
  weighting: Callable[[], Weighting] | None = None,
) -> Model:
  """Returns a latent model with an emission.

  Args:
    event: shape and number of classes K.
    encoding: q(z | x) and p(x | z).
    density: p(z).
    weighting: of the terms of the bound in training, by the number of updates; None = as they are.
  """
  refuse_sizes(event, "a latent model")
  module = functional(lambda rngs: LatentEmission(event, encoding, density, rngs=rngs))
  weights, bind = None if weighting is None else weighting(), module.bind
  return Model(
    event=event,
    init=partial(_init, module.init, weights is not None),
    bound=partial(_bound, bind, weights),
    sample=partial(_sample, bind),
    update_state=None if weights is None else count_update,
    log_weight=partial(_log_weight, bind),
    latent=Latent(
      infer=partial(_infer, bind),
      log_prob=partial(_log_prob, bind),
      sample=partial(_sample_latent, bind),
      log_q=partial(_log_q, bind),
      log_likelihood=partial(_log_likelihood, bind),
      has_unused_codes=False,
    ),
  )


Bind = Callable[[PyTree], LatentEmission]


def _init(init: Callable, counts: bool, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`. The state counts updates, where a weighting asks for them."""
  parameter_key, noise_key = jax.random.split(key)
  return init(parameter_key, batch, noise_key), no_updates() if counts else {}


def _bound(
  bind: Bind,
  weights: Weighting | None,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`. In training the objective has the weights of its update; `nats` have weights of 1."""
  refuse_scored(batch, _NAME)
  terms = bind(params).terms(batch, keys, train=train)
  kl = -terms["density"] - terms["inference"]
  bound = Bound(terms["emission"] - kl, terms)
  if weights is None or not train:
    return bound
  of_kl, of_emission = weights(state["updates"])
  return bound._replace(objective=of_emission * terms["emission"] - of_kl * kl)


def _log_weight(
  bind: Bind, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. The same quantity as one draw of the bound."""
  return _bound(bind, None, params, batch, keys, state=state, train=False).nats


def _sample(
  bind: Bind,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. The options restrict p(x | z)."""
  of_steps = ("num_steps", "num_frames", "correction", "order", *OF_ORDERS)
  reason = f"{_NAME} draws a latent once, and then categories"
  categorical.refuse_options(options, (*of_steps, *categorical.GUIDANCE), reason)
  model = bind(params)
  categorical.check_restrictions(options, model.event.num_classes)
  return model.sample(keys, given, options)[1]


def _infer(
  bind: Bind, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> tuple[Float[Array, "batch *axes channels"], Float[Array, "batch"]]:
  """See `Latent.infer`. The draw is the one that `Model.bound` scores with the same keys."""
  refuse_scored(batch, _NAME)
  return bind(params).infer(batch, keys)


def _log_prob(
  bind: Bind,
  params: PyTree,
  v: Float[Array, "batch *axes channels"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> Float[Array, "batch"]:
  """See `Latent.log_prob`."""
  return bind(params).density.log_prob(v, Conditions(given=given))


def _sample_latent(
  bind: Bind,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
) -> tuple[Float[Array, "batch *axes channels"], Samples]:
  """See `Latent.sample`."""
  return bind(params).sample(keys, given, SampleOptions())


def _log_q(
  bind: Bind, params: PyTree, batch: Batch, v: Float[Array, "batch *axes channels"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_q`."""
  refuse_scored(batch, _NAME)
  return bind(params).encoding.log_q(v, batch.x, valid=batch.valid)


def _log_likelihood(
  bind: Bind, params: PyTree, batch: Batch, v: Float[Array, "batch *axes channels"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_likelihood`."""
  refuse_scored(batch, _NAME)
  return bind(params).log_likelihood(batch, v)
