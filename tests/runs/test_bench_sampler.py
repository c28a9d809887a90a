"""What each order of drawing costs and gives, of a model whose laws are written out."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.evaluation import ngrams
from catgen.evaluation.enumeration import enumerate_events
from catgen.interfaces import InputError, Samples
from catgen.media import media_of
from catgen.orders import Orders
from catgen.runs.bench_sampler import bench_sampler, describe
from catgen.runs.check import made_up_source
from catgen.runs.load import Run
from tests.evaluation.mixtures import mixture

K, D = 3, 2
SOURCE = made_up_source((D,), K, seed=0)
LOGITS = np.random.default_rng(0).normal(size=K**D).astype(np.float32)


def log_probs(options):
  """log p of all events: colder, and flatter where more are drawn together."""
  return jax.nn.log_softmax(LOGITS / options.temperature / options.positions_per_call)


def log_prob(params, batch, *, state, options):
  return log_probs(options)[jnp.asarray(batch.x) @ jnp.array([K, 1])]


def num_calls(params, batch, *, state, options):
  return 1 + (jnp.asarray(batch.x)[:, 0] == 0)


def sample(params, keys, *, given, state, options):
  events = jax.vmap(lambda key: jax.random.categorical(key, log_probs(options)))(keys)
  x = jnp.stack([events // K, events % K], axis=1)
  return Samples(x, jnp.ones(x.shape, bool))


@pytest.fixture
def run(tmp_path):
  orders = Orders(("one", "entropy_budget"), (), D, log_prob, num_calls)
  config = {"evaluation": {"split": "train", "batch_size": 64}, "model": {"kind": "mixture"}}
  record = SimpleNamespace(event=SOURCE.event, config=config, position="value")
  media = media_of(SOURCE.event, SOURCE.codec, "value")
  return Run(
    mixture(D, K)._replace(orders=orders, sample=sample), {}, {}, record, media, str(tmp_path), 1, False, lambda: SOURCE
  )


def test_each_law_is_measured_exactly_and_its_samples_beside_counts(run, tmp_path):
  found = bench_sampler(run, max_examples=100, num_samples=400, positions_per_call=(2, 4), entropy_budget=(0.5,))
  rows = json.loads((tmp_path / "bench_sampler.json").read_text())
  assert rows == found.rows
  assert len(rows) == 2  # four positions a call are more than there are
  assert rows[0]["calls"] == 1
  assert rows[1]["calls"] == pytest.approx(1 + (SOURCE.splits["train"].examples(np.arange(100)).x[:, 0] == 0).mean())
  assert (tmp_path / "bench_sampler.png").stat().st_size > 1000
  events = enumerate_events(run.model)
  rows_of = ngrams.training_rows(SOURCE.splits["train"])
  judged = ngrams.log_prob(ngrams.fit(rows_of, order=5, num_classes=K), events, order=5).sum(axis=1)
  for number, row in zip((2, 1), rows, strict=True):
    nats = np.asarray(jax.nn.log_softmax(LOGITS / number), np.float64)
    p, scored = np.exp(nats), SOURCE.splits["train"].examples(np.arange(100)).x @ [K, 1]
    assert row["bits"] == pytest.approx(-nats[scored].mean() / D / np.log(2), rel=1e-5)
    kl = (p * (nats - judged)).sum() / D / np.log(2)
    assert abs(row["divergence"] - kl) < 4 * row["divergence_error"]
    assert row["divergence_error"] < 0.1
    frequencies = np.bincount(SOURCE.splits["train"].examples(np.arange(4096)).x @ [K, 1], minlength=K**D) / 4096
    assert row["total_variation"] == pytest.approx(np.abs(p - frequencies).sum() / 2, rel=1e-5)
  text = describe(found)
  assert "order one, positions_per_call 2 " in text
  assert "all 9 events beside their frequencies in 4,096 training examples" in text


def test_what_cannot_be_measured_is_one_line(run):
  with pytest.raises(InputError, match="nothing to measure: give --positions_per_call"):
    bench_sampler(run, orders=("entropy_budget",), entropy_budget=())
  with pytest.raises(InputError, match="num_samples is -1"):
    bench_sampler(run, num_samples=-1)
  with pytest.raises(InputError, match="a model of kind 'mixture' without a mask has no orders"):
    bench_sampler(run._replace(model=mixture(D, K)))
