"""Scores, samples, completions and corrections with labels and without, of a model with a distribution for each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import infilling, results, samples, spelling
from catgen.evaluation.likelihood import evaluate
from catgen.interfaces import Denoised, EventSpec, Infill, InputError, Model, Samples
from catgen.sources import Codec, DataSource
from tests.evaluation.mixtures import walk

EVENT = EventSpec((3,), 4, (2,))
TABLE = jnp.log(jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(4), 3), jnp.float32))  # labels 0, 1, not given
X = np.random.default_rng(1).integers(0, 4, (10, 3)).astype(np.int32)
GIVEN = np.array([[0], [1], [2], [1], [0], [2], [1], [1], [0], [0]])
KEY = jax.random.key(0)


def rows(given, number):
  given = jnp.full((number, 1), 2) if given is None else given
  return TABLE[given[:, 0]]


def log_prob(params, batch, *, state):
  each = jnp.take_along_axis(rows(batch.given, len(batch.x)), batch.x, axis=1)
  return jnp.where(batch.valid, each, 0.0).sum(axis=1)


def sample(params, keys, *, given=None, state, options):
  x = jax.vmap(lambda key, row: jax.random.categorical(key, row, shape=(3,)))(keys, rows(given, len(keys)))
  return Samples(x, jnp.ones(x.shape, bool))


def draw(params, x, observed, keys, *, given=None, state, options):
  drawn = sample(params, keys, given=given, state=state, options=options)
  return drawn._replace(x=jnp.where(observed, x, drawn.x))


def denoise(params, x, valid, noise_level, *, given=None, state):
  log_probs = jnp.broadcast_to(rows(given, len(x))[:, None], (*x.shape, 4))
  return Denoised(log_probs, log_probs)


def refuse(*arguments, **keywords):
  raise AssertionError("not needed here")


MODEL = Model(
  EVENT, refuse, refuse, sample, log_prob=log_prob, denoise=denoise, infill=Infill(draw, True, "independent positions")
)


def labelled(batch_size):
  for batch in walk(X, np.ones(X.shape, bool), batch_size):
    yield batch._replace(given=GIVEN[np.minimum(batch.index, len(X) - 1)])


def expected(given):
  return np.take_along_axis(np.asarray(TABLE)[given[:, 0]], X, axis=1).sum(axis=1)


@pytest.mark.parametrize(("given", "labels"), [("data", GIVEN), ("none", np.full((10, 1), 2))])
def test_scores_are_conditional_or_not(given, labels):
  found = evaluate(MODEL, {}, {}, labelled(4), key=KEY, given=given)
  np.testing.assert_allclose(found.nats[0], expected(labels), rtol=1e-5)
  assert found.given == given


def test_records_say_what_was_given_and_stand_side_by_side(tmp_path):
  source = DataSource(EVENT, {}, Codec(list, list, {}), "character", 1.0, "feed" * 16, "labelled")
  likelihoods = [evaluate(MODEL, {}, {}, labelled(4), key=KEY, given=given) for given in ("data", "none")]
  records = [
    results.likelihood_record(likelihood, source, split="test", step=1, ema=False, config={})
    for likelihood in likelihoods
  ]
  assert [record["given"] for record in records] == ["data", "none"]
  results.add_results(tmp_path, *records)
  results.add_results(tmp_path, records[0])
  assert len(results.read_results(tmp_path)) == 2
  assert len({results.scores_path(tmp_path, record) for record in records}) == 2
  plain = evaluate(MODEL._replace(event=EVENT._replace(given=())), {}, {}, labelled(4), key=KEY)
  np.testing.assert_allclose(plain.nats[0], expected(np.full((10, 1), 2)), rtol=1e-5)  # a model without labels has none
  assert "given" not in results.likelihood_record(plain, source, split="test", step=1, ema=False, config={})


def test_what_is_given_has_two_words():
  with pytest.raises(InputError, match="given is 'all'; it must be"):
    evaluate(MODEL, {}, {}, labelled(4), key=KEY, given="all")


@pytest.mark.parametrize("given", [None, [0], [1], [2]])
@pytest.mark.parametrize("batch_size", [5000, 3000])
def test_samples_follow_the_distribution_of_their_label(given, batch_size):
  labels = None if given is None else np.array(given)
  drawn = samples.generate(MODEL, {}, {}, num_samples=5000, batch_size=batch_size, key=KEY, given=labels)
  shares = np.bincount(np.asarray(drawn.x).ravel(), minlength=4) / drawn.x.size
  p = np.exp(np.asarray(TABLE)[2 if given is None else given[0]])
  assert np.all(np.abs(shares - p) < 4.5 * np.sqrt(p * (1 - p) / drawn.x.size))


def test_each_sample_may_have_its_own_label():
  drawn = samples.generate(MODEL, {}, {}, num_samples=10, batch_size=4, key=KEY, given=GIVEN)
  for label in range(3):
    alone = samples.generate(MODEL, {}, {}, num_samples=10, batch_size=4, key=KEY, given=np.array([label]))
    own = GIVEN[:, 0] == label
    np.testing.assert_array_equal(np.asarray(drawn.x)[own], np.asarray(alone.x)[own])


def test_completions_follow_the_label():
  x, observed = np.array([3, 0, 0], np.int32), np.array([True, False, False])
  first, second = (
    np.asarray(infilling.infill(MODEL, {}, {}, x, observed, key=KEY, num_samples=4000, given=np.array([label])).x)
    for label in (0, 1)
  )
  for found, label in ((first, 0), (second, 1)):
    assert (found[:, 0] == 3).all()
    np.testing.assert_allclose(np.bincount(found[:, 1:].ravel(), minlength=4) / 8000, np.exp(TABLE[label]), atol=0.03)


def test_corrections_read_the_labels_of_what_was_typed():
  typed = batch_of(X, given=GIVEN)
  found = spelling.correct(MODEL, {}, {}, typed, 0.2)
  np.testing.assert_array_equal(found.x, np.repeat(np.asarray(TABLE).argmax(axis=1)[GIVEN], 3, axis=1))


@pytest.mark.parametrize("given", [[3], [0, 0]])
def test_labels_that_do_not_fit_are_refused(given):
  with pytest.raises(InputError, match="label"):
    samples.generate(MODEL, {}, {}, num_samples=2, batch_size=2, key=KEY, given=np.array(given))
