"""The tour, on tiny models."""

import json
import shutil

import jax
import pytest

from catgen.config import load_config
from catgen.interfaces import InputError
from catgen.runs import demo as module
from catgen.runs.demo import autoregressive, demo, describe
from catgen.runs.train import train
from tests.tiny_run import plain_config, tiny_config

SMALL = {"evaluation.max_examples": 32, "evaluation.num_replicates": 2}


@pytest.mark.parametrize("kind", ["autoregressive", pytest.param("diffusion", marks=pytest.mark.slow)])
def test_the_tour_says_and_leaves_what_it_promises(kind, text, workdir, plain_workdir, tmp_path, monkeypatch):
  asked = []

  def train_on(config, folder, *baselines, **keywords):
    """Goes on with a run whose last step is done: its steps are those of other tests."""
    asked.append((config["model"]["kind"], config["training"]["num_steps"], folder))
    origin = workdir if config["model"]["kind"] == "diffusion" else plain_workdir
    shutil.copytree(origin, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("loss_curve.png"))
    return train(config, folder, *baselines, devices=jax.devices()[:1], **keywords)

  monkeypatch.setattr(module, "train", train_on)
  monkeypatch.setattr(module, "autoregressive", lambda config: plain_config(text, **SMALL))
  monkeypatch.setattr(module, "_BEGINNING", "the ")
  said = []
  options = {
    "sentence": "the cet sat on a mat",
    "longer": workdir if kind == "diffusion" else plain_workdir,
    "say": said.append,
  }
  found = demo(tiny_config(text, **SMALL, **{"sampling.num_steps": 5}), str(tmp_path), **options)
  told = "\n".join(said)
  headings = [line[:2] for line in told.splitlines() if line[1:2] == "."]
  assert headings == ["1.", "2.", "3.", "4.", "5.", "6.", "7."]
  assert asked == [("diffusion", 30, str(tmp_path)), ("autoregressive", 19, str(tmp_path / "autoregressive"))]
  for expected in ("5-gram counts", "upper bound (ELBO)", "Beside the bigram", "going on from 'the '"):
    assert expected in told
  assert told.count("typed:     the cet sat on a") == 3
  bound, exact = (each.result for each in found.evaluated)
  assert json.loads((tmp_path / "results.json").read_text()) == [bound]
  assert json.loads((tmp_path / "autoregressive" / "results.json").read_text()) == [exact]
  table = said[-1].splitlines()
  assert [line.split("  ")[0] for line in table[2:7]] == [
    "unigram counts",
    "bigram counts",
    "5-gram counts",
    f"multinomial diffusion, {bound['step']} steps",
    f"autoregressive, {exact['step']} steps",
  ]
  assert f"{bound['value']:.4f}" in table[5]
  assert f"{exact['value']:.4f}" in table[6]
  assert f"{bound['value'] - exact['value']:.4f} ± " in table[8]
  assert (found.exit_code, found.trained.step, found.rival.step) == (0, 30, 30)
  assert describe(found).splitlines()[2:] == [
    f"  {tmp_path}/{name}" for name in ("loss_curve.png", "chain.png", "chain.gif", "results.json")
  ]


def test_the_autoregressive_model_is_the_one_of_its_configuration():
  ours = autoregressive(load_config("quickstart", {"sampling.num_steps": 5}).values)
  assert ours == load_config("quickstart_autoregressive").values


def test_a_tour_of_another_family_is_one_line_before_the_work(text, tmp_path):
  with pytest.raises(InputError, match=r"trains a diffusion model, and config\.model\.kind is 'autoregressive'"):
    demo(plain_config(text), str(tmp_path / "run"), sentence="the cat", say=pytest.fail)
  assert not list(tmp_path.iterdir())
