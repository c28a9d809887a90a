"""The tour, on a tiny model."""

import json
import shutil

import jax

from catgen.runs import demo as module
from catgen.runs.demo import demo, describe
from catgen.runs.train import train
from tests.tiny_run import tiny_config


def test_the_tour_says_and_leaves_what_it_promises(text, workdir, tmp_path, monkeypatch):
  def train_on(config, folder, *baselines, **keywords):
    """Goes on with a run whose last step is done: its steps are those of other tests."""
    shutil.copytree(workdir, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("loss_curve.png"))
    return train(config, folder, *baselines, devices=jax.devices()[:1], **keywords)

  monkeypatch.setattr(module, "train", train_on)
  said, changes = [], {"evaluation.max_examples": 32, "evaluation.num_replicates": 2, "sampling.num_steps": 5}
  found = demo(tiny_config(text, **changes), str(tmp_path), sentence="the cet sat on a mat", say=said.append)
  told = "\n".join(said)
  headings = [line[:2] for line in told.splitlines() if line[:2] in ("1.", "2.", "3.", "4.", "5.")]
  assert headings == ["1.", "2.", "3.", "4.", "5."]
  for expected in ("5-gram counts", "upper bound (ELBO)", "than the bigram", "typed:     the cet sat on a"):
    assert expected in told
  result = found.evaluated.result
  assert json.loads((tmp_path / "results.json").read_text()) == [result]
  assert f"{result['value']:.4f}" in told
  assert (found.exit_code, found.trained.step) == (0, 30)
  assert describe(found).splitlines()[2:] == [
    f"  {tmp_path}/{name}" for name in ("loss_curve.png", "chain.png", "chain.gif", "results.json")
  ]
