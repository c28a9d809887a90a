"""Laws by enumeration beside those of tests/contracts/exact.py, which has them from the definitions alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from catgen.distributions import categorical
from catgen.evaluation import exact_laws
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.models import MODELS
from catgen.orders import Sequential
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts import exact
from tests.contracts.parts import transformer
from tests.evaluation.lookups import NETWORK, K, T, model_of, said

CASES = {
  "absorbing": ("absorbing", T, 0.0, {}),
  "absorbing, corrected": ("absorbing", T, 0.7, {}),
  "uniform, corrected": ("uniform", T, 0.7, {}),
  "uniform, literal": ("uniform", T, 0.0, {"last_step": "literal"}),
  "prior, continuous": ("prior", 0, 0.4, {}),
  "hybrid, corrected": ("hybrid", T, 0.4, {}),
  "kernel, continuous": ("kernel", 0, 0.0, {}),
}


# Of chains with and without a correction and a literal last step, in discrete and in continuous time one each.
LIKE_OTHERS = ("absorbing", "prior, continuous", "hybrid, corrected")


@pytest.mark.parametrize(
  "case",
  [pytest.param(case, id=name, marks=pytest.mark.slow if name in LIKE_OTHERS else ()) for name, case in CASES.items()],
)
def test_laws_of_chains_are_products_of_matrices(case):
  process, num_steps, correction, options = case
  kept = SCHEDULES["linear"].make().table(T).keep

  def predict(states, t):
    logits = said(states, (t - 1) / T if num_steps else t / T, np)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)

  expected = exact.diffusion(process, K, 2, kept, predict, bool(options), correction)
  asked = SampleOptions(num_steps=T, correction=correction)
  [law] = exact_laws.of_options(model_of(process, num_steps, **options), {}, {}, asked)
  np.testing.assert_allclose(law, expected, atol=2e-5)


def test_learned_rates_have_their_law():
  model = MODELS["learned_masking"].make(event=EventSpec((2,), K), network=NETWORK)
  model = model.reverse.with_predictions(lambda x_t, time, given: said(x_t, time[:, None, None], jnp))
  params = {"rates": np.float32([-0.2, 0.5, 1.2])}
  rates = np.log1p(np.exp(np.float64(params["rates"])))
  rates = np.broadcast_to(rates / rates.min(), (2, K))
  times = np.arange(T + 1) / T

  def predict(states, move):  # with what a mask says by itself, by the clock of the smallest rate
    return said(states, times[move], np) + rates[0] * np.log(times[move])

  [law] = exact_laws.of_options(model, params, {}, SampleOptions(num_steps=T))
  np.testing.assert_allclose(law, exact.rated(rates, times, predict), atol=2e-5)


@pytest.mark.parametrize(
  "process", ["absorbing", *(pytest.param(name, marks=pytest.mark.slow) for name in ("uniform", "hybrid"))]
)
def test_a_single_position_has_its_restricted_prediction(process):
  """After any number of moves, where the best prediction is the same at all times; with a correction too."""
  event = EventSpec((1,), K)
  parts = {"process": PROCESSES[process](), "schedule": SCHEDULES["linear"](), "network": NETWORK, "num_steps": T}
  reverse = MODELS["diffusion"].make(event=event, **parts).reverse
  log_p = np.log(np.float32([0.5, 0.3, 0.2]))
  model = reverse.with_predictions(lambda x_t, time, given: jnp.broadcast_to(log_p, (*x_t.shape, K)))
  for options in (SampleOptions(), SampleOptions(num_steps=2, correction=0.6)):
    np.testing.assert_allclose(exact_laws.of_options(model, {}, {}, options)[0], np.exp(log_p), atol=2e-6)
  if process == "absorbing":
    cold = SampleOptions(temperature=0.5, forbid=(2,))
    expected = np.array([25.0, 9.0, 0.0]) / 34
    np.testing.assert_allclose(exact_laws.of_options(model, {}, {}, cold)[0], expected, atol=2e-6)


def read_from_left_to_right(first, second):
  """Returns a model of two positions: p(x1 | y) [labels, K] and p(x2 | x1, y) [labels, K, K]; the last label: none."""

  def start(params, observed, *, given=None, state):
    labels = jnp.full(len(observed), len(first) - 1) if given is None else given[:, 0]
    return labels, jnp.zeros(len(observed), int)

  def log_probs(params, carry, position):
    labels, before = carry
    return jnp.log(jnp.asarray(first)[labels] if position == 0 else jnp.asarray(second)[labels, before]), carry

  def observe(carry, position, x):
    return carry[0], x

  plain = MODELS["autoregressive"].make(event=EventSpec((2,), K), network=transformer())
  return plain._replace(sequential=Sequential(start, log_probs, observe))


@pytest.mark.parametrize(
  "options", [SampleOptions(), SampleOptions(temperature=0.6, forbid=(1,)), SampleOptions(guidance=2.0)]
)
def test_what_is_read_position_by_position_has_the_product_of_its_predictions(options):
  rng = np.random.default_rng(0)
  first, second = rng.dirichlet(np.ones(K), size=3), rng.dirichlet(np.ones(K), size=(3, K))

  def drawn(p, none):
    powered = p**options.guidance * none ** (1 - options.guidance)
    powered = powered ** (1 / options.temperature)
    powered[..., list(options.forbid)] = 0.0
    return powered / powered.sum(-1, keepdims=True)

  laws = exact_laws.of_options(read_from_left_to_right(first, second), {}, {}, options, np.array([[0], [1]]))
  for label, law in enumerate(laws):
    one, other = drawn(first[label], first[2]), drawn(second[label], second[2])
    np.testing.assert_allclose(law, (one[:, None] * other).reshape(-1), rtol=1e-5, atol=1e-9)


def test_a_model_whose_own_order_is_random_is_not_read_from_left_to_right():
  model = MODELS["block_diffusion"].make(event=EventSpec((2,), K), network=transformer(), block_length=2)
  with pytest.raises(InputError, match="no law of such samples is known"):
    exact_laws.of_options(model, {}, {}, SampleOptions())


RESTRICTIONS = {
  "cold": SampleOptions(temperature=0.4),
  "greedy": SampleOptions(temperature=0.0, forbid=(1,)),
  "most probable": SampleOptions(top_k=2, temperature=1.5),
  "nucleus": SampleOptions(top_p=0.6, forbid=(0, 3)),
  "all": SampleOptions(temperature=0.8, top_k=3, top_p=0.7, forbid=(4,)),
}


@pytest.mark.parametrize("options", RESTRICTIONS.values(), ids=RESTRICTIONS)
def test_restrictions_are_those_of_samples(options):
  p = np.random.default_rng(1).dirichlet(np.ones(6), size=200)
  logits = np.asarray(categorical.restrict(jnp.log(p), options), np.float64)
  expected = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
  np.testing.assert_allclose(exact_laws.restricted(p, options), expected, atol=1e-5)


def test_a_space_with_too_many_states_is_named():
  with pytest.raises(InputError, match=r"4\^6 states are too many to enumerate: at most 1296 are"):
    exact_laws.of_options(model_of("absorbing", T, size=6), {}, {}, SampleOptions())
