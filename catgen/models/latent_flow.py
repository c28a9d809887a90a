"""What all flows on categorical data share: log p(x) >= E[log p(v) - log q(v | x)] with a surjection x(v).

The family gives an inverse, which draws v from q(v | x) and turns a latent back into categories, and a density p(v).
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

from catgen.interfaces import Batch, Bound, EventSpec, InputError, Latent, Model, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.models.adapter import functional


class LatentFlow(nnx.Module):
  """An inverse q(v | x), with learned parts, and a density p(v), over flattened events.

  The inverse is a module with `__call__(x, *, valid, keys, dropout_keys) -> (v, log_q)`, `log_prob(v, x, *, valid)`,
  `generate(v) -> (x, used)`, `initialize(x, *, valid)` and the attribute `num_channels`.
  """

  def __init__(self, event: EventSpec, make_inverse: Callable, density: Callable, *, rngs: nnx.Rngs) -> None:
    self.inverse: Any = make_inverse(rngs=rngs)
    self.density: Any = density(num_channels=self.inverse.num_channels, event_shape=event.shape, rngs=rngs)

  def terms(
    self,
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
    keys: Key[Array, "batch"],
    train: bool,
  ) -> dict[str, Float[Array, "batch"]]:
    """Returns one draw of log p(v) and of -log q(v | x) per example."""
    dropout_keys = (fold_in(keys, 1), fold_in(keys, 2)) if train else (None, None)
    v, log_q = self.inverse(x, valid=valid, keys=fold_in(keys, 0), dropout_keys=dropout_keys[0])
    log_p = self.density.log_prob(v, valid=valid, keys=dropout_keys[1])
    return {"density": log_p, "inverse": -log_q}

  def infer(
    self, x: Int[Array, "batch length"], *, valid: Bool[Array, "batch length"], keys: Key[Array, "batch"]
  ) -> tuple[Float[Array, "batch length channels"], Float[Array, "batch"]]:
    """Returns a draw of q(v | x) per example, the one that `terms` scores with the same key, and log q(v | x)."""
    return self.inverse(x, valid=valid, keys=fold_in(keys, 0), dropout_keys=None)

  def sample(
    self, keys: Key[Array, "batch"]
  ) -> tuple[Float[Array, "batch length channels"], Int[Array, "batch length"], Bool[Array, "batch length"]]:
    """Returns draws of p(v), their categories, and whether v means one."""
    v = self.density.sample(keys)
    return v, *self.inverse.generate(v)

  def log_inverse(
    self,
    v: Float[Array, "batch length channels"],
    x: Int[Array, "batch length"],
    *,
    valid: Bool[Array, "batch length"],
  ) -> Float[Array, "batch"]:
    """Returns log q(v | x) in nats, -inf where v means other categories, or in float32 lies on an edge."""
    meant, used = self.inverse.generate(v)
    log_q = self.inverse.log_prob(v, x, valid=valid)
    inside = jnp.all((meant == x) & used | ~valid, axis=1) & jnp.isfinite(log_q)
    return jnp.where(inside, log_q, -jnp.inf)

  def log_density(self, v: Float[Array, "batch length channels"]) -> Float[Array, "batch"]:
    """Returns log p(v) in nats."""
    return self.density.log_prob(v)

  def initialize(
    self, x: Int[Array, "batch length"], key: Key[Array, ""], *, valid: Bool[Array, "batch length"]
  ) -> None:
    """Sets what depends on data: Gumbel locations, ActNorm."""
    self.inverse.initialize(x, valid=valid)
    v, _ = self.inverse(x, valid=valid, keys=jax.random.split(key, len(x)), dropout_keys=None)
    self.density.initialize(v, valid=valid)


def latent_flow(event: EventSpec, make_inverse: Callable, density: Callable, *, has_unused_codes: bool) -> Model:
  """Returns the model of an inverse (rngs=) -> module and a density (num_channels=, event_shape=, rngs=) -> module."""
  module = functional(lambda rngs: LatentFlow(event, make_inverse, density, rngs=rngs))
  return Model(
    event=event,
    init=partial(_init, module.init),
    bound=partial(_bound, module.apply),
    sample=partial(_sample, module.apply, event),
    log_weight=partial(_log_weight, module.apply),
    latent=Latent(
      infer=partial(_infer, module.apply),
      log_prob=partial(_log_density, module.apply),
      sample=partial(_sample_latent, module.apply, event),
      log_q=partial(_log_inverse, module.apply),
      has_unused_codes=has_unused_codes,
    ),
  )


def _init(init: Callable, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  parameter_key, noise_key = jax.random.split(key)
  return init(parameter_key, _flat(batch.x), noise_key, valid=_flat(batch.valid)), {}


def _bound(
  apply: Callable,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`."""
  terms = apply(params, _flat(batch.x), valid=_flat(batch.valid), keys=keys, train=train, method="terms")
  return Bound(terms["density"] + terms["inverse"], terms)


def _log_weight(
  apply: Callable, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. The same quantity as one draw of the bound."""
  return _bound(apply, params, batch, keys, state=state, train=False).nats


def _infer(
  apply: Callable, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> tuple[Float[Array, "batch positions channels"], Float[Array, "batch"]]:
  """See `Latent.infer`."""
  return apply(params, _flat(batch.x), valid=_flat(batch.valid), keys=keys, method="infer")


def _log_density(
  apply: Callable, params: PyTree, v: Float[Array, "batch positions channels"], *, given: None = None, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_prob`."""
  return apply(params, v, method="log_density")


def _sample(
  apply: Callable,
  event: EventSpec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. `valid` is False where the latent meant no category."""
  if options.num_steps is not None or options.num_frames or options.temperature != 1.0:
    raise InputError("a flow is sampled in one pass: num_steps, num_frames and temperature do not apply")
  return _sample_latent(apply, event, params, keys, state=state)[1]


def _sample_latent(
  apply: Callable, event: EventSpec, params: PyTree, keys: Key[Array, "batch"], *, given: None = None, state: PyTree
) -> tuple[Float[Array, "batch positions channels"], Samples]:
  """See `Latent.sample`."""
  v, x, used = apply(params, keys, method="sample")
  shape = (len(keys), *event.shape)
  return v, Samples(x.reshape(shape), used.reshape(shape))


def _log_inverse(
  apply: Callable, params: PyTree, batch: Batch, v: Float[Array, "batch positions channels"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Latent.log_q`."""
  return apply(params, v, _flat(batch.x), valid=_flat(batch.valid), method="log_inverse")


def _flat(values: Array) -> Array:
  return values.reshape(values.shape[0], -1)
