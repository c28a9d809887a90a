"""Dequantized flows: x from the box in which v = onehot(x) + noise lies, the baseline of argmax flows.

Support: p(v) is a flow on all of R^C, C = K (or d M with digits), while data fill only the boxes onehot + [0, 1)^C.
What p(v) puts elsewhere is P(invalid), large before training and never zero; the bound is one on P(x) all the same.
Reference: arXiv:2102.05379, sections 2 and 5; Theis et al. (2016), Ho et al. (2019).
"""

from collections.abc import Callable
from functools import partial

import jax
from flax import nnx

from catgen.events import refuse_sizes
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Recipe
from catgen.models.flow.latent import latent_flow
from catgen.models.flow.posterior import FixedNoise, Posterior
from catgen.models.flow.surjection import EventSurjection
from catgen.surjections import rounding


def dequantized_flow(
  event: EventSpec,
  *,
  density: Callable[..., nnx.Module],
  encoder: Recipe | None = None,
  noise: str = "uniform",
  base: int = 0,
  noise_base: str = "logistic",
  posterior_flow: Callable[..., nnx.Module] | None = None,
  num_context: int = 0,
) -> Model:
  """Returns a flow on one-hot data with dequantization noise.

  Args:
    event: shape and number of classes K.
    density: p(v).
    encoder: network on categories for variational noise; unused with uniform noise.
    noise: "uniform" on [0, 1)^C, or "variational": the sigmoid of a learned q(u | x).
    base: M of the digits that are made one-hot; 0 = K, that is the category itself, and 2 of a single one.
    noise_base: distribution of the logits of variational noise. "logistic" begins as uniform noise, and its weights
      have a variance as long as its scale exceeds 1/2; with "normal" they have none, since q(v | x) falls to 0 at the
      faces of a box, where p(v) does not.
    posterior_flow: flow layers after variational noise, or None.
    num_context: encoder features that condition them.

  Raises:
    InputError: unknown noise or noise_base, variational noise without an encoder, or uniform noise with flow layers.

  Reference: Theis et al. (2016) for uniform, Ho et al. (2019) for variational noise.
  """
  refuse_sizes(event, "a dequantized flow")
  if noise not in rounding.SURJECTIONS:
    raise InputError(f"noise {noise!r} is unknown; choose {' or '.join(rounding.SURJECTIONS)}")
  if noise == "uniform":
    if posterior_flow is not None:
      raise InputError(
        "uniform noise has no posterior flow; set config.model.noise to variational or leave the flow out"
      )
    make_noise: Callable = partial(FixedNoise, draw=jax.random.uniform)
  elif encoder is None:
    raise InputError("variational noise needs an encoder; set config.model.encoder")
  else:
    make_noise = partial(Posterior, encoder=encoder, base=noise_base, flow=posterior_flow, num_context=num_context)
  make_surjection = partial(
    EventSurjection, event, rounding.SURJECTIONS[noise], base=base or max(event.num_classes, 2), noise=make_noise
  )
  return latent_flow(event, make_surjection, density, has_unused_codes=True)
