"""Masked diffusion in continuous time whose masking rates are learned: GenMD4 (Shi et al., 2024; arXiv:2406.04329).

Category k is masked by time t with probability t^w_k (see `processes.masking_rates`), and the rates w are parameters of
the model like all others: what is hard to tell from its surroundings can be masked early or late. With one schedule for
everything the bound in continuous time does not depend on it; with several it does.

  masking_rates(catgen.load("runs/genmd4").params)      # what is learned: which categories are masked early

Optimizers update `rates` as they do a bias: Muon leaves it to Adam, and no weight decay reaches it. The noise of its
gradient is part of the norm that `clip_norm` sees.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.chains import Chain
from catgen.distributions import categorical
from catgen.events import refuse_sizes
from catgen.interfaces import (
  Batch,
  Bound,
  Denoised,
  EventSpec,
  Infill,
  InputError,
  Model,
  PyTree,
  SampleOptions,
  Samples,
)
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.models.diffusion import learned_bound, learned_weights
from catgen.models.diffusion.denoising import denoise
from catgen.models.diffusion.reverse import make_reverse
from catgen.models.diffusion.sampling import make_chain, make_infill, sample
from catgen.models.diffusion.spec import Spec, make_spec
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Denoiser
from catgen.orders import OF_ORDERS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.processes.levels import over_events
from catgen.processes.masking_rates import Rates, process

_ONE = 0.5413248546129181  # softplus of this is 1: ln(e - 1)
_HEADROOM = 2.0  # of the events of an importance weight: more is less noise, and as many more calls of the network
_LEARNED = ("class", "position")


class RatedDenoiser(Denoiser):
  """A denoiser with the rates of masking beside it, before their softplus. Untrained, all rates are 1."""

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_classes: int,
    given: tuple[int, ...],
    rates_shape: tuple[int, ...],
    *,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(recipe, event_shape, num_classes + 1, num_classes, given, rngs=rngs)
    self.rates = nnx.Param(jnp.full(rates_shape, _ONE, jnp.float32))


def masking_rates(params: PyTree) -> Float[Array, "..."]:
  """Returns the learned rates w > 0, [classes] or [*event]: a share t^w is masked by time t.

  What has a small rate is masked early and, in samples, shown late. All rates times one number are the same model by
  another clock, so only their ratios say something.
  """
  return jax.nn.softplus(params["rates"])


def learned_masking(event: EventSpec, *, network: Recipe, rates: str = "class") -> Model:
  """Returns a masked diffusion model in continuous time whose rates of masking are learned with the network.

  Training calls the network twice for each example, see `learned_bound`; nothing else costs more than in `diffusion`
  with the absorbing process, whose bound, by the linear schedule, this is while all rates are 1.

  Args:
    event: shape and number of classes K of one example.
    network: that predicts the clean categories, as a `Denoiser`.
    rates: what has rates of its own: every "class", or every "position" of the event.

  Raises:
    InputError: for another kind of rates.

  Reference: Shi et al. (2024), arXiv:2406.04329, where rates belong to classes (GenMD4).
  """
  refuse_sizes(event, "a model with learned rates of masking")
  if rates not in _LEARNED:
    raise InputError(f"learned_masking: rates is {rates!r}; choose one of {', '.join(_LEARNED)}")
  by_class = rates == "class"
  shape = (event.num_classes,) if by_class else event.shape
  module = functional(
    lambda rngs: RatedDenoiser(network, event.shape, event.num_classes, event.given, shape, rngs=rngs)
  )
  plain = PROCESSES["absorbing"].make(event.num_classes)
  spec = make_spec(event, plain, SCHEDULES["linear"].make(), 0, False, module.apply)
  return _made(partial(_rated, spec, by_class), spec, by_class, lambda batch, key: (module.init(key), {}))


def _made(rated: Callable, spec: Spec, by_class: bool, init: Callable) -> Model:
  """Returns the model of what `_rated` returns."""

  def with_predictions(function: Callable[..., Array]) -> Model:
    def network(rates: Rates, params: PyTree, x_t: Array, conditions: Conditions) -> Array:
      time = jnp.asarray(conditions.time)
      return function(x_t, time, conditions.given) + _said(rates, x_t, time)

    def as_predicted(params: PyTree) -> tuple[Spec, Rates]:
      own, rates = clocked(*rated(params))
      return own._replace(network=partial(network, rates)), rates

    return _made(as_predicted, spec, by_class, init)

  return Model(
    event=spec.event,
    init=init,
    bound=partial(_bound, rated),
    sample=partial(_sample, rated),
    log_weight=partial(_log_weight, rated, _HEADROOM if by_class else 1.0),
    denoise=partial(_denoise, rated),
    infill=Infill(partial(_infill, rated), not by_class, _explanation(by_class)),
    chain=Chain(partial(_num_moves, spec), partial(_begin, rated), partial(_go_on, rated), make_chain(spec).shown),
    reverse=make_reverse(spec, lambda params: _from_others(*clocked(*rated(params))), with_predictions),
  )


def _rated(spec: Spec, by_class: bool, params: PyTree) -> tuple[Spec, Rates]:
  """Returns the spec and the rates that these parameters make."""
  learned = masking_rates(params)
  return spec, Rates(learned, jnp.ones(())) if by_class else Rates(jnp.ones(spec.process.num_classes), learned)


def clocked(spec: Spec, rates: Rates) -> tuple[Spec, Rates]:
  """Returns the same model by a clock of which the smallest rate is 1, with its process: for steps of equal length.

  So nothing is masked longer than by the linear schedule, and rates of one size have its steps. The network is told the
  time t = s^(1 / smallest rate) of its own clock.
  """
  smallest = rates.by_class.min() * rates.by_position.min()
  own = Rates(rates.by_class / rates.by_class.min(), rates.by_position / rates.by_position.min())

  def network(params: PyTree, x_t: Array, conditions: Conditions) -> Array:
    return spec.network(params, x_t, conditions._replace(time=jnp.asarray(conditions.time) ** (1.0 / smallest)))

  return spec._replace(process=process(own), network=network), own


def _bound(
  rated: Callable,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  state: PyTree,
  train: bool,
  strata: Float[Array, "batch"] | None = None,
) -> Bound:
  """See `Model.bound`."""
  spec, rates = rated(params)
  return learned_bound.bound(spec, params, rates, batch, keys, train=train, strata=strata)


def _sample(
  rated: Callable, params: PyTree, keys: Key[Array, "batch"], *, options: SampleOptions, **told: Any
) -> Samples:
  """See `Model.sample`. The sampler is that of `diffusion`, in steps of equal length by the clock of `clocked`."""
  _refuse_orders(options)
  return sample(clocked(*rated(params))[0], params, keys, options=options, **told)


def _log_weight(
  rated: Callable, headroom: float, params: PyTree, batch: Batch, keys: Key[Array, "batch"], *, state: PyTree
) -> Float[Array, "batch"]:
  """See `Model.log_weight`."""
  spec, rates = rated(params)
  return learned_weights.log_weight(spec, params, rates, headroom * rates.by_class.max(), batch, keys)


def _infill(
  rated: Callable,
  params: PyTree,
  x: Int[Array, "batch *event"],
  observed: Bool[Array, "batch *event"],
  keys: Key[Array, "batch"],
  *,
  options: SampleOptions,
  **told: Any,
) -> Samples:
  """See `Infill.draw`. Observed positions are revealed before all others and stay."""
  _refuse_orders(options)
  return make_infill(clocked(*rated(params))[0]).draw(params, x, observed, keys, options=options, **told)


def _num_moves(spec: Spec, options: SampleOptions) -> int:
  """See `Chain.num_moves`. The clock of `clocked` has as many steps as that of the spec."""
  _refuse_orders(options)
  return make_chain(spec).num_moves(options)


def _begin(
  rated: Callable, params: PyTree, keys: Key[Array, "batch"], *, options: SampleOptions, **told: Any
) -> PyTree:
  """See `Chain.start`."""
  _refuse_orders(options)
  return make_chain(clocked(*rated(params))[0]).start(params, keys, options=options, **told)


def _go_on(rated: Callable, params: PyTree, carry: PyTree, *moves: Any, **told: Any) -> PyTree:
  """See `Chain.moves`."""
  return make_chain(clocked(*rated(params))[0]).moves(params, carry, *moves, **told)


def _refuse_orders(options: SampleOptions) -> None:
  of_order = ("order", *OF_ORDERS, "correction")
  categorical.refuse_options(options, of_order, "with learned rates the time of each position is part of what is drawn")


def _explanation(by_class: bool) -> str:
  if not by_class:
    return (
      "exact in the order 'observed positions first', which is one of the orders that the model is trained on;"
      " positions revealed in the same step are drawn independently, as in sampling"
    )
  return (
    "approximate, because the rates are by category: when a position is uncovered depends on what stands there, and"
    " here what you gave is uncovered first whatever it is"
  )


def _denoise(
  rated: Callable,
  params: PyTree,
  x: Int[Array, "batch *event"],
  valid: Bool[Array, "batch *event"],
  noise_level: Float[Array, ""] | float,
  **told: Any,
) -> Denoised:
  """See `Model.denoise` and `diffusion.denoising`. Predictions are those of `_from_others`."""
  return denoise(_from_others(*clocked(*rated(params))), params, x, valid, noise_level, **told)


def _from_others(spec: Spec, rates: Rates) -> Spec:
  """Returns the spec with what a mask says by itself, t^w_k, taken out of predictions; of masked positions."""

  def network(params: PyTree, x_t: Array, conditions: Conditions) -> Array:
    said = _said(rates, x_t, jnp.asarray(conditions.time))
    return spec.network(params, x_t, conditions).astype(jnp.float32) - said

  return spec._replace(network=network)


def _said(rates: Rates, x_t: Int[Array, "batch *event"], time: Float[Array, "batch"]) -> Float[Array, "..."]:
  return rates.table(x_t) * over_events(jnp.log(time), x_t.ndim + 1)
