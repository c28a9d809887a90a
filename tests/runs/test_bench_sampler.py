"""What each order of drawing costs and gives, of a model whose laws are written out."""

import json
import os
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import make_model
from catgen.evaluation import ngrams
from catgen.evaluation.enumeration import enumerate_events
from catgen.interfaces import InputError, SampleOptions, Samples
from catgen.media import media_of
from catgen.orders import Orders
from catgen.runs import bench_sampler as module
from catgen.runs import blocks
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
  record = SimpleNamespace(event=SOURCE.event, config=config, position="value", longest=None)
  media = media_of(SOURCE.event, SOURCE.codec, "value")
  return Run(
    mixture(D, K)._replace(orders=orders, sample=sample), {}, {}, record, media, str(tmp_path), 1, False, lambda: SOURCE
  )


def test_each_law_is_measured_exactly_and_its_samples_beside_counts(run, tmp_path):
  found = bench_sampler(run, max_examples=100, num_samples=400, positions_per_call=(2, 4), entropy_budget=(0.5,))
  rows = json.loads((tmp_path / "bench_sampler.json").read_text())
  assert rows == found.rows
  held_out, training, *rows = rows
  assert (held_out["name"], training["name"]) == ("held-out data", "training data")
  assert len(rows) == 2  # four positions a call are more than there are
  assert rows[0]["calls"] == 1
  assert rows[1]["calls"] == pytest.approx(1 + (SOURCE.splits["train"].examples(np.arange(100)).x[:, 0] == 0).mean())
  for picture in ("bench_sampler.png", "bench_sampler_samples.png"):
    assert (tmp_path / picture).stat().st_size > 1000
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
    entropy = -(p * nats).sum() / D / np.log(2)
    assert abs(row["own_bits"] - entropy) < 4 * row["own_bits_error"]
    assert abs(row["cross_entropy"] + (p * judged).sum() / D / np.log(2)) < 4 * row["cross_entropy_error"]
    frequencies = np.bincount(SOURCE.splits["train"].examples(np.arange(4096)).x @ [K, 1], minlength=K**D) / 4096
    assert row["total_variation"] == pytest.approx(np.abs(p - frequencies).sum() / 2, rel=1e-5)
  text = describe(found)
  assert "order one, positions_per_call 2 " in text
  assert "all 9 events beside their frequencies in 4,096 training examples" in text


def test_what_was_measured_before_is_not_measured_again(run, tmp_path, monkeypatch):
  first = bench_sampler(run, max_examples=9, num_samples=4, positions_per_call=(2,), entropy_budget=(0.5,))
  assert first.num_kept == 0
  measured, row, path = [], module._row, tmp_path / "bench_sampler.json"

  def counted(bench, law):
    measured.append(law.order)
    return row(bench, law)

  monkeypatch.setattr(module, "_row", counted)
  monkeypatch.setattr(module, "_draw", lambda *_: ())
  asked = {"max_examples": 9, "num_samples": 4, "positions_per_call": (2,), "entropy_budget": (0.2, 0.5)}
  found = bench_sampler(run, **asked)
  assert measured == ["entropy_budget"]
  assert found.num_kept == 2
  assert f"2 of the rows were measured before; remove {path}" in describe(found)
  assert [row for row in found.rows if row.get("entropy_budget") != 0.2] == first.rows
  assert json.loads(path.read_text()) == found.rows
  for change in ({"num_samples": 5}, {"max_examples": 8}, {"temperature": 0.5}):
    measured.clear()
    bench_sampler(run, **(asked | change))
    assert len(measured) == 3
  path.write_text("[{")  # damaged: all is measured anew
  for params in ({"w": np.ones(1)}, {}):
    measured.clear()
    bench_sampler(run._replace(params=params), **asked)
    assert len(measured) == 3


def test_a_row_that_is_not_reached_again_is_not_lost(run, tmp_path, monkeypatch):
  asked = {"max_examples": 9, "num_samples": 0, "positions_per_call": (2,)}
  first = bench_sampler(run, **asked, entropy_budget=(0.5,))
  row = module._row

  def stopped(bench, law):
    os.kill(os.getpid(), signal.SIGTERM)
    return row(bench, law)

  monkeypatch.setattr(module, "_row", stopped)
  found = bench_sampler(run, **asked, entropy_budget=(0.1, 0.2, 0.5))
  assert found.exit_code == 128 + signal.SIGTERM
  rows = json.loads((tmp_path / "bench_sampler.json").read_text())
  assert [row.get("entropy_budget") for row in rows] == [None, 0.1, 0.5]
  assert [rows[0], rows[2]] == first.rows


def test_what_cannot_be_measured_is_one_line(run):
  with pytest.raises(InputError, match="nothing to measure: give --positions_per_call"):
    bench_sampler(run, orders=("entropy_budget",), entropy_budget=())
  with pytest.raises(InputError, match="num_samples is -1"):
    bench_sampler(run, num_samples=-1)
  with pytest.raises(InputError, match="a model of kind 'mixture' without a mask has no orders"):
    bench_sampler(run._replace(model=mixture(D, K)))


MAP_ORDERS = ("margin", "blocks", "first_hitting", "steps")
MASKED = {"process": {"kind": "absorbing"}, "schedule": {"kind": "linear"}, "num_steps": 0}


@pytest.fixture
def masked_maps(map_run, here):
  """The run of maps with a masked model in continuous time that was not trained, whose records are ten maps."""
  config = {**map_run.record.config["model"], **MASKED}
  model = make_model(config, map_run.record.event)
  params, state = model.init(batch_of(np.zeros((2, *map_run.record.event.shape), np.int32)), jax.random.key(0))
  return here(map_run._replace(model=model, params=params, state=state))


@pytest.mark.slow
def test_maps_are_judged_and_pictured_by_every_way_of_drawing(masked_maps, tmp_path):
  found = bench_sampler(masked_maps, max_examples=2, num_samples=2, positions_per_call=(32,), orders=MAP_ORDERS)
  rows = {row["name"]: row for row in json.loads((tmp_path / "bench_sampler.json").read_text())}
  assert list(rows) == [
    "held-out data",
    "training data",
    "order margin, positions_per_call 32",
    f"order blocks, blocks {' '.join(map(str, rows_of(found, 'blocks')['blocks']))}",
    "order first_hitting, positions_per_call 1",
    "num_steps 2",
  ]
  assert [rows_of(found, way)["calls"] for way in ("margin", "blocks", "first_hitting", "steps")] == [2, 2, 64, 2]
  assert sum(rows_of(found, "blocks")["blocks"]) == 64
  for way in ("margin", "blocks", "first_hitting", "steps"):
    row = rows_of(found, way)
    assert ("bits" in row) == ("divergence" in row) == (way in ("margin", "blocks"))
    assert {"cross_entropy", "entropy", "pairs"} <= set(row)
    assert "words" not in row
  own = rows_of(found, "margin")
  assert own["own_bits"] + own["divergence"] == pytest.approx(own["cross_entropy"], rel=1e-4)
  same = blocks.of_order(masked_maps, "blocks", 1, 0.0, (), 2)
  assert list(same["blocks"]) == rows_of(found, "blocks")["blocks"]
  assert len(found.pictures) == 2
  assert "64 calls" not in describe(found)
  assert "bits under pixels given 4 neighbors" in describe(found)


@pytest.mark.parametrize(
  ("most", "together", "calls"), [(128, 3, 43), (4, 3, 64), (4, 4, 32), (4, 1, 128), (1, 1, 128)]
)
def test_a_call_draws_from_one_block_of_a_model_that_has_such(most, together, calls):
  model = SimpleNamespace(orders=Orders(("one",), (), most, log_prob, num_calls))
  bench = SimpleNamespace(run=SimpleNamespace(model=model, spread=None), examples=batch_of(np.zeros((1, 128), int)))
  assert module._calls(bench, SampleOptions(order="one", positions_per_call=together)) == calls


def test_numbers_of_calls_are_of_blocks(run):
  with pytest.raises(InputError, match="num_calls is of the order 'blocks' without --blocks"):
    blocks.of_order(run, "margin", 1, 0.0, (), 2)
  with pytest.raises(InputError, match="num_calls is of the order 'blocks' without --blocks"):
    blocks.of_order(run, "blocks", 1, 0.0, (1, 1), 2)
  with pytest.raises(InputError, match="this model draws in no blocks"):
    blocks.of_order(run, "blocks", 1, 0.0, (), 2)
  assert blocks.of_order(run, "blocks", 1, 0.0, (1, 1), None)["blocks"] == (1, 1)


def rows_of(found, way):
  (row,) = (row for row in found.rows if row.get("way") == way)
  return row


@pytest.mark.slow  # the pictures of one are drawn above
def test_two_runs_are_in_one_picture(run, tmp_path, monkeypatch):
  other, drawn = run._replace(workdir=str(tmp_path / "other")), []
  monkeypatch.setattr(module, "load", lambda workdir: other)
  draw = module.sampler_chart.bits_and_calls
  monkeypatch.setattr(
    module.sampler_chart, "bits_and_calls", lambda panels, path: (drawn.extend(panels), draw(panels, path))
  )
  found = bench_sampler(run, beside=("other",), positions_per_call=(1, 2), max_examples=20, num_samples=3)
  one, two = drawn
  assert two.title == "other: "
  assert one.curves == two.curves
  assert [calls for calls, *_ in one.curves["one"]] == [2, 1]
  assert next(iter(one.samples)) == "one, 1 calls"  # the nearest to half a call, as of four positions together
  assert all(isinstance(sample, str) for sample in one.samples.values())
  assert describe(found).count("bits per value") == 2
  assert len(found.pictures) == 3
  assert all((tmp_path / name).stat().st_size > 1000 for name in ("bench_sampler.png", "bench_sampler_samples_2.png"))
  with pytest.raises(InputError, match="beside names a run that is measured anyway"):
    bench_sampler(run, beside=("other", "other"))
