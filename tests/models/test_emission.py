"""Latent models with an emission: Bayes' rule in CategoricalNF, weights of terms in training, what is drawn, sets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from catgen.batches import batch_of
from catgen.flows.densities import DENSITIES
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.models.emission import ENCODINGS, WEIGHTINGS
from catgen.models.emission.model import LatentEmission
from catgen.networks import TRUNKS
from tests.parameters import drawn_by_numpy, filled

K, EVENT = 5, EventSpec((4,), 5)
RNG = np.random.default_rng(0)
X = RNG.integers(0, K, (6, 4)).astype(np.int32)
UNORDERED = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2, positions=False)
ENCODING = ENCODINGS["mixture"](num_channels=2, embedding_width=8, prior="frequencies")
DENSITY = DENSITIES["exchangeable"](num_layers=1, num_mixtures=2, conditioner=UNORDERED)

WEIGHTED = {
  "fading_emission": WEIGHTINGS["fading_emission"](half_life_steps=100),
  "kl_warmup": WEIGHTINGS["kl_warmup"](hold_steps=40, rise_steps=60, start=0.1),
}


class Aggregate(nnx.Module):
  """p(z) = the product over positions of sum_k pi_k q(z_i | k), read from the encoding itself."""

  def __init__(self, *sizes, rngs):
    self.encoding = nnx.data(None)

  def log_prob(self, z, conditions):
    own = self.encoding
    prior = jnp.zeros(K) if own.log_prior is None else own.log_prior[...]
    each = jax.nn.logsumexp(own.log_probs(z) + jax.nn.log_softmax(prior)[None, None], axis=-1)
    return jnp.where(conditions.valid, each, 0.0).sum(axis=1)


@pytest.mark.parametrize("prior", ["uniform", "frequencies"])
@pytest.mark.parametrize("kind", ["mixture", pytest.param("linear", marks=pytest.mark.slow)])
def test_where_p_z_is_the_aggregate_every_draw_of_the_bound_is_the_log_prior(kind, prior):
  encoding = ENCODINGS[kind](num_channels=2, embedding_width=8, prior=prior)
  with drawn_by_numpy():
    graph, state = nnx.split(nnx.eval_shape(lambda: LatentEmission(EVENT, encoding, Aggregate, rngs=nnx.Rngs(0))))
  valid = np.arange(4)[None] < np.array([4, 4, 3, 2, 1, 0])[:, None]

  @jax.jit
  def terms(state, batch):
    model = nnx.merge(graph, state)
    model.density.encoding = model.encoding
    return model.terms(batch, example_keys(jax.random.key(0), batch.index), train=False)

  state = filled(state, scale=2.0)
  found = terms(state, jax.device_put(batch_of(X, valid)))
  prior = nnx.to_pure_dict(state)["encoding"].get("log_prior", np.zeros(K))
  log_pi = prior.astype(np.float64) - np.log(np.exp(prior.astype(np.float64)).sum())
  np.testing.assert_allclose(sum(found.values()), (log_pi[X] * valid).sum(axis=1), rtol=1e-5, atol=2e-5)
  assert np.std(found["inference"]) > 0.1  # each term by itself is random


def test_the_law_of_a_category_is_a_shifted_and_scaled_logistic():
  """z = (noise + b) e^s, by SciPy in float64, and the logits are Bayes' rule on it."""
  recipe = ENCODINGS["mixture"](num_channels=2, embedding_width=8, prior="frequencies")
  with drawn_by_numpy():
    encoding = recipe(EVENT, rngs=nnx.Rngs(0))
  graph, state = nnx.split(encoding)
  state = filled(state, scale=2.0)
  weights = jax.tree.map(np.float64, nnx.to_pure_dict(state))
  table, affine = weights["embedding"]["embedding"], weights["layers"][0]
  b = table @ affine["shift"]["kernel"] + affine["shift"]["bias"]
  s = np.tanh(table @ affine["log_scale"]["kernel"] + affine["log_scale"]["bias"])
  z = RNG.normal(size=(3, 4, 2))
  law = scipy.stats.logistic(b * np.exp(s), np.exp(s) / 1.81)
  expected = law.logpdf(z[:, :, None]).sum(axis=-1)

  @jax.jit
  def found(state, z):
    own = nnx.merge(graph, state)
    return own.log_probs(z), own.logits(z, valid=None)

  log_probs, logits = found(state, np.float32(z))
  np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(logits, expected + weights["log_prior"], rtol=1e-4, atol=1e-4)


def test_the_prior_starts_at_the_frequencies_of_the_first_batch_each_counted_once_more():
  with drawn_by_numpy():
    encoding = ENCODING(EVENT, rngs=nnx.Rngs(0))
  valid = np.ones(X.shape, bool)
  valid[3:] = False
  encoding.initialize(jnp.asarray(X), valid=jnp.asarray(valid))
  counts = 1 + np.bincount(X[:3].ravel(), minlength=K)
  np.testing.assert_allclose(jax.nn.softmax(encoding.log_prior[...]), counts / counts.sum(), rtol=1e-5)


@functools.cache
def made(name=None):
  parts = {"encoding": ENCODING, "density": DENSITY, "weighting": WEIGHTED[name] if name else None}
  model = MODELS["latent_emission"].make(event=EVENT, **parts)
  shapes, state = jax.eval_shape(model.init, batch_of(X), jax.random.key(0))
  return model, filled(shapes), jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)


def weights_by_hand(name, updates):
  """Of the KL divergence and of the emission."""
  if name == "fading_emission":
    return 1.0, 1 + 0.5 ** (updates / 100)
  return 0.1 + 0.9 * min(1.0, max(0.0, (updates - 40) / 60)), 1.0


@pytest.mark.parametrize("name", WEIGHTED)
def test_training_weighs_the_terms_by_the_updates_and_nothing_that_is_reported(name):
  model, params, state = made(name)
  batch = jax.device_put(batch_of(X))
  keys = example_keys(jax.random.key(0), batch.index)
  bound = jax.jit(functools.partial(model.bound, train=True))
  for updates in (0, 40, 70, 1000):
    found = bound(params, batch, keys, state={"updates": np.int32(updates)})
    of_kl, of_emission = weights_by_hand(name, updates)
    terms = {name: np.float64(term) for name, term in found.terms.items()}
    expected = of_emission * terms["emission"] + of_kl * (terms["density"] + terms["inference"])
    np.testing.assert_allclose(found.objective, expected, rtol=1e-5)
    np.testing.assert_allclose(found.nats, sum(terms.values()), rtol=1e-5)
  assert jax.eval_shape(functools.partial(model.bound, train=False), params, batch, keys, state=state).objective is None
  for count in range(3):
    assert state["updates"] == count
    state = model.update_state(state, (), jnp.ones(6, bool))


def test_what_has_no_weighting_counts_nothing_and_trains_on_its_bound():
  model, params, state = made()
  assert (state, model.update_state) == ({}, None)
  batch = jax.device_put(batch_of(X))
  keys = example_keys(jax.random.key(0), batch.index)
  found = jax.eval_shape(functools.partial(model.bound, train=True), params, batch, keys, state=state)
  assert found.objective is None


def test_a_set_has_one_probability_in_any_order():
  model, params, state = made()
  order, v = np.array([2, 0, 3, 1]), RNG.normal(size=(6, 4, 2)).astype(np.float32)
  log_prob = jax.jit(functools.partial(model.latent.log_prob, state=state))
  np.testing.assert_allclose(log_prob(params, v[:, order]), log_prob(params, v), rtol=1e-5)
  assert np.abs(log_prob(params, v[:, :, ::-1].copy()) - log_prob(params, v)).max() > 1e-2


def test_categories_are_drawn_by_their_probabilities_given_the_latent():
  """The log-probabilities of what is drawn have the mean of the distributions; those of the most probable ones more."""
  model, params, state = made()

  @jax.jit
  def draws(params, keys):
    v, drawn = model.latent.sample(params, keys, state=state)
    batch = batch_of(drawn.x, drawn.valid, index=jnp.arange(len(keys)))
    every = jnp.broadcast_to(jnp.arange(K, dtype=jnp.int32)[:, None, None], (K, len(keys), 4))

    def of_first(x):  # of one position at a time, by hiding the others
      seen = jnp.zeros(x.shape, bool).at[:, 0].set(True)
      return model.latent.log_likelihood(params, batch._replace(x=x, valid=seen), v, state=state)

    return of_first(batch.x), jax.lax.map(of_first, every)

  log_p, log_probs = (np.float64(found) for found in draws(params, example_keys(jax.random.key(1), jnp.arange(4000))))
  probs = np.exp(log_probs)
  np.testing.assert_allclose(probs.sum(0), 1.0, rtol=1e-4)
  assert (probs.max(0) < 0.9).mean() > 0.3  # or a draw and the most probable one would be the same
  excess = log_p - (probs * log_probs).sum(0)
  assert abs(excess.mean()) < 4.5 * excess.std() / np.sqrt(len(excess))


def test_options_restrict_the_draws_of_categories():
  model, params, state = made()
  keys = example_keys(jax.random.key(1), jnp.arange(200))

  def drawn(**options):
    sample = functools.partial(model.sample, state=state, options=SampleOptions(**options))
    return np.asarray(jax.jit(sample)(params, keys).x)

  assert set(np.unique(drawn(forbid=(0, 2)))) == {1, 3, 4}
  with pytest.raises(InputError, match="num_steps, correction do not apply"):
    drawn(num_steps=3, correction=0.1)
  with pytest.raises(InputError, match="top_k is 9"):
    drawn(top_k=9)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: ENCODINGS["mixture"](prior="zipf")(EVENT, rngs=nnx.Rngs(0)), "prior 'zipf' of an encoding is unknown"),
    (lambda: ENCODINGS["linear"](num_layers=0)(EVENT, rngs=nnx.Rngs(0)), "must be at least 1"),
    (lambda: ENCODINGS["linear"](num_channels=1)(EVENT, rngs=nnx.Rngs(0)), "two latent channels"),
    (lambda: WEIGHTINGS["kl_warmup"](hold_steps=5, rise_steps=0)(), "KL weight starts at 1e-05"),
    (lambda: WEIGHTINGS["fading_emission"](half_life_steps=0)(), "half_life_steps is 0"),
    (
      lambda: DENSITIES["exchangeable"](conditioner=UNORDERED, base="cauchy")(2, (4,), rngs=nnx.Rngs(0)),
      "base 'cauchy'",
    ),
  ],
)
def test_mistakes_get_one_line(make, message):
  with drawn_by_numpy(), pytest.raises(InputError, match=message):
    make()
