"""A run without its data, and what its methods do."""

import pathlib
import shutil

import numpy as np
import pytest

import catgen
from catgen.interfaces import InputError
from catgen.runs import fit
from catgen.runs.load import load
from catgen.training import restoring
from tests.tiny_run import quiet


def test_work_directories_may_lie_below_home_and_be_paths(workdir, tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  shutil.copytree(workdir, tmp_path / "run")
  assert load(pathlib.Path("~/run"), say=quiet).workdir == str(tmp_path / "run")
  trained = []

  def train(config, folder, **_):
    trained.append(folder)
    return fit.training.Trained(folder, 30, interrupted=False, exit_code=0, pictures=())

  monkeypatch.setattr(fit.training, "train", train)
  run = fit.train("quickstart", "~/run", say=quiet)
  assert trained == [run.workdir] == [str(tmp_path / "run")]


def test_load_needs_no_data(workdir, text, tmp_path):
  copy = tmp_path / "copy"
  shutil.copytree(workdir, copy)
  hidden = text.with_suffix(".hidden")
  text.rename(hidden)
  try:
    run = catgen.load(str(copy), say=quiet)
    assert len(run.decode(run.sample(2, seed=1, num_steps=5).x[0])) == 16
    scored = run.score(["the cat sat on a", "tac tac"])
    assert scored.positions.tolist() == [16, 7]
    assert scored.percentiles is None
    with pytest.raises(InputError, match="nothing to score"):
      run.score([])
    assert run.denoise("the cat", error_rate=0.1).posterior.shape == (16, run.record.event.num_classes)
    assert len(run.decode(run.correct("the cet").x)) == 7
    assert run.infill(text="the #at", hole="#", num_samples=2, num_steps=5).x.shape == (2, 16)
    with pytest.raises(InputError, match="does not exist"):
      run.source()
  finally:
    hidden.rename(text)


def test_other_data_are_refused(workdir, text):
  before = text.read_text()
  text.write_text(before + "more")
  try:
    with pytest.raises(InputError, match="the data are not those of the run"):
      load(workdir, say=quiet).source()
  finally:
    text.write_text(before)


def test_checkpoints_are_named_or_numbered(workdir):
  assert [load(workdir, step=step, say=quiet).step for step in ("latest", "30", 30)] == [30] * 3
  with pytest.raises(InputError, match="give best, latest, or the number"):
    load(workdir, step="newest")


@pytest.mark.parametrize(("ema", "wanted"), [(False, "params"), (True, "average")])
def test_of_parameters_and_their_average_only_one_is_asked_for(workdir, monkeypatch, ema, wanted):
  asked = []

  def restore(*arguments, **options):
    asked.append(options["wanted"])
    return restoring.restore_params(*arguments, **options)

  monkeypatch.setattr("catgen.runs.exported.restore_params", restore)
  load(workdir, ema=ema, say=quiet)
  assert asked == [wanted]


def test_methods_are_the_functions(text_run, here, tmp_path):
  run = here(text_run)
  np.testing.assert_array_equal(run.sample(2, seed=3, num_steps=5).x, run.sample(2, seed=3, num_steps=5).x)
  assert not list(tmp_path.iterdir())
  evaluated = run.evaluate(split="validation", max_examples=8, num_replicates=1)
  assert evaluated.result["split"] == "validation"
  assert (tmp_path / "results.json").exists()


def test_a_plot_draws_what_there_is(text_run, map_run, here, workdir, tmp_path):
  shutil.copy(f"{workdir}/metrics.jsonl", tmp_path)
  paths = here(text_run).plot(num_samples=2, num_steps=5, num_frames=5)
  assert [path.rsplit("/", 1)[1] for path in paths] == ["loss_curve.png", "chain.png", "chain.gif"]
  (tmp_path / "metrics.jsonl").unlink()
  paths = here(map_run).plot(num_samples=4, num_steps=5, num_frames=4)
  assert [path.rsplit("/", 1)[1] for path in paths] == ["samples.png", "chain.png", "chain.gif"]
