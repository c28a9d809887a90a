"""Argmax flows: x = argmax_k v_k with v from a flow, trained with a probabilistic inverse.

Reference: arXiv:2102.05379, sections 2 and 3.

Categories are written as d base-M digits, each with M latent channels, or one for a bit (M = 2), whose sign it is.
M^d - K codes mean no category; their probability is P(invalid).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from catgen.events import refuse_sizes
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Recipe
from catgen.models.flow.latent import latent_flow
from catgen.models.flow.posterior import FixedNoise, Posterior
from catgen.models.flow.surjection import EventSurjection
from catgen.surjections import argmax, digits


def argmax_flow(
  event: EventSpec,
  *,
  encoder: Recipe,
  density: Callable[..., nnx.Module],
  inverse: str = "softplus",
  base: int = 0,
  noise_base: str = "normal",
  posterior_flow: Callable[..., nnx.Module] | None = None,
  num_context: int = 0,
) -> Model:
  """Returns an argmax flow.

  Args:
    event: shape and number of classes K.
    encoder: network on categories for the noise q(u | x), or for Gumbel locations beside the learned table ("gumbel").
    density: p(v).
    inverse: "softplus" (Eq. 6-7), "gumbel" (Alg. 4: Gumbels conditioned on their argmax), or "gumbel_thresholding".
    base: M of the Cartesian product of digits; 0 = K, that is none, and 2 of a single category; 2 = bits.
    noise_base: distribution of the noise u (the logit of it, where it lies in (0, 1)), "normal" or "logistic"; with
      logistic logits thresholding by Gumbels begins as the inverse "gumbel". "gumbel" itself has uniform noise.
    posterior_flow: flow layers after that noise, or None.
    num_context: encoder features that condition them.

  Raises:
    InputError: unknown inverse or noise_base, base 1, or flow layers with "gumbel".
  """
  refuse_sizes(event, "an argmax flow")
  if inverse not in argmax.SURJECTIONS:
    raise InputError(f"inverse {inverse!r} is unknown; choose one of {', '.join(argmax.SURJECTIONS)}")
  conditioned = inverse == "gumbel"
  if conditioned and posterior_flow is not None:
    raise InputError("the inverse 'gumbel' has uniform noise; a flow over it is the inverse 'gumbel_thresholding'")
  base = base or max(event.num_classes, 2)
  noise = partial(Posterior, encoder=encoder, base=noise_base, flow=posterior_flow, num_context=num_context)
  make_surjection = partial(
    EventSurjection,
    event,
    argmax.SURJECTIONS[inverse],
    base=base,
    noise=partial(FixedNoise, draw=_log_uniform) if conditioned else noise,
    has_location=inverse != "softplus",
    location_encoder=encoder if conditioned else None,
  )
  unused = base ** digits.num_digits(event.num_classes, base) - event.num_classes
  return latent_flow(event, make_surjection, density, has_unused_codes=unused > 0)


def _log_uniform(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
  """Returns logarithms of uniforms: -exp(-g) of standard Gumbels g, exact at both ends."""
  return -jnp.exp(-jax.random.gumbel(key, shape, mode="high"))
