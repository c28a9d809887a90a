"""What all flows of categories share: p(x) = p(z) with z = f(x), one to one; no volume, no draws, no bound."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.batches import refuse_scored, seen
from catgen.distributions import categorical
from catgen.flows.densities.discrete import DiscreteDensity
from catgen.interfaces import Batch, Bound, EventSpec, Model, PyTree, SampleOptions, Samples
from catgen.models.absent import check_ignored, of_those_there
from catgen.models.adapter import functional
from catgen.networks.conditions import Conditions

_THESE = "a flow of categories"


class ExactFlow(nnx.Module):
  """A density of one-hot vectors, as one of categories.

  Args:
    density: (rngs) -> the density.
    guided: layers train by their own predictions, not by the likelihood alone.
  """

  def __init__(
    self, event: EventSpec, density: Callable[[nnx.Rngs], DiscreteDensity], *, guided: bool, rngs: nnx.Rngs
  ) -> None:
    self.event, self.guided = event, guided
    self.density = density(rngs)
    check_ignored(event, self, remedy="set config.model.num_levels to 0")

  def explain(self, batch: Batch, keys: Key[Array, "batch"] | None) -> Bound:
    """Returns log p(x), and what is raised in training where that is something else."""
    valid = seen(self.event, batch.valid)
    one_hot = jax.nn.one_hot(batch.x, self.event.num_classes)
    log_p, raised = self.density.explain(one_hot, Conditions(valid=valid, keys=keys, given=batch.given))
    terms = {"log_prob": log_p, "objective": log_p + raised}
    terms = terms if valid is not None else of_those_there(batch, terms)
    objective = terms["objective"] if self.guided else None
    return Bound(terms["log_prob"], {"log_prob": terms["log_prob"]}, objective=objective)

  def sample(self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None) -> Samples:
    """Returns one draw per key."""
    one_hot = self.density.sample(keys, given)
    x = jnp.argmax(one_hot, axis=-1).astype(jnp.int32)
    return Samples(x, jnp.ones(x.shape, bool))


def exact_flow(event: EventSpec, density: Callable[[nnx.Rngs], DiscreteDensity], *, guided: bool) -> Model:
  """Returns the model of a density (rngs) -> module over one-hot vectors; see `ExactFlow`."""
  module = functional(lambda rngs: ExactFlow(event, density, guided=guided, rngs=rngs))
  return Model(
    event=event,
    init=partial(_init, module.init),
    bound=partial(_bound, module.bind),
    sample=partial(_sample, module.bind),
    log_prob=partial(_log_prob, module.bind),
    log_weight=partial(_log_weight, module.bind),
  )


Bind = Callable[[PyTree], ExactFlow]


def _init(init_module: Callable, batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
  """See `Model.init`."""
  return init_module(key), {}


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
  """See `Model.bound`. It is log p(x) itself; nothing is drawn but dropout in training."""
  refuse_scored(batch, _THESE)
  return bind(params).explain(batch, keys if train else None)


def _log_prob(bind: Bind, params: PyTree, batch: Batch, *, state: PyTree) -> Float[Array, "batch"]:
  """See `Model.log_prob`."""
  refuse_scored(batch, _THESE)
  return bind(params).explain(batch, None).nats


def _log_weight(
  bind: Bind, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`. Without latent variables every draw is log p(x)."""
  return _log_prob(bind, params, batch, state=state)


def _sample(
  bind: Bind,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Int[Array, "batch attributes"] | None = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`."""
  reason = f"{_THESE} makes all of an example of draws that mean nothing by themselves"
  categorical.refuse_options(options, SampleOptions._fields, reason)
  return bind(params).sample(keys, given)
