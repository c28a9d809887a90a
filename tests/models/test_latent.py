"""q(v | x) as a function of v, at latents that q(v | x) itself hardly ever draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import event_probabilities
from catgen.evaluation.proof import prove
from catgen.flows.densities import DENSITIES, POSTERIOR_FLOWS
from catgen.interfaces import EventSpec, InputError
from catgen.keys import example_keys
from catgen.models import MODELS
from tests.contracts.making import events_of, initial
from tests.contracts.parts import encoder

EVENT = EventSpec((2,), 3)
ONE = EventSpec((1,), 3)  # of more positions few latents lie in boxes
AFFINE = {"num_layers": 2, "num_mixtures": 0, "conditioner": encoder()}
DENSITY = DENSITIES["coupling"](**AFFINE)  # the simplest there is: q is under test
POSTERIOR_FLOW = POSTERIOR_FLOWS["coupling"](**{**AFFINE, "num_mixtures": 2})
FLOWS = {
  "gumbel": ("argmax_flow", EVENT, {"inverse": "gumbel"}),
  "posterior_flow": ("argmax_flow", EVENT, {"base": 2, "posterior_flow": POSTERIOR_FLOW, "num_context": 4}),
  "variational": ("dequantized_flow", ONE, {"noise": "variational"}),
}


def bits():
  """Returns a small flow of two bits a position, before any training."""
  options = {"base": 2, "inverse": "gumbel", "encoder": encoder("none"), "density": DENSITY}
  model = MODELS["argmax_flow"].make(event=EVENT, **options)
  return model, *initial(model, scale=0.3)


@pytest.mark.parametrize(
  "name", ["gumbel", *(pytest.param(name, marks=pytest.mark.slow) for name in ("variational", "posterior_flow"))]
)
def test_draws_of_either_side_give_one_probability(name):
  """Before any training p(v) and q(v | x) are far apart; their probabilities still add up to one."""
  family, event, options = FLOWS[name]
  model = MODELS[family].make(event=event, encoder=encoder(), density=DENSITY, **options)
  params, state = initial(model, scale=0.3)
  num_draws, events = 1000, batch_of(np.repeat(events_of(event), 1000, axis=0))

  def log_weight(params, events):
    return model.log_weight(params, events, example_keys(jax.random.key(1), events.index), state=state)

  weights = jax.jit(log_weight)(params, events)
  weights = np.asarray(weights, np.float64).reshape(-1, num_draws).T
  latents, meant = event_probabilities.draw_latents(model, params, state, jax.random.key(2), 1000)
  invalid = np.mean(meant < 0)
  assert np.mean(meant >= 0) > 0.03

  def total(offset):
    """Returns the sum and its standard error, where log p(v) is too large by the offset."""
    found = event_probabilities.of_both_sides(weights + offset, latents + offset, meant)
    return found.p.sum() + invalid, np.sqrt((found.error**2).sum() + invalid * (1 - invalid) / len(meant)), found

  found, error, estimate = total(0.0)
  assert abs(found - 1) < 4 * error
  assert error < 0.05
  change = (total(0.01)[0] - total(-0.01)[0]) / 0.02
  np.testing.assert_allclose(estimate.sensitivity, change, rtol=1e-3)


def test_positions_that_are_context_only_are_refused():
  model, params, state = bits()
  events, latent = events_of(EVENT), model.latent
  batch = jax.device_put(batch_of(events)._replace(scored=np.zeros(events.shape, bool)))
  keys = example_keys(jax.random.key(0), batch.index)
  v = jnp.zeros((*batch.x.shape, 2))
  for function, arguments in (
    (model.bound, (batch, keys)),
    (model.log_weight, (batch, keys)),
    (latent.infer, (batch, keys)),
    (latent.log_q, (batch, v)),
    (latent.log_likelihood, (batch, v)),
  ):
    train = {"train": False} if function is model.bound else {}
    with pytest.raises(InputError, match="a flow scores whole examples"):
      function(params, *arguments, state=state, **train)


@pytest.mark.slow  # as weights that are off in tests/evaluation/test_proof.py
def test_a_density_that_is_off_is_found():
  model, params, state = bits()

  def log_prob(params, v, *, state, given=None):
    return model.latent.log_prob(params, v, given=given, state=state) + 0.2

  def log_weight(params, batch, keys, *, state):
    return model.log_weight(params, batch, keys, state=state) + 0.2

  wrong = model._replace(log_weight=log_weight, latent=model.latent._replace(log_prob=log_prob))
  claims = prove(wrong, params, state, key=jax.random.key(0), num_samples=1000)
  assert {claim.name: claim.passed for claim in claims}["probabilities sum to one"] is False
