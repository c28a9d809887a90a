"""What all flows on categorical data share: log p(x) >= E[log p(v) - log q(v | x)] with a surjection x(v).

The family gives the surjection, with its inverse q(v | x), and a density p(v).
One draw of log p(v) - log q(v | x) is both a draw of the ELBO and an importance weight (the paper's Eq. 4), because
x is a deterministic function of v. What p(v) puts where no category is, is P(invalid).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.batches import refuse_scored, seen
from catgen.distributions import categorical
from catgen.interfaces import Batch, Bound, EventSpec, Latent, Model, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.models.absent import check_ignored, of_those_there
from catgen.models.adapter import functional
from catgen.models.flow.surjection import EventSurjection
from catgen.networks.conditions import Conditions


class LatentFlow(nnx.Module):
  """A surjection x(v), with its learned inverse q(v | x), and a density p(v)."""

  def __init__(
    self, event: EventSpec, make_surjection: Callable[..., EventSurjection], density: Callable, *, rngs: nnx.Rngs
  ) -> None:
    self.event = event
    self.surjection = make_surjection(rngs=rngs)
    self.density: Any = density(self.surjection.num_channels, event.shape, event.given, rngs=rngs)
    check_ignored(event, self)

  def terms(self, batch: Batch, keys: Key[Array, "batch"], *, train: bool) -> dict[str, Float[Array, "batch"]]:
    """Returns one draw of log p(v) and of -log q(v | x) per example."""
    to_inverse, to_density = (fold_in(keys, 1), fold_in(keys, 2)) if train else (None, None)
    valid = seen(self.event, batch.valid)
    v, log_q = self.surjection.inverse(batch.x, valid=valid, keys=fold_in(keys, 0), dropout_keys=to_inverse)
    log_p = self.density.log_prob(v, Conditions(valid=valid, keys=to_density, given=batch.given))
    terms = {"density": log_p, "inverse": -log_q}
    return terms if valid is not None else of_those_there(batch, terms)

  def sample(
    self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None
  ) -> tuple[Float[Array, "batch *axes channels"], Samples]:
    """Returns draws of p(v), and what they mean."""
    v = self.density.sample(keys, given)
    return v, Samples(*self.surjection.forward(v))

  def log_q(self, batch: Batch, v: Float[Array, "batch *axes channels"]) -> Float[Array, "batch"]:
    """Returns log q(v | x) in nats, -inf where v means other categories, or in float32 lies on an edge."""
    log_q = self.surjection.log_prob(v, batch.x, valid=batch.valid)
    return jnp.where(self._means(batch, v) & jnp.isfinite(log_q), log_q, -jnp.inf)

  def log_likelihood(self, batch: Batch, v: Float[Array, "batch *axes channels"]) -> Float[Array, "batch"]:
    """Returns 0 where v means the categories of the batch, elsewhere -inf."""
    return jnp.where(self._means(batch, v), 0.0, -jnp.inf)

  def _means(self, batch: Batch, v: Float[Array, "batch *axes channels"]) -> Bool[Array, "batch"]:
    meant, used = self.surjection.forward(v)
    return ((meant == batch.x) & used | ~batch.valid).all(axis=tuple(range(1, batch.x.ndim)))

  def initialize(self, batch: Batch, key: Key[Array, ""]) -> None:
    """Sets what depends on data: Gumbel locations, ActNorm."""
    self.surjection.initialize(batch.x, valid=batch.valid)
    v, _ = self.surjection.inverse(batch.x, valid=batch.valid, keys=jax.random.split(key, len(batch.x)))
    self.density.initialize(v, Conditions(valid=batch.valid, given=batch.given))


def latent_flow(event: EventSpec, make_surjection: Callable, density: Callable, *, has_unused_codes: bool) -> Model:
  """Returns the model of a surjection (rngs=) -> module and a density (num_channels, event_shape, given, rngs=).

  A draw of its bound is also an importance weight, in nats: the paper's Eq. 4.
  """
  module = functional(lambda rngs: LatentFlow(event, make_surjection, density, rngs=rngs))
  return Model(
    event=event,
    init=partial(_init, module.init),
    bound=partial(_bound, module.bind),
    sample=partial(_sample, module.bind),
    log_weight=partial(_log_weight, module.bind),
    latent=Latent(
      infer=partial(_infer, module.bind),
      log_prob=partial(_log_prob, module.bind),
      sample=partial(_sample_latent, module.bind),
      log_q=partial(_log_q, module.bind),
      log_likelihood=partial(_log_likelihood, module.bind),
      has_unused_codes=has_unused_codes,
    ),
  )


Bind = Callable[[PyTree], LatentFlow]


def _init(init: Callable, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  parameter_key, noise_key = jax.random.split(key)
  return init(parameter_key, batch, noise_key), {}


def _bound(
  bind: Bind,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`."""
  refuse_scored(batch, "a flow")
  terms = bind(params).terms(batch, keys, train=train)
  return Bound(terms["density"] + terms["inverse"], terms)


def _log_weight(
  bind: Bind, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. The same quantity as one draw of the bound."""
  return _bound(bind, params, batch, keys, state=state, train=False).nats


def _sample(
  bind: Bind,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. `valid` is False where the latent meant no category."""
  reason = "a flow is sampled in one pass, without draws of categories"
  categorical.refuse_options(options, SampleOptions._fields, reason)
  return _sample_latent(bind, params, keys, given=given, state=state)[1]


def _infer(
  bind: Bind, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> tuple[Float[Array, "batch *axes channels"], Float[Array, "batch"]]:
  """See `Latent.infer`. The draw is the one that `Model.bound` scores with the same keys."""
  refuse_scored(batch, "a flow")
  return bind(params).surjection.inverse(batch.x, valid=batch.valid, keys=fold_in(keys, 0))


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
  return bind(params).sample(keys, given)


def _log_q(
  bind: Bind, params: PyTree, batch: Batch, v: Float[Array, "batch *axes channels"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_q`."""
  refuse_scored(batch, "a flow")
  return bind(params).log_q(batch, v)


def _log_likelihood(
  bind: Bind, params: PyTree, batch: Batch, v: Float[Array, "batch *axes channels"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_likelihood`."""
  refuse_scored(batch, "a flow")
  return bind(params).log_likelihood(batch, v)
