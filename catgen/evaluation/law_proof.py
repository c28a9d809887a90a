"""Claims about samples by options, temperature, fewer moves, self-correction and guidance, whose law is enumerated."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from catgen.evaluation import claims as stating
from catgen.evaluation import event_probabilities, exact_laws
from catgen.evaluation.claims import Claim
from catgen.evaluation.enumeration import Space
from catgen.evaluation.event_probabilities import mean
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import named, stated

_PLAIN = SampleOptions()
_GUIDED_MOVES = 8
_ROUNDED = 1e-3  # share of samples that rounding may change
_BOUNDED = ("num_steps", "correction")  # what `Model.full_bound` honours


class Lawful(NamedTuple):
  """What holds of samples by options, by labels, and what is left open, in lines."""

  claims: list[list[Claim]]
  notes: list[str]


def prove_options(space: Space, options: SampleOptions, *, key: Array, num_draws: int) -> Lawful:
  """Shows that samples by options follow the law that is found by enumeration, and that its bound is one.

  The law is that of `exact_laws`, which knows the network's predictions and the noise, and no sampler. The bound is
  `Model.full_bound` of such moves, where one is known; it must lie below the logarithm of this law, not of p(x).

  Args:
    space: the model and the labels to draw by.
    options: without an order.
    key: all randomness.
    num_draws: of the bound, for each event.
  """
  name = name_of(options)
  try:
    counts = space.counted(key, options)
    laws = exact_laws.of_options(space.model, space.params, space.state, options, space.labels)
  except InputError as error:
    return Lawful([[] for _ in range(space.num_labels)], [f"not covered: samples with {name}: {error}"])
  truths = list(map(event_probabilities.of_law, laws))
  found = [
    [stating.frequencies_agree(truth, drawn, space.num_samples)._replace(name=f"{name}: samples follow its exact law")]
    for truth, drawn in zip(truths, counts, strict=True)
  ]
  if options.guidance != 1:
    return Lawful(found, [])
  full_bound, notes = space.model.full_bound, []
  changed = [field for field in SampleOptions._fields if getattr(options, field) != getattr(_PLAIN, field)]
  if full_bound is None or not set(changed) <= set(_BOUNDED):
    notes.append(f"not covered: a bound of samples with {name}: none is known")
    return Lawful(found, notes)
  draws = space.drawn_of(lambda p, b, k, s: full_bound(p, b, k, state=s, options=options)[0].nats, num_draws)
  nats = draws(jax.random.fold_in(key, 1))
  for place, (claims, truth) in enumerate(zip(found, truths, strict=True)):
    told = stating.elbo_claims(mean(nats[:, place]), truth)
    claims += [claim._replace(name=f"{name}: {claim.name.replace('p(x)', 'its law')}") for claim in told]
  return Lawful(found, notes)


def prove_guidance(space: Space, *, key: Array) -> Lawful:
  """Shows that guided samples follow their exact law, and that guidance 1 and 0 are what they are called.

  Guidance 1 + 1e-6, which takes the way of two network calls, must draw what no guidance draws, by the same keys, and
  guidance 0 what is drawn without labels.

  Args:
    space: a model that was trained without labels too, and the labels to draw by, "not given" not among them.
    key: all randomness.
  """
  steps = SampleOptions(num_steps=None if space.model.reverse is None else _GUIDED_MOVES)
  lawful = prove_options(space, steps._replace(guidance=2.0), key=key, num_draws=0)
  if not lawful.claims[0]:
    return lawful
  plain, one = (space.counted(key, steps._replace(guidance=guidance)) for guidance in (1.0, 1.0 + 1e-6))
  none = space._replace(labels=None).counted(key, steps)
  assert space.labels is not None
  nothing = space._replace(labels=space.labels[:1]).counted(key, steps._replace(guidance=0.0))
  claims = [
    [*own, _same("guidance 1 draws as without guidance", *both)]
    for own, *both in zip(lawful.claims, plain, one, strict=True)
  ]
  claims[0].append(_same("guidance 0 draws as without labels", none[0], nothing[0]))
  return Lawful(claims, [])


def _same(name: str, counts: np.ndarray, others: np.ndarray) -> Claim:
  changed = float(np.abs(counts - others).sum()) / 2 / max(1, int(counts.sum()))
  return Claim(name, changed <= _ROUNDED, f"the counts differ by {changed:.2%} of the samples")


def name_of(options: SampleOptions) -> str:
  """Returns how the options are called."""
  guided = [f"guidance {options.guidance:g}"] if options.guidance != 1 else []
  return ", ".join([*guided, *filter(None, [named(stated(options))])]) or "no options"
