"""A run that reads streams on: trained, stopped, continued, loaded and evaluated by two protocols with names."""

import jax
import numpy as np
import pytest

from catgen.config import load_config
from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.runs.evaluate import evaluate, shown
from catgen.runs.load import load
from catgen.runs.ls import describe, ls
from catgen.runs.train import train
from tests.tiny_run import quiet

SHAPE = {"width": 8, "num_layers": 1, "num_heads": 2, "hidden_width": 12, "memory_length": 6}
SIZES = {
  "data.length": 8,
  "model": {"kind": "autoregressive", "network": {"kind": "transformer_xl", **SHAPE}},
  "training.batch_size": 4,
  "training.streams": True,
  "training.num_steps": 6,
  "training.validate_every": 3,
  "training.validation_examples": 20,
  "evaluation.batch_size": 4,
  "optimizer.kind": "adam",
  "optimizer.warmup_steps": 2,
  "optimizer.decay": "constant",
}


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
  """Returns the work directory of a run, which was stopped after three steps, and a run of it."""
  folder = str(tmp_path_factory.mktemp("streams"))
  train_in(folder, text, **{"training.num_steps": 3})
  train_in(folder, text)
  return loaded(folder)


def train_in(folder, text, **changes):
  config = load_config("text_file", {"data.path": str(text), **SIZES, **changes}).values
  assert train(config, folder, devices=jax.devices()[:1], say=quiet).exit_code == 0


def loaded(folder):
  return load(folder, jax.devices()[:1], step="latest", say=quiet)


@pytest.mark.slow
def test_a_run_that_goes_on_is_the_one_that_was_never_stopped(run, text, tmp_path):
  train_in(str(tmp_path), text)
  jax.tree.map(np.testing.assert_array_equal, run.params, loaded(str(tmp_path)).params)


@pytest.mark.slow
def test_two_protocols_give_two_numbers_with_names(run, tmp_path):
  how = {"output": str(tmp_path), "say": quiet, "max_examples": 40}
  alone, carried = evaluate(run, **how).result, evaluate(run, memory=20, segment=5, batch_size=3, **how).result
  assert alone["protocol"] == "chunks of 8 by themselves"
  assert carried["protocol"] == "memory of 20 carried over segments of 5 in 3 streams"
  assert carried["num_positions"] == alone["num_positions"] == 40 * 8
  assert carried["value"] != alone["value"]
  assert results.read_results(tmp_path) == [alone, carried]
  assert f"64 examples, {carried['protocol']}\n" in shown(carried)


@pytest.mark.slow
def test_a_list_of_runs_says_that_the_validation_carries_a_memory(run):
  (listed,) = ls(folder=run.workdir).runs
  assert listed.carried
  assert ", memory carried" in describe(ls(folder=run.workdir))


@pytest.mark.slow
def test_what_has_no_memory_says_what_else_there_is(run, text_run):
  with pytest.raises(InputError, match="carries no memory from one example to the next; leave --memory out, or try"):
    evaluate(text_run, memory=4, say=quiet, max_examples=4)
  with pytest.raises(InputError, match="segment is 9; it must be 1 to the 8 positions"):
    evaluate(run, memory=4, segment=9, say=quiet)
