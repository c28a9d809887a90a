"""The entry points on a tiny run: what a user types, and what a user gets wrong."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import types

import jax
import numpy as np
import pytest

import catgen
from catgen import build, experiment
from catgen.evaluation import results
from catgen.interfaces import InputError, SampleOptions
from catgen.training.checkpoint import checkpoint_steps, restore_params
from launch import baselines, denoise, evaluate, infill, sample, spellcheck, train
from tests.launch.tiny_run import OVERRIDES, ROOT, command, environment, tiny_config


def test_training_leaves_a_record(workdir):
  names = set(os.listdir(workdir))
  assert {"config.json", "metrics.jsonl", "checkpoints", "tensorboard", "loss_curve.png"} <= names
  lines = [json.loads(line) for line in (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()]
  assert [line["step"] for line in lines if "validation/bits" in line] == [10, 20, 30]
  assert len([line for line in lines if "train/bits" in line]) == 6


def test_load_needs_no_data(workdir, text, tmp_path):
  copy = tmp_path / "copy"
  shutil.copytree(workdir, copy)
  hidden = text.with_suffix(".hidden")
  text.rename(hidden)
  try:
    run = catgen.load(str(copy), say=lambda line: None)
    samples = run.sample(2, seed=1)
    assert len(run.decode(np.asarray(samples.x[0]))) == 16
    scores = run.score(["the cat sat on a", "tac tac"])
    assert scores.positions.tolist() == [16, 7]
    with pytest.raises(InputError, match="nothing to score"):
      run.score([])
    assert run.denoise("the cat", error_rate=0.1).posterior.shape == (16, run.record.event.num_classes)
  finally:
    hidden.rename(text)


def test_evaluation_writes_what_it_measured(workdir):
  run = build.load(workdir, step="latest", say=lambda line: None)
  source = build.source_of(run.record)
  settings = {**run.record.config["evaluation"], "max_examples": 32, "num_replicates": 2}
  for estimator in (None, "full", "iwbo"):
    record = evaluate.evaluate(run, workdir, source, {**settings, "estimator": estimator, "num_draws": 2})
    assert record["unit"] == "bits per character"
    assert record["monte_carlo_error"] > 0
    assert record["step"] == 30
  stored = results.read_results(workdir)
  assert {record["estimator"] for record in stored} == {"elbo", "full", "iwbo"}
  assert (pathlib.Path(workdir) / "anatomy_test.png").exists()


def test_texts_of_ones_own_score_as_the_same_texts_in_the_data(workdir, tmp_path):
  run = build.load(workdir, step="latest", say=lambda line: None)
  source = build.source_of(run.record)
  settings = {**run.record.config["evaluation"], "num_draws": 2, "max_examples": 80}  # more than one batch, not whole
  record = evaluate.evaluate(run, str(tmp_path), source, settings)
  x, *_ = experiment.examples_of(source, settings["split"], 80)
  scores = run.score([run.decode(example) for example in x], num_draws=2)
  assert scores.nats.shape == (record["num_replicates"], 80)
  assert scores.estimate.bits == pytest.approx(record["value"], rel=1e-6)


def test_watching_leaves_out_a_checkpoint_that_is_replaced_meanwhile(workdir, monkeypatch):
  evaluated = []
  monkeypatch.setattr(evaluate, "FLAGS", types.SimpleNamespace(watch=True, ema=True, seed=0))
  monkeypatch.setattr(evaluate.cli, "workdir", lambda: workdir)
  monkeypatch.setattr(evaluate, "_settings", lambda defaults: defaults)
  monkeypatch.setattr(evaluate, "new_checkpoints", lambda *_: iter([7, 30]))
  monkeypatch.setattr(evaluate, "evaluate", lambda run, *_, **__: evaluated.append(run.step))
  evaluate.main()
  assert evaluated == [30]


def test_baselines_are_those_of_the_words(text):
  found = baselines.count_baselines(build.make_source(tiny_config(text)["data"]), "test")
  assert list(found) == ["unigram", "bigram", "5-gram"]
  assert found["unigram"].bits > found["bigram"].bits > found["5-gram"].bits > 0


def test_sampling_and_correcting(workdir, tmp_path, capsys):
  run = build.load(workdir, say=lambda line: None)
  pictures = sample.draw(run, str(tmp_path), SampleOptions(num_frames=5), num_samples=2, batch_size=2, seed=0)
  assert all(os.path.getsize(path) > 1000 for path in pictures)
  output = str(tmp_path / "samples.txt")
  sample.draw(run, str(tmp_path), SampleOptions(num_steps=5), num_samples=3, batch_size=2, seed=0, output=output)
  assert [len(line) for line in pathlib.Path(output).read_text().splitlines()] == [16, 16, 16]
  assert len(spellcheck.correct(run, "the cet", error_rate=0.1, method="bayes")) == 7
  scores = denoise.score(run, split="test", rate=0.1, max_examples=16, seed=0)
  assert set(scores) == {"bayes", "paper"}
  assert "repaired" in capsys.readouterr().out


def test_a_text_is_completed(workdir, monkeypatch, capsys):
  flags = {"step": "best", "text": "the #at", "hole": "#", "pad": True, "num_samples": 3, "num_steps": 5}
  flags |= {"temperature": None, "seed": 0, "output": None}
  monkeypatch.setattr(infill, "FLAGS", types.SimpleNamespace(**flags))
  monkeypatch.setattr(infill.cli, "workdir", lambda: workdir)
  infill.main()
  explained, *completions = capsys.readouterr().out.splitlines()
  assert explained.startswith("completions are an approximation")
  assert len(completions) == 3
  assert all(len(line) == 16 and line.startswith("the ") and line[5:7] == "at" for line in completions)
  monkeypatch.setattr(infill, "FLAGS", types.SimpleNamespace(**{**flags, "text": None}))
  with pytest.raises(InputError, match="nothing to complete; give --text"):
    infill.main()


def test_samples_are_set_beside_the_data(workdir, tmp_path, capsys):
  run = build.load(workdir, say=lambda line: None)
  source = build.source_of(run.record)
  train = experiment.examples_of(source, "train")
  sets = sample.compared_sets(run, train, source)
  shown = sample.comparison(run, sets)  # the training split in the place of samples
  divergences = re.search(r"neighbor pairs.*?bits +(\S+) +(\S+) +(\S+)", shown).groups()
  assert divergences[0] == divergences[2] == "0.0000" != divergences[1]
  known, number = re.search(r"words that training has +([\d,]+) of ([\d,]+)", shown).groups()
  assert known == number != "0"
  options = SampleOptions(num_steps=5)
  sample.draw(run, str(tmp_path), options, num_samples=3, batch_size=3, seed=0, source=source)
  assert "words that training has" in capsys.readouterr().out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_samples_that_cannot_be_written_are_one_line(workdir, tmp_path):
  run = build.load(workdir, say=lambda line: None)
  for output in ("/dev/full", str(tmp_path / "missing" / "samples.txt")):
    with pytest.raises(InputError, match=f"cannot write {output}"):
      sample.draw(run, str(tmp_path), SampleOptions(num_steps=2), num_samples=1, batch_size=1, seed=0, output=output)


def test_another_run_is_refused_and_settings_that_change_nothing_are_not(workdir, text):
  before = (pathlib.Path(workdir) / "config.json").read_text()
  with pytest.raises(InputError, match=r"holds another run: config\.optimizer\.learning_rate"):
    train.run(tiny_config(text, **{"optimizer.learning_rate": 0.5}), workdir)
  text.write_text(text.read_text() + "more")
  with pytest.raises(InputError, match="other data"):
    train.run(tiny_config(text), workdir)
  text.write_text(text.read_text()[: -len("more")])
  assert (pathlib.Path(workdir) / "config.json").read_text() == before
  assert train.run(tiny_config(text, **{"training.report_every": 7}), workdir).step == 30


def test_a_corrupt_newest_checkpoint_falls_back(workdir, text, tmp_path, capsys):
  copy = tmp_path / "copy"
  shutil.copytree(workdir, copy)
  newest = checkpoint_steps(copy)[-1]
  for path in (copy / "checkpoints" / str(newest)).rglob("*"):
    if path.is_file() and path.stat().st_size > 200:
      path.write_bytes(path.read_bytes()[:100])
  assert train.run(tiny_config(text), str(copy)).step == 30
  assert "corrupt" in capsys.readouterr().out


def same_parameters(one, other):
  left, right = (restore_params(folder, "latest").params for folder in (one, other))
  jax.tree.map(np.testing.assert_array_equal, left, right)


def kill_at_a_checkpoint(arguments, workdir, delay):
  """Runs a training command until there is a new checkpoint and `delay` seconds more, then kills it."""
  before = set(checkpoint_steps(workdir))
  process = subprocess.Popen(arguments, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  deadline = time.monotonic() + 300
  while process.poll() is None and not set(checkpoint_steps(workdir)) - before and time.monotonic() < deadline:
    time.sleep(0.02)
  time.sleep(delay)
  process.send_signal(signal.SIGKILL)
  output, _ = process.communicate()
  assert process.returncode == -signal.SIGKILL, output.decode()


def killed_and_whole(text, tmp_path, num_steps, delays):
  """Trains one run with kills and one without, and compares all parameters bit by bit."""
  arguments = ["--config=configs/text_file.py", f"--config.data.path={text}", *OVERRIDES]
  arguments += [f"--config.training.num_steps={num_steps}", "--config.checkpoint.every=20"]
  killed = command("train", *arguments, f"--workdir={tmp_path / 'killed'}")
  for delay in delays:
    kill_at_a_checkpoint(killed, tmp_path / "killed", delay)
    assert checkpoint_steps(tmp_path / "killed")[-1] < num_steps
  subprocess.run(killed, env=environment(), cwd=ROOT, capture_output=True, check=True)
  whole = command("train", *arguments, f"--workdir={tmp_path / 'whole'}")
  subprocess.run(whole, env=environment(), cwd=ROOT, capture_output=True, check=True)
  left, right = (restore_params(tmp_path / name, "latest") for name in ("killed", "whole"))
  assert left.step == right.step == num_steps
  jax.tree.map(np.testing.assert_array_equal, left.params, right.params)


def test_a_run_killed_and_restarted_ends_bit_identical(text, tmp_path):
  killed_and_whole(text, tmp_path, 120, [0.1])


@pytest.mark.slow
def test_ten_kills_change_nothing(text, tmp_path):
  killed_and_whole(text, tmp_path, 3000, np.random.default_rng(1).uniform(0.0, 0.5, 10))


MISTAKES = {
  "misspelt key": (["train", "--config=quickstart", "--config.training.batchsize=8"], "batch_size"),
  "wrong type": (["train", "--config=quickstart", "--config.training.batch_size=many"], "batch_size"),
  "no such config": (["train", "--config=configs/nothing.py"], "configs/nothing.py"),
  "no such row": (
    ["train", "--config=label_maps:argmax"],
    "argmax does not exist",
  ),
  "no run": (["evaluate", "--workdir=/nowhere"], "/nowhere"),
  "no file": (
    ["train", "--config=configs/text_file.py", "--workdir=/tmp/x", "--config.data.path=/no/file"],
    "/no/file",
  ),
  "no path": (["train", "--config=text_file", "--workdir=/tmp/x"], "config.data.path"),
}


def test_mistakes_get_one_line():
  running = {
    name: subprocess.Popen(
      command(*arguments), env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for name, (arguments, _) in MISTAKES.items()
  }
  for name, process in running.items():
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0, name
    lines = [line for line in errors.splitlines() if line.strip()]
    assert len(lines) == 1, (name, errors)
    assert lines[0].startswith("error: ")
    assert MISTAKES[name][1] in lines[0], (name, errors)


def test_a_full_disk_is_one_line_and_loses_nothing(workdir, text, tmp_path, monkeypatch):
  copy = tmp_path / "copy"
  shutil.copytree(workdir, copy)

  def full(*_, **__):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full)
  os.remove(copy / "config.json")
  with pytest.raises(InputError, match="No space left"):
    train.run(tiny_config(text), str(copy))
  assert checkpoint_steps(copy) == checkpoint_steps(workdir)
