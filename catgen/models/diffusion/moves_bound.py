"""A bound on the likelihood of what the sampler draws by its options: in fewer moves, and with self-correction.

Samples that correct themselves, or that take fewer moves than T, follow a law of their own. Let q_c(x_s | x_t, x_0) be
the move of `correction` with the true x_0 in place of the prediction. It has the marginals of the process,
sum_{x_t} q(x_t | x_0) q_c(x_s | x_t, x_0) = q(x_s | x_0), so that by the argument of the evidence lower bound, with
q_c for the posteriors,

  -log p_c(x) <= KL(q(x_T | x) || p(x_T)) + sum over moves of E_{q(x_t | x)} KL(q_c(x_s | x_t, x) || p_c(x_s | x_t)).

Without a correction and in T moves this is the plain bound. With masks it is the bound of Wang et al. (2025), ReMDM,
arXiv:2503.00307: the plain terms, with larger weights where masks come back.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from catgen.distributions import categorical
from catgen.interfaces import Batch, Bound, InputError, Profile, PyTree, SampleOptions
from catgen.keys import fold_in
from catgen.models.diffusion.chain import check_options
from catgen.models.diffusion.correction import corrected
from catgen.models.diffusion.sampling import moves_of
from catgen.models.diffusion.spec import Spec, costs, for_batch, walked
from catgen.processes.levels import Span

_HONOURED = ("num_steps", "correction")


def moves_bound(
  spec: Spec,
  params: PyTree,
  batch: Batch,
  keys: Key[Array, "batch"],
  *,
  options: SampleOptions,
) -> tuple[Bound, Profile]:
  """Returns the bound on log p(x) of samples by `options.num_steps` and `options.correction`; see `Model.full_bound`.

  A network call a move, each with its own x_t; the profile has the moves in the place of time steps.

  Raises:
    InputError: another option is set, or one is out of range.
  """
  check_options(options, spec.process.num_classes)
  plain, unknown = SampleOptions(), [name for name in SampleOptions._fields if name not in _HONOURED]
  if changed := [name for name in unknown if getattr(options, name) != getattr(plain, name)]:
    raise InputError(f"no bound is known of samples with {', '.join(changed)}; only with {' and '.join(_HONOURED)}")
  spec, moves = for_batch(spec, batch), moves_of(spec, options)
  last = len(moves.number) - 1

  def move(inputs: tuple[Span, Array, Array]) -> Array:
    span, time, number = inputs
    x_t = spec.process.corrupt(fold_in(keys, number), batch.x, span.t)

    def cost(log_x0: Array, x_t: Array, x: Array) -> Array:
      nats = _kl(spec, x_t, x, log_x0, span, options.correction)
      return jnp.where(number == last, -categorical.take(log_x0, x), nats) if spec.literal_last_step else nats

    return costs(spec, params, batch, x_t, jnp.broadcast_to(time, keys.shape), cost)

  from_data = jax.tree.map(lambda values: jnp.asarray(values)[::-1], (moves.span, moves.time, moves.number))
  return walked(spec, batch, move, from_data)


def _kl(
  spec: Spec,
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  correction: float,
) -> Float[Array, "batch *event"]:
  """Returns KL(q_c(x_s | x_t, x) || p_c(x_s | x_t)) in nats; both are written out over the states of x_s."""

  def law(log_clean: Array) -> Array:
    log_p = spec.process.predictive(x_t, log_clean, span)
    return corrected(spec.process, x_t, log_clean, log_p, span, correction) if correction else log_p

  known = jnp.where(categorical.indicator(x, spec.process.num_classes), 0.0, -jnp.inf)
  return categorical.kl(law(known), law(log_x0))
