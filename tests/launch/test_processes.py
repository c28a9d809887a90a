"""The same run on one device, on eight, in two processes, in microbatches, and killed: the real commands."""

import json
import pathlib
import random
import re
import shutil
import subprocess
import time
from functools import partial

import jax
import numpy as np
import pytest

from catgen.runs.experiment import make_experiment
from catgen.runs.load import load
from catgen.runs.train import train
from catgen.training.checkpoint import checkpoint_steps
from catgen.training.dry_run import bytes_per_device
from tests.addresses import free_address
from tests.faults import checks, moments, training_faults
from tests.faults.scene import Scene
from tests.faults.subjects import Subject
from tests.tiny_run import ROOT, SIZES, command, environment, quiet, tiny_config

STEPS = 40
FIRST = 8  # steps whose losses are compared: rounding grows from step to step
# 128 wide, so that kernels are large enough to be spread over devices
CHANGES = {
  "model.network.width": 128,
  "training.batch_size": 16,
  "training.num_steps": STEPS,
  "training.report_every": 1,
  "training.validate_every": STEPS,
  "training.validation_examples": 8,
  "checkpoint.every": 10,
  "optimizer.decay": "constant",
}
SHORT = {"training.num_steps": FIRST, "training.validate_every": FIRST // 2}
SPREAD = {"mesh.data": 2, "mesh.fsdp": 4}


def losses(folder) -> np.ndarray:
  lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
  return np.array([line["train/bits"] for line in lines if "train/bits" in line][:FIRST])


def training(text, folder, **changes):
  """Returns the words of a training command."""
  settings = {**SIZES, **CHANGES, **changes}
  arguments = ["--config=text_file", f"--config.data.path={text}", f"--workdir={folder}"]
  return command("train", *arguments, *(f"--config.{key}={value}" for key, value in settings.items()))


def start(words):
  return subprocess.Popen(
    words, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )


def run_in_processes(text, folder, number=1, **changes):
  """Trains in that many fresh processes with one device each."""
  together(training(text, folder, **changes), number)


def together(words, number=2, own=((), ()), code=0):
  """Runs a command in that many fresh processes with one device each, and returns what each has said.

  own: what each process alone is given; code: that all end with.
  """
  joined = [f"--coordinator={free_address()}", f"--num_processes={number}"] if number > 1 else []
  given = [[*joined, f"--process_id={i}", *own[i]] if joined else [] for i in range(number)]
  running = [start([*words, *each]) for each in given]
  try:
    outputs = [process.communicate(timeout=300)[0] for process in running]
  finally:
    for process in running:
      process.kill()
  assert [process.returncode for process in running] == [code] * number, outputs
  return outputs


def refused(words, own):
  """Returns the one line by which both of two processes refuse what they are given."""
  lines = [[line for line in said.splitlines() if "error" in line] for said in together(words, own=[[], [own]], code=2)]
  assert lines[0] == lines[1]
  (line,) = lines[0]
  return line


@pytest.fixture(scope="module")
def alone(text, tmp_path_factory):
  folder = tmp_path_factory.mktemp("alone")
  run_in_processes(text, folder)
  assert len(losses(folder)) == FIRST
  return folder


@pytest.fixture(scope="module")
def spread(text, tmp_path_factory):
  """The work directory of a short run on eight devices, four of which share the parameters."""
  folder = tmp_path_factory.mktemp("spread")
  config = tiny_config(text, **{**CHANGES, **SHORT, **SPREAD, "training.num_microbatches": 2})
  specs = [leaf.sharding.spec for leaf in jax.tree.leaves(make_experiment(config).target.params)]
  assert any("fsdp" in str(spec) for spec in specs)
  assert train(config, str(folder), say=quiet).exit_code == 0
  return folder


def same_losses(folder, other):
  np.testing.assert_allclose(losses(folder), losses(other), rtol=2e-4)


@pytest.mark.slow  # tests/training/test_train_step.py and tests/evaluation/test_spread.py have it in small
def test_eight_devices_change_losses_by_rounding(alone, spread):
  same_losses(spread, alone)


@pytest.mark.slow
def test_a_run_on_eight_devices_goes_on_on_one(text, alone, spread, tmp_path):
  shutil.copytree(spread, tmp_path, dirs_exist_ok=True)
  shutil.rmtree(tmp_path / "checkpoints" / str(FIRST))
  assert checkpoint_steps(tmp_path) == [FIRST // 2]
  train(tiny_config(text, **{**CHANGES, **SHORT}), str(tmp_path), devices=jax.devices()[:1], say=quiet)
  same_losses(tmp_path, alone)


@pytest.mark.slow  # the short draw of tests/faults kills runs in the default suite
def test_a_run_killed_and_restarted_ends_bit_identical(text, alone, tmp_path):
  """A short draw of the faults that `python -m tests.faults` throws by the hundred."""
  seed = time.time_ns() % 1_000_000
  print(f"seed {seed}")
  subject = Subject("alone", "text_file", text, {**SIZES, **CHANGES})
  scene = Scene(subject, tmp_path / "disk", random.Random(seed))
  scene.whole = partial(checks.whole, scene, alone)
  try:
    training_faults.told_to_save(scene, moments.stepping)
    training_faults.kill(scene, scene.rng.choice([moments.saving, moments.deleting]))
    scene.finish()
  finally:
    scene.close()


@pytest.mark.slow
def test_two_processes_train_as_one(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", number=2, **SHORT)
  same_losses(tmp_path / "run", alone)


@pytest.mark.slow
def test_two_processes_that_were_asked_for_different_things_end_before_the_work(text, workdir, tmp_path):
  """And say it alike, in a line, having written nothing."""
  folder, other = tmp_path / "run", tmp_path / "other.txt"
  other.write_text(text.read_text()[::-1])
  asked = training(text, folder)
  end = "; give all processes the same"
  assert refused(asked, "--config.seed=1") == f"error: process 1 has config.seed=1, process 0 has 0{end}"
  line = refused(asked, "--config.training.batch_size=32")
  assert line == f"error: process 1 has config.training.batch_size=32, process 0 has 16{end}"
  assert refused(asked, f"--config.data.path={other}").startswith("error: process 1 has data with the SHA-256 ")
  line = refused(asked, f"--config.data.path={tmp_path}/absent.txt")
  assert line.startswith("error: process 1 on ")
  assert f"{tmp_path}/absent.txt" in line
  assert not folder.exists()
  line = refused(command("evaluate", f"--workdir={workdir}", f"--output={tmp_path}/found"), "--num_draws=7")
  assert line == f"error: process 1 has --num_draws=7, process 0 has none{end}"


@pytest.mark.slow
def test_two_processes_need_one_work_directory_by_whatever_name(text, tmp_path):
  run, link = tmp_path / "run", tmp_path / "link"
  asked = training(text, run, **SHORT)
  line = refused(asked, f"--workdir={tmp_path}/elsewhere")
  assert re.fullmatch(
    rf"error: process 1 on \S+ does not see {run} of process 0; all processes need the same work directory,"
    " on a shared disk or in a bucket",
    line,
  )
  assert not list(run.iterdir())
  assert not (tmp_path / "elsewhere").exists()
  link.symlink_to(run)
  together(asked, own=[[], [f"--workdir={link}"]])
  assert checkpoint_steps(run) == [FIRST // 2, FIRST]

  copied, another = tmp_path / "copied", tmp_path / "another"
  evaluation = command("evaluate", f"--workdir={run}", "--step=latest", "--max_examples=7", "--num_replicates=2")
  shutil.copytree(run, copied)
  together(evaluation, own=[[], [f"--workdir={copied}"]])  # what only reads may read a copy
  run_in_processes(text, another, **{**SHORT, "optimizer.learning_rate": 0.001})
  shutil.rmtree(copied / "checkpoints")
  shutil.copytree(another / "checkpoints", copied / "checkpoints")
  assert "is another one for process 1 than for process 0" in refused(evaluation, f"--workdir={copied}")
  assert refused(evaluation, f"--workdir={another}").startswith(
    "error: process 1 has config.optimizer.learning_rate=0.001"
  )


@pytest.mark.slow
def test_data_parallel_on_eight_devices(text, alone, tmp_path):
  train(tiny_config(text, **{**CHANGES, **SHORT}), str(tmp_path), say=quiet)
  same_losses(tmp_path, alone)


@pytest.mark.slow
def test_four_microbatches(text, alone, tmp_path):
  run_in_processes(text, tmp_path / "run", **SHORT, **{"training.num_microbatches": 4})
  same_losses(tmp_path / "run", alone)


@pytest.mark.slow
def test_eight_devices_evaluate_as_one_with_parameters_in_shards(spread, tmp_path):
  """Seven examples, of a run whose parameters four devices shared."""
  one, eight = (
    load(spread, devices, say=quiet)._replace(workdir=str(tmp_path / name))
    for name, devices in (("one", jax.devices()[:1]), ("eight", None))
  )
  whole, shard = bytes_per_device(one.params), bytes_per_device(eight.params)
  assert shard < 0.5 * whole
  how = {"max_examples": 7, "num_draws": 1, "num_replicates": 1, "say": quiet}
  found = [run.evaluate(**how).likelihood for run in (one, eight)]
  assert found[1].numbers.tolist() == list(range(7))
  np.testing.assert_allclose(found[1].nats, found[0].nats, rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scan_layers", [False, True])
def test_everything_on_eight_devices_is_as_on_one(text, tmp_path, scan_layers):
  config = tiny_config(text, **{**CHANGES, **SHORT, "mesh.fsdp": 2, "model.network.scan_layers": scan_layers})
  train(config, str(tmp_path / "run"), say=quiet)
  one, eight = (load(tmp_path / "run", devices, say=quiet) for devices in (jax.devices()[:1], None))
  assert bytes_per_device(eight.params) < 0.8 * bytes_per_device(one.params)
  for estimator in ("elbo", "full", "iwbo"):
    how = {"estimator": estimator, "max_examples": 7, "num_draws": 2, "num_replicates": 2, "say": quiet}
    found = [run.evaluate(output=str(tmp_path / "found"), **how).likelihood for run in (one, eight)]
    np.testing.assert_allclose(found[1].nats, found[0].nats, rtol=5e-5)
  texts = ["the cat sat on a", "tac tac", "a mat on the cat"]
  np.testing.assert_allclose(*(run.score(texts).nats for run in (one, eight)), rtol=5e-5)
  np.testing.assert_array_equal(*(run.sample(7, num_steps=5, seed=3).x for run in (one, eight)))
  np.testing.assert_array_equal(*(run.infill("the ____on_a", num_samples=3, num_steps=5).x for run in (one, eight)))
  np.testing.assert_allclose(*(run.denoise("the cet", error_rate=0.1).posterior for run in (one, eight)), atol=1e-4)
  np.testing.assert_array_equal(*(run.correct("the cet", error_rate=0.1).x for run in (one, eight)))


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [1, 2])
def test_two_processes_evaluate_sample_and_score_as_one(text, tmp_path, fsdp):
  """And write each file once; of seven examples, which they do not divide."""
  run_in_processes(text, tmp_path / "run", number=2, **SHORT, **{"mesh.fsdp": fsdp})
  shutil.copytree(tmp_path / "run", tmp_path / "alone")
  lines = tmp_path / "lines.txt"
  lines.write_text("the cat sat on a\ntac tac\na mat on the cat\n")
  said = {}
  for name, number in (("run", 2), ("alone", 1)):
    folder = tmp_path / name
    for words in (
      ["evaluate", "--max_examples=7", "--num_replicates=2"],
      ["sample", "--num_samples=7", "--num_steps=5", f"--output={folder}/samples.npy"],
      ["infill", "--text=the ____on_a", "--num_samples=3", "--num_steps=5", f"--output={folder}/completions.npy"],
      ["score", f"--input={lines}", "--reference=9", f"--output={folder}/scores.jsonl"],
      ["spellcheck", "--score", "--max_examples=7", "--error_rate=0.1"],
    ):
      outputs = together(command(words[0], f"--workdir={folder}", *words[1:]), number)
      spoken = [[line for line in output.splitlines() if "[Gloo]" not in line] for output in outputs]
      assert not any(spoken[1:])
      said[name, words[0]] = spoken[0]
  assert said["run", "spellcheck"] == said["alone", "spellcheck"]
  for name in ("samples", "completions"):
    np.testing.assert_array_equal(*(np.load(tmp_path / run / f"{name}.npy") for run in ("run", "alone")))
  one, two = (json.loads((tmp_path / run / "results.json").read_text()) for run in ("alone", "run"))
  assert [record["num_examples"] for record in one + two] == [7, 7]
  assert two[0]["value"] == pytest.approx(one[0]["value"], rel=1e-5)
  one, two = (
    [json.loads(line)["bits"] for line in (tmp_path / run / "scores.jsonl").read_text().splitlines()]
    for run in ("alone", "run")
  )
  np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_prove_and_compare_as_one(text, tmp_path):
  """The first alone speaks and writes."""
  for seed in (0, 1):
    run_in_processes(text, tmp_path / f"run{seed}", **SHORT, seed=seed)
    together(command("evaluate", f"--workdir={tmp_path}/run{seed}", "--max_examples=7", "--num_replicates=2"), 1)
  said = []
  for number in (1, 2):
    table = str(tmp_path / f"table{number}")
    words = ["compare", f"--workdirs={tmp_path}/run0,{tmp_path}/run1", "--sampling_repeats=1", f"--output={table}"]
    outputs = [together(command(*words), number)]
    outputs.append(together(command("check", "--config=quickstart_autoregressive", "--train_steps=20"), number))
    spoken = [[re.sub(r".*\[Gloo\].*\n", "", each) for each in one] for one in outputs]
    assert not any(each for one in spoken for each in one[1:])
    (record,) = json.loads(pathlib.Path(f"{table}.json").read_text())
    said.append(({**record, "sampling_seconds": None}, spoken[1][0].partition("claim ")[2]))
  assert said[0] == said[1]
  assert "11 of 11 claims hold" in said[0][1]
