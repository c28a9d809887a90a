"""Tables at their limits: one column, a constant one, a thousand of two categories, one of fifty thousand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts.parts import transformer

SHAPES = {
  "one column": (5,),
  "a constant column": (3, 1, 2),
  "a thousand columns of two": (2,) * 1000,
  "a column of fifty thousand": (2, 50_000, 3),
}
MASKED = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"](), "num_steps": 4}
FAMILIES = {"autoregressive": ("autoregressive", {}), "masked": ("diffusion", MASKED)}


@pytest.mark.slow
@pytest.mark.parametrize("table", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_learned_costs_the_logarithms_of_sizes_and_samples_have_categories_of_their_columns(family, table):
  sizes = SHAPES[table]
  kind, options = FAMILIES[family]
  model = MODELS[kind].make(event=EventSpec((len(sizes),), max(sizes), sizes=sizes), network=transformer(), **options)
  rng = np.random.default_rng(0)
  batch = jax.device_put(batch_of(rng.integers(0, np.array(sizes), (8, len(sizes))).astype(np.int32)))
  params, state = jax.jit(model.init)(batch, jax.random.key(0))
  keys = example_keys(jax.random.key(1), jnp.arange(8))
  nothing = jax.tree.map(jnp.zeros_like, params)
  measure = (
    model.log_prob if family == "autoregressive" else lambda *args, **how: model.full_bound(*args, **how)[0].nats
  )
  given = (batch,) if family == "autoregressive" else (batch, keys)
  nats = np.asarray(jax.jit(lambda params: measure(params, *given, state=state))(nothing))
  expected = -np.log(np.float64(sizes)).sum()
  if family == "autoregressive":
    np.testing.assert_allclose(nats, expected, rtol=1e-5)
  else:  # a random number of masks is counted at each step
    assert abs(nats.mean() - expected) < 4.5 * nats.std() / np.sqrt(8) + 1e-3 * abs(expected)
  drawn = np.asarray(jax.jit(lambda params: model.sample(params, keys, state=state, options=SampleOptions()).x)(params))
  assert drawn.shape == (8, len(sizes))
  assert (drawn >= 0).all()
  assert (drawn < np.array(sizes)).all()
