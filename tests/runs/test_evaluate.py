"""Evaluation writes what it measured, and follows a running job."""

import math
import re
from collections import Counter
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from catgen import bounds
from catgen.evaluation import comparison, results
from catgen.interfaces import Bound, InputError
from catgen.reporting.progress import Progress, no_progress
from catgen.runs import evaluate, watch
from catgen.runs.experiment import first_examples
from catgen.runs.partial import unfinished
from catgen.runs.score import score
from catgen.training.restoring import Unreadable
from tests.runs.test_train import shown
from tests.tiny_run import quiet


def test_evaluation_writes_what_it_measured(text_run, here, tmp_path):
  run = here(text_run)
  for estimator in (None, "full", "iwbo"):
    found = evaluate.evaluate(run, estimator=estimator, num_draws=2, max_examples=32, num_replicates=2)
    assert found.result["unit"] == "bits per character"
    assert found.result["monte_carlo_error"] > 0
    assert found.result["step"] == 30
    assert found.result["value"] == pytest.approx(found.likelihood.estimate.bits)
  stored = results.read_results(tmp_path)
  assert [record["estimator"] for record in stored] == ["elbo", "full", "iwbo"]
  assert (tmp_path / "anatomy_test.png").exists()
  assert "upper bound, importance weighted (IWBO), 2 draws, 2 replicates, 32 examples" in evaluate.shown(found.result)
  assert evaluate.describe(found).endswith(f"written to {tmp_path / 'results.json'}")


def test_pieces_of_a_stream_have_an_error_that_allows_for_their_order(text_run, map_run, here):
  run = here(text_run)
  found = evaluate.evaluate(run, num_draws=1, max_examples=24, num_replicates=2, pictures=False)
  record, likelihood = found.result, found.likelihood
  pieces = bounds.estimate(likelihood.nats, likelihood.positions, consecutive=True)
  assert record["consecutive"] is True
  assert record["data_error"] == pieces.data_error
  assert record["data_error"] != bounds.estimate(likelihood.nats, likelihood.positions).data_error
  assert "standard error over pieces of one text, which are not independent" in evaluate.shown(record)
  (kept,) = comparison.read_evaluations(run.workdir, split="test").values()
  assert comparison.summarize([kept]).data_error == pytest.approx(pieces.data_error, rel=1e-12)
  scored = score(run, split="test", max_examples=24, num_draws=1, reference=0).likelihood
  assert scored.estimate == bounds.estimate(scored.nats, scored.positions, consecutive=True)
  texts = [run.decode(x) for x in first_examples(run.source(), "test", 12).x]
  own, joined = (run.score(texts, num_draws=1, consecutive=consecutive).likelihood for consecutive in (False, True))
  assert own.estimate == bounds.estimate(own.nats, own.positions)
  assert joined.estimate == bounds.estimate(own.nats, own.positions, consecutive=True)


def test_batches_are_read_as_they_are_scored(text_run, here):
  """So that a split may be larger than memory."""
  order, source = [], text_run.source()
  split = source.splits["test"]

  def examples(numbers):
    order.append("read")
    return split.examples(numbers)

  def progress(total, **_):
    assert total == 8
    return Progress(lambda amount: order.append("scored"), quiet, lambda: None)

  changed = source._replace(splits={**source.splits, "test": split._replace(examples=examples)})
  run = here(text_run)._replace(source=lambda: changed)
  how = {"num_draws": 1, "num_replicates": 2, "max_examples": 64, "pictures": False}
  evaluate.evaluate(run, **how, say=quiet, progress=progress)
  assert order.count("read") == 8
  assert order.index("scored") < max(i for i, what in enumerate(order) if what == "read")


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_bound_that_no_draw_changes_is_called_exact(map_run, here, noise):
  def bound(params, batch, keys, *, state, train, strata=None):
    return Bound(-1.0 - noise * jax.vmap(jax.random.uniform)(keys), {})

  run, said = here(map_run), []
  run = run._replace(model=run.model._replace(bound=bound, log_prob=bound))
  how = {"estimator": "elbo", "num_draws": 1, "max_examples": 4, "pictures": False}
  evaluate.evaluate(run, say=said.append, **how)
  assert ("exact log-likelihood (elbo, which no draw changes), 1 draw" in said[0]) is (noise == 0)
  assert ("upper bound" in said[0]) is (noise > 0)


def test_maps_have_an_error_over_examples(map_run, here):
  record = evaluate.evaluate(here(map_run), num_draws=1, max_examples=16, num_replicates=2, pictures=False).result
  assert "consecutive" not in record
  assert "standard error over examples" in evaluate.shown(record)


def test_texts_of_ones_own_score_as_the_same_texts_in_the_data(text_run, here):
  run = here(text_run)
  record = evaluate.evaluate(run, num_draws=2, max_examples=20).result  # more than one batch, not whole
  batch = first_examples(run.source(), record["split"], 20)
  scores = run.score([run.decode(x) for x in batch.x], num_draws=2)
  assert scores.nats.shape == (record["num_replicates"], 20)
  assert scores.estimate.bits == pytest.approx(record["value"], rel=1e-6)


def test_windows_with_context_score_every_position_once(text_run, here, tmp_path):
  run = here(text_run)
  with pytest.raises(InputError, match="evaluate it with context 0"):
    evaluate.evaluate(run, context=4, max_examples=8)
  exact = run.model._replace(log_prob=lambda params, batch, *, state: -np.log(5.0) * batch.scored.sum(axis=1))
  found = evaluate.evaluate(run._replace(model=exact), context=4, max_examples=8)
  assert found.result["context"] == 4
  assert found.result["num_positions"] == 8 * 16
  assert found.result["num_examples"] == 11  # one window of 16, and 12 more positions in each of ten
  assert found.result["value"] == pytest.approx(np.log2(5.0))
  assert "11 examples, windows of 16 with 4 positions of context\n" in evaluate.shown(found.result)
  assert (tmp_path / "scores").is_dir()


def test_watching_leaves_out_a_checkpoint_that_is_replaced_meanwhile(workdir, monkeypatch):
  evaluated, said = [], []
  monkeypatch.setattr(watch, "new_checkpoints", lambda *_, **__: iter([7, 30]))
  monkeypatch.setattr(watch, "evaluate", lambda run, **options: evaluated.append((run.step, options["split"])))
  monkeypatch.setattr(watch, "describe", lambda record: "one")
  watched = watch.watch(workdir, split="test", say=said.append)
  assert evaluated == [(30, "test")]
  assert said == ["checkpoint 7 was deleted before it was read; left out", "one"]
  assert watch.describe_watched(watched) == "1 checkpoint evaluated"


def test_watching_again_does_not_repeat_what_results_json_has(workdir, tmp_path, monkeypatch):
  run = watch.load(workdir)
  monkeypatch.setattr(watch, "load", lambda *_, **__: run)
  monkeypatch.setattr(watch, "new_checkpoints", lambda *_, **__: iter([30]))
  how = {"output": str(tmp_path), "max_examples": 4, "num_replicates": 1, "pictures": False}

  def counted(**more):
    said = []
    return len(watch.watch(workdir, say=said.append, **how, **more).evaluations), said[-1]

  assert counted()[0] == 1
  assert counted() == (0, f"checkpoint 30: evaluated before, as {tmp_path}/results.json says; left out")
  assert counted(seed=1)[0] == 1  # another evaluation
  assert counted(seed=1, again=True)[0] == 1


def test_watching_looks_again_in_the_end_where_another_process_was_at_work(monkeypatch):
  evaluated, said, tries = [], [], Counter()

  def evaluate_unless_busy(run, *_, **__):
    tries[run] += 1
    if run == 30 or (run == 10 and tries[run] == 1):
      raise evaluate.UnderWay("busy")
    evaluated.append(run)

  monkeypatch.setattr(watch, "new_checkpoints", lambda *_, **__: iter([10, 20, 30]))
  monkeypatch.setattr(watch, "load", lambda *_, step, **__: Checkpoint(step))
  monkeypatch.setattr(watch, "evaluate", evaluate_unless_busy)
  monkeypatch.setattr(watch, "describe", lambda record: "")
  watch.watch("somewhere", again=True, say=said.append)
  assert evaluated == [20, 10]
  later = [f"checkpoint {step}: busy; it is looked at again in the end" for step in (10, 30)]
  assert said == [*later, "checkpoint 30: busy; left out"]


class Checkpoint(int):
  """A run that is its step."""

  source = "data"

  def _replace(self, source):
    return self


def test_an_evaluation_goes_on_with_no_other_run_of_the_same_folder(text_run):
  other = text_run._replace(params=jax.tree.map(lambda x: x + 1, text_run.params))
  one, again, another = (unfinished(run, {"seed": 0}, "somewhere").path for run in (text_run, text_run, other))
  assert one == again != another


@pytest.mark.parametrize("seconds", [-1.0, math.nan, 1e12])
def test_watching_waits_for_a_time_that_there_is(seconds):
  with pytest.raises(InputError, match=f"^watch_seconds is {re.escape(str(seconds))}; give"):
    next(watch.new_checkpoints("somewhere", seconds))


def test_checkpoints_appear_one_after_another(monkeypatch):
  there, length = [[10], [10, 20], [20, 30]], SimpleNamespace(config={"training": {"num_steps": 30}}, exported=None)
  monkeypatch.setattr(watch, "read_record", lambda workdir: length)
  monkeypatch.setattr(watch, "checkpoint_steps", lambda workdir: there.pop(0))
  assert list(watch.new_checkpoints("somewhere", 0.0)) == [10, 20, 30]


def test_evaluation_pictures_samples_beside_data_unless_it_should_not(map_run, here, tmp_path):
  run, said = here(map_run), []
  settings = {"estimator": "full", "max_examples": 4, "num_replicates": 1, "num_draws": 1}
  config = {**run.record.config, "sampling": {**run.record.config["sampling"], "num_steps": 5}}
  run = run._replace(record=run.record._replace(config=config))
  evaluate.evaluate(run, pictures=False, say=quiet, **settings)
  assert not (tmp_path / "tensorboard").exists()
  assert (tmp_path / "anatomy_test.png").exists()
  found = evaluate.evaluate(run, say=said.append, **settings)
  assert shown(tmp_path) == [(run.step, "anatomy_test"), (run.step, "samples_beside_test")]
  assert Image.open(found.pictures[-1]).size[0] > 400
  assert said[1:] == [
    "drawing 8 samples in sampling.num_steps = 5 network calls for a picture (--pictures=false leaves it out)"
  ]


def test_the_same_evaluation_twice_at_once_is_refused_and_others_go_on(text_run, here, tmp_path):
  run, how = here(text_run), {"max_examples": 8, "num_replicates": 1, "say": quiet}
  second = []

  def meanwhile(*words, **more):
    if not second:
      with pytest.raises(evaluate.UnderWay, match=r"^the same evaluation is under way in process \d+ on "):
        evaluate.evaluate(run, **how)
      second.append(evaluate.evaluate(run, split="validation", **how))
    return no_progress(*words, **more)

  first = evaluate.evaluate(run, progress=meanwhile, **how)
  stored = results.read_results(tmp_path)
  assert [record["split"] for record in stored] == ["validation", first.result["split"]]
  assert not [path.name for path in (tmp_path / "scores").iterdir() if "unfinished" in path.name]


def test_a_checkpoint_that_cannot_be_read_is_tried_again_at_the_next_looks(workdir, monkeypatch):
  """As when it is under way from another machine; and one that never can be read is left out."""
  tries, said, evaluated, averaged = Counter(), [], [], set()
  load_now, last = watch.load, SimpleNamespace(config={"training": {"num_steps": 30}}, exported=None)

  def load_late(folder, *, step, **options):
    tries[step] += 1
    averaged.add(options["ema"])
    if step == 20 or tries[step] < 3:
      raise Unreadable(f"no readable checkpoint {step}")
    return load_now(folder, step=step, **options)

  monkeypatch.setattr(watch, "load", load_late)
  monkeypatch.setattr(watch, "read_record", lambda folder: last)
  monkeypatch.setattr(watch, "checkpoint_steps", lambda folder: [20, 30])
  monkeypatch.setattr(watch, "evaluate", lambda run, **options: evaluated.append(run.step))
  monkeypatch.setattr(watch, "describe", lambda record: "")
  watch.watch(workdir, watch_seconds=0.0, ema=False, say=said.append)
  assert (evaluated, averaged) == ([30], {False})
  assert tries == {20: 5, 30: 3}
  assert said == [
    "no readable checkpoint 20; it is tried again at the next looks",
    "no readable checkpoint 30; it is tried again at the next looks",
    "checkpoint 20 could not be read 5 times; left out",
  ]
