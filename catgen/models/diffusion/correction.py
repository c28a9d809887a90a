"""Self-correction of samples: at every move a share of the positions is drawn anew, and what was wrong may be mended.

A move of a sampler goes from x_t to x_s by p(x_s | x_t). With a correction c in [0, 1] it is instead a draw of

  (1 - c) p(x_s | x_t) + c sum_x0 p(x_0 | x_t) q(x_s | x_0),

where p(x_0 | x_t) is the law of the clean category given all of x_t, its own noisy value included: with probability c a
position forgets how it came to x_t, but for what x_t says of the data, and is noised from there to s. If the
predictions are right and there is one position, both parts have the marginal q_s, and so has the mixture, for any c. Of
several positions, that are drawn independently of one another in a move, this holds up to terms of the second order in
the length of the move and c. Samples then follow another law than the model's p(x): a bound on log p(x) says nothing of
them.

Masked diffusion knows x_0 where x_t is visible. There a category is masked again with probability
sigma = c (1 - alpha_bar_s), and a mask is revealed with probability (alpha_bar_s - (1 - sigma) alpha_bar_t) /
(1 - alpha_bar_t), which is the remasking of Wang et al. (2025), ReMDM, arXiv:2503.00307, Eq. 3 and 4.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen.distributions import categorical
from catgen.processes import Process
from catgen.processes.levels import Level, Span, over_events


def corrected(
  process: Process,
  x_t: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  log_p: Float[Array, "batch *event states"],
  span: Span,
  correction: float,
) -> Float[Array, "batch *event states"]:
  """Returns the log-probabilities of x_s with a correction in [0, 1]; at s = 0 they stay `log_p`.

  Args:
    process: of the corruption.
    x_t: the state.
    log_x0: what is predicted of the clean categories, from the other positions.
    log_p: of x_s, without a correction.
    span: the move.
    correction: c.
  """
  clean, all_noise = _clean(process, x_t, log_x0, span.t), jnp.full_like(x_t, process.num_states - 1)
  s = Level(*(jnp.asarray(each) for each in span.s))
  nothing, all_lost = jnp.zeros_like(s.keep), jnp.ones_like(s.keep)
  from_noise = Span(s, Level(nothing, all_lost), Level(nothing, all_lost), s)  # from where x_t says nothing
  anew = process.predictive(all_noise, clean, from_noise)
  mixed = jnp.logaddexp(log_p + jnp.log1p(-jnp.float32(correction)), anew + jnp.log(jnp.float32(correction)))
  return jnp.where(over_events(s.lost, log_p.ndim) > 0, mixed, log_p)


def _clean(
  process: Process, x_t: Int[Array, "batch *event"], log_x0: Float[Array, "batch *event classes"], level: Level
) -> Float[Array, "batch *event classes"]:
  """Returns log p(x_0 | x_t), its own value included."""
  if process.exact_clamping:  # what is predicted where x_t is visible means nothing
    visible = jnp.where(categorical.indicator(x_t, process.num_classes), 0.0, -jnp.inf)
    return jnp.where((x_t < process.num_classes)[..., None], visible, log_x0)
  return jax.nn.log_softmax(log_x0 + process.likelihood(x_t, level))
