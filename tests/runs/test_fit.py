"""`fit` in a work directory that holds a run: the same call goes on, any other is refused and leaves nothing behind."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import catgen
from catgen.interfaces import InputError
from catgen.runs.load import Run
from catgen.runs.record import read_record
from catgen.runs.train import Trained
from tests.tiny_run import SIZES, quiet

TINY = {key: value for key, value in SIZES.items() if key.split(".")[0] in ("model", "optimizer")}
TINY = {key: value for key, value in TINY.items() if key != "model.num_steps"}
TINY |= {"training.batch_size": 8, "training.num_steps": 2}


def texts(letters, number=40):
  rng = np.random.default_rng(0)
  return ["".join(rng.choice(list(letters), 12)) for _ in range(number)]


def fit(data, workdir, overrides=TINY, **options):
  return catgen.fit(data, workdir, overrides=overrides, say=quiet, **options)


def content(folder):
  return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp("fit") / "run"
  assert fit(texts("abc"), folder).step == 2
  return folder


OTHERS = {
  "texts": (texts("abd"), {}, "holds a run on other data"),
  "fewer": (texts("abc")[:30], {}, "holds a run on other data"),
  "stream": (["short", "longer text"] * 40, {}, "holds a run on other data"),
  "array": (np.arange(300).reshape(60, 5) % 4, {}, "holds a run on other data"),
  "table": ({"a": [1, 2, 3] * 20, "b": ["x", "y"] * 30}, {}, "holds a run on other data"),
  "family": (texts("abc"), {"family": "masked"}, "holds another run: config.model.kind is 'autoregressive' there"),
  "seed": (texts("abc"), {"seed": 1}, "holds another run: config.seed is 0 there and 1 here"),
  "size": (texts("abc"), {"overrides": {**TINY, "model.network.width": 8}}, "holds another run: config.model.network"),
  "optimizer": (texts("abc"), {"overrides": {**TINY, "optimizer.kind": "muon"}}, "config.optimizer.kind is 'adam'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_refused_and_nothing_is_written(fitted, name):
  data, options, message = OTHERS[name]
  before = content(fitted)
  with pytest.raises(InputError, match=message) as caught:
    fit(data, fitted, **options)
  assert "\n" not in str(caught.value)
  assert content(fitted) == before


def test_a_file_of_other_data_is_refused_and_one_of_the_same_goes_on(tmp_path):
  one, other = tmp_path / "one.txt", tmp_path / "other.txt"
  one.write_text("the cat sat on " * 200)
  other.write_text("a dog lay by it " * 200)
  assert fit(one, tmp_path / "run").step == 2
  there = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
  with pytest.raises(InputError, match="was trained on other data"):
    fit(other, tmp_path / "run")
  assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()} == there
  other.write_bytes(one.read_bytes())  # the data are known by what they are
  assert fit(other, tmp_path / "run").step == 2


def test_the_same_call_returns_the_run_and_more_steps_go_on(tmp_path):
  def run(**options) -> Run:
    return fit(texts("abc"), tmp_path, **options)

  assert run().step == run().step == 2
  (tmp_path / "data.txt").unlink()  # what is in memory is written again
  assert run().step == 2
  assert (tmp_path / "data.txt").exists()
  assert run(overrides={**TINY, "training.num_steps": 4}).step == 4
  assert [change.key for change in read_record(str(tmp_path)).changes] == ["training.num_steps"]


def test_data_that_were_kept_move_with_their_run(fitted, tmp_path):
  moved = tmp_path / "moved"
  shutil.copytree(fitted, moved)
  record = json.loads((moved / "config.json").read_text())
  record["config"]["data"]["path"] = str(tmp_path / "gone" / "data.txt")
  (moved / "config.json").write_text(json.dumps(record))
  source = catgen.load(moved, say=quiet).source
  assert source().fingerprint == record["fingerprint"]
  (moved / "data.txt").write_text("other data\n" * 40)
  with pytest.raises(InputError, match=r"gone/data\.txt does not exist; .*--data=PATH says where"):
    catgen.load(moved, say=quiet).source()


@pytest.mark.slow
def test_steps_that_time_allowed_stay_and_a_period_that_is_asked_for_is_taken(tmp_path, monkeypatch):
  monkeypatch.setattr("catgen.runs.fit.step_seconds", lambda config: 1e9)  # the fewest steps
  few = {key: value for key, value in TINY.items() if not key.startswith("training.")}
  few["training"] = {"batch_size": 8, "report_every": 20}  # a section, whose keys count as those by name
  assert fit(texts("abc"), tmp_path, few).step == 40
  old = read_record(str(tmp_path)).config
  assert old["training"]["report_every"] == 20
  monkeypatch.setattr("catgen.runs.fit.step_seconds", lambda config: 1e-2)
  assert fit(texts("abc"), tmp_path, few, minutes=9).step == 40
  assert read_record(str(tmp_path)).config == old


def test_what_does_not_fit_leaves_no_data_behind(tmp_path):
  with pytest.raises(InputError, match="no_such_key"):
    fit(texts("abc"), tmp_path / "run", {"model.no_such_key": 1})
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"minutes": float("inf")}, "minutes is inf; give a positive number"),
    ({"say": None}, "say is None; give a function of a line"),
    ({"overrides": {3: 4}}, "overrides is {3: 4}; give a dict whose keys are texts"),
  ],
)
def test_an_option_that_does_not_fit_is_told_before_any_work(options, message, tmp_path):
  with pytest.raises(InputError, match=message):
    catgen.fit(texts("abc"), tmp_path / "run", **{"overrides": TINY, "say": quiet, **options})
  assert not (tmp_path / "run").exists()


def test_no_name_is_no_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match="workdir is empty; give the folder of the run"):
    fit(texts("abc"), "")
  assert not list(tmp_path.iterdir())


def test_a_model_that_is_loaded_again_compiles_nothing_again(fitted):
  first, second = (catgen.load(fitted, say=quiet) for _ in range(2))
  assert second.model is first.model
  assert second.spread == first.spread


@pytest.mark.parametrize("devices", [[], 3, ["cpu"]])
def test_devices_that_are_none_are_refused(fitted, devices):
  with pytest.raises(InputError, match=r"^devices is .*; give a list of devices, as jax\.devices"):
    catgen.load(fitted, devices)


def test_a_signal_ends_a_call_as_it_ends_python(fitted, monkeypatch):
  stopped = Trained(str(fitted), step=1, interrupted=True, exit_code=143, pictures=())
  monkeypatch.setattr("catgen.runs.fit.training.train", lambda *told, **options: stopped)
  with pytest.raises(KeyboardInterrupt, match=r"^stopped at step 1 with a checkpoint; .*goes on") as caught:
    fit(texts("abc"), fitted)
  assert caught.value.code == 143
