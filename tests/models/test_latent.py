"""q(v | x) as a function of v, at latents that q(v | x) itself hardly ever draws."""

import jax
import numpy as np
import pytest

from catgen.evaluation import event_probabilities
from catgen.interfaces import EventSpec, example_keys
from catgen.models import MODELS
from tests.contracts.families import batch_of, density, encoder, events_of, perturbed, posterior_flow

EVENT = EventSpec((2,), 3)
FLOWS = {
  "softplus": ("argmax_flow", {}),
  "gumbel": ("argmax_flow", {"inverse": "gumbel"}),
  "thresholding": ("argmax_flow", {"inverse": "gumbel_thresholding", "noise_base": "logistic"}),
  "posterior_flow": ("argmax_flow", {"base": 2, "make_posterior_flow": posterior_flow(), "num_context": 4}),
  "variational": ("dequantized_flow", {"noise": "variational"}),
}


@pytest.mark.parametrize("name", FLOWS)
def test_draws_of_either_side_give_one_probability(name):
  """Before any training p(v) and q(v | x) are far apart; their probabilities still add up to one."""
  kind, options = FLOWS[name]
  model = MODELS[kind](event=EVENT, make_encoder=encoder(), make_density=density("coupling"), **options)
  params, state = perturbed(model, 0.1)
  num_draws, events = 500, batch_of(np.repeat(events_of(EVENT), 500, axis=0))
  keys = example_keys(jax.random.key(1), events.index)
  weights = jax.jit(lambda *args: model.log_weight(*args, state=state))(params, events, keys)
  weights = np.asarray(weights, np.float64).reshape(-1, num_draws).T
  log_weights, meant = event_probabilities.draw_latents(model, params, state, jax.random.key(2), 20_000)
  found = event_probabilities.of_both_sides(weights, log_weights, meant)
  invalid = np.mean(meant < 0)
  error = np.sqrt((found.error**2).sum() + invalid * (1 - invalid) / len(meant))
  assert abs(found.p.sum() + invalid - 1) < 4 * error
  assert error < 0.02
