"""Masked diffusion: categories are replaced by an absorbing mask state (Austin et al., 2021; arXiv:2107.03006).

q(x_t | x) keeps x with probability alpha_bar_t and is the mask, state K, otherwise. Going back from t to s < t, a
position that is not masked stays as it is; a masked one is revealed with probability
(alpha_bar_s - alpha_bar_t) / (1 - alpha_bar_t) and is then x (or, in the model, a draw from the prediction).
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from catgen.distributions import categorical
from catgen.processes.levels import Level, Span, align, over_events
from catgen.processes.process import Process


def process(num_classes: int, /) -> Process:
  """Returns the absorbing process over K >= 2 categories; its mask is state K. Reference: arXiv:2107.03006."""
  bind = partial(partial, num_classes=num_classes)
  return Process(
    num_classes=num_classes,
    num_states=num_classes + 1,
    needs_zero_end=True,
    marginal=bind(marginal),
    corrupt=bind(corrupt),
    posterior=bind(posterior),
    predictive=bind(predictive),
    kl=bind(kl),
    kl_rate=bind(kl_rate),
    prior_sample=bind(prior_sample),
    prior_log_prob=bind(prior_log_prob),
    prior_kl=prior_kl,
    exact_clamping=True,
    likelihood=bind(likelihood),
    keep_at=jnp.ones_like,  # none ever is
  )


def _point_masses(state: Int[Array, "batch *event"], num_states: int) -> Float[Array, "batch *event states"]:
  return jnp.where(categorical.indicator(state, num_states), 0.0, -jnp.inf)


def marginal(x: Int[Array, "batch *event"], level: Level, *, num_classes: int) -> Float[Array, "batch *event states"]:
  """Returns log q(x_t | x) over K + 1 states; x may itself be masked, and then stays so."""
  keep, lost = align(level, x.ndim + 1)
  kept = _point_masses(x, num_classes + 1) + jnp.log(keep)
  masked = _point_masses(jnp.full_like(x, num_classes), num_classes + 1) + jnp.log(lost)
  return jnp.where((x == num_classes)[..., None], _point_masses(x, num_classes + 1), jnp.logaddexp(kept, masked))


def corrupt(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], level: Level, *, num_classes: int
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x): each position is masked with probability 1 - alpha_bar."""
  lost = jnp.broadcast_to(level.lost, x.shape[:1])
  return jnp.where(categorical.bernoulli_each(keys, lost, x.shape[1:]), num_classes, x)


def likelihood(
  x_t: Int[Array, "batch *event"], level: Level, *, num_classes: int
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_t | x) for each category x: a mask says nothing, and what is visible all."""
  keep, lost = align(level, x_t.ndim + 1)
  visible = _point_masses(x_t, num_classes) + jnp.log(keep)
  return jnp.where((x_t == num_classes)[..., None], jnp.log(lost), visible)


def posterior(
  x_t: Int[Array, "batch *event"], x: Int[Array, "batch *event"], span: Span, *, num_classes: int
) -> Float[Array, "batch *event states"]:
  """Returns log q(x_s | x_t, x) over K + 1 states."""
  return _revealed(x_t, _point_masses(x, num_classes), span, num_classes)


def predictive(
  x_t: Int[Array, "batch *event"], log_x0: Float[Array, "batch *event classes"], span: Span, *, num_classes: int
) -> Float[Array, "batch *event states"]:
  """Returns log p(x_s | x_t) over K + 1 states: the posterior with the prediction in place of x."""
  return _revealed(x_t, log_x0, span, num_classes)


def _revealed(x_t: Array, log_x0: Array, span: Span, num_classes: int) -> Array:
  reveal, stay = align(span.resampled, x_t.ndim + 1)
  stays = jnp.broadcast_to(jnp.log(stay), (*x_t.shape, 1))
  masked = jnp.concatenate([log_x0 + jnp.log(reveal), stays], axis=-1)
  return jnp.where((x_t == num_classes)[..., None], masked, _point_masses(x_t, num_classes + 1))


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  num_classes: int,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)): P(revealed) times -log prediction of x where x_t is masked, else 0."""
  reveal = align(span.resampled, x.ndim).keep
  return jnp.where(x_t == num_classes, -reveal * categorical.take(log_x0, x), 0.0)


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  num_classes: int,
) -> Float[Array, "batch *event"]:
  """Returns the limit of T KL for T -> infinity: slope / (1 - alpha_bar) times -log prediction where x_t is masked."""
  return jnp.where(x_t == num_classes, -over_events(slope / level.lost, x.ndim) * categorical.take(log_x0, x), 0.0)


def prior_sample(
  keys: Key[Array, "batch"], event_shape: tuple[int, ...], *, num_classes: int
) -> Int[Array, "batch *event"]:
  """Returns x_T, which is masked everywhere."""
  return jnp.full((keys.shape[0], *event_shape), num_classes, jnp.int32)


def prior_log_prob(x_t: Int[Array, "batch *event"], *, num_classes: int) -> Float[Array, "batch *event"]:
  """Returns 0 where x_T is masked and -inf elsewhere."""
  return jnp.where(x_t == num_classes, 0.0, -jnp.inf)


def prior_kl(x: Int[Array, "batch *event"], level: Level) -> Float[Array, "batch *event"]:
  """Returns 0, which is right only when alpha_bar_T = 0; with anything left it would be infinite."""
  return jnp.zeros(x.shape)
