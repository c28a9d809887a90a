"""Experiment trackers: told what the files are told, in the same run again, and never in the way of the work."""

import importlib.machinery
import json
import sys
import threading
import types

import pytest
from PIL import Image

from catgen.interfaces import InputError
from catgen.reporting import trackers, tracking, writers
from catgen.reporting.tracking import Tracking

CONFIG = {"seed": 0, "model": {"kind": "toy", "width": 3}}
RESULT = {"split": "test", "estimator": "elbo", "value": 2.5, "data_error": 0.1, "monte_carlo_error": None, "step": 3}


class Toy:
  """A tracker in memory. `runs` has what each run was told, by its name."""

  runs, gate = {}, None

  def __init__(self, about):
    if self.gate is not None:
      self.gate.wait(30)
    self.identity = dict(about.known) or {"id": f"run {len(self.runs)}"}
    self.address = f"at {self.identity['id']}"
    self.told = self.runs.setdefault(self.identity["id"], {"config": about.config, "name": about.name, "numbers": []})

  def numbers(self, step, values):
    if "fails" in values:
      raise SystemExit("no network\nand more")
    self.told["numbers"].append((step, values))

  def result(self, values, record, step):
    self.told["result"] = values, record, step

  def pictures(self, step, pictures):
    self.told.setdefault("pictures", []).append((step, [picture.name for picture in pictures]))

  def close(self):
    self.told["closed"] = True


@pytest.fixture
def toy(monkeypatch):
  monkeypatch.setattr(Toy, "runs", {})
  monkeypatch.setattr(Toy, "gate", None)
  monkeypatch.setitem(trackers.TRACKERS, "toy", Toy)
  return Toy


def opened(workdir, start=0, names=("toy",), **options):
  return writers.open_writers(workdir, start, tracking=Tracking(names, "catgen", None, CONFIG), **options)


@pytest.fixture
def picture(tmp_path):
  Image.new("RGB", (4, 3)).save(tmp_path / "samples.png")
  return tmp_path / "samples.png"


def test_a_run_that_goes_on_is_the_same_run_and_so_is_what_is_made_of_it(toy, tmp_path, picture):
  said, workdir = [], tmp_path / "run"
  for start in (0, 2):
    out = opened(workdir, start, say=said.append)
    out.write(start + 1, {"train/bits": 0.5, "note": "x", "flag": True, "bad": float("nan")})
    out.show(start + 1, [picture])
    out.close()
    out.close()
  tracking.later(workdir, said.append, step=3, paths=[picture, tmp_path / "none.svg"], result=RESULT)
  assert said == ["toy: at run 0"] * 3
  (told,) = toy.runs.values()
  assert told == {
    "config": CONFIG,
    "name": "run",
    "numbers": [(1, {"train/bits": 0.5}), (3, {"train/bits": 0.5})],
    "pictures": [(1, ["samples.png"]), (3, ["samples.png"]), (3, ["samples.png"])],
    "result": ({"results/test/elbo/value": 2.5, "results/test/elbo/data_error": 0.1}, RESULT, 3),
    "closed": True,
  }
  assert len(writers.read_metrics(workdir / writers.FILE_NAME)) == 2


def test_a_tracker_that_fails_is_one_line_and_the_files_are_whole(toy, tmp_path):
  said = []
  out = opened(tmp_path, say=said.append)
  for step in (1, 2, 3, 4):
    out.write(step, {"fails" if step == 2 else "train/bits": 1.0})
  out.close()
  assert said == ["toy: at run 0", "warning: toy: SystemExit: no network; the work goes on without toy"]
  assert [line["step"] for line in writers.read_metrics(tmp_path / writers.FILE_NAME)] == [1, 2, 3, 4]


def test_a_tracker_that_does_not_answer_holds_nothing_up(toy, tmp_path, monkeypatch):
  monkeypatch.setattr(Toy, "gate", threading.Event())
  monkeypatch.setattr(tracking, "CLOSE_SECONDS", 0.05)
  monkeypatch.setattr(tracking, "OPEN_SECONDS", 0.01)
  monkeypatch.setattr(tracking, "_MOST_WAITING", 5)
  for number, line in ((3, "did not take what was left within 0.05 s"), (7, "5 messages are waiting")):
    said = []
    out = opened(tmp_path / str(number), say=said.append)
    for step in range(number):
      out.write(step, {"train/bits": 1.0})
    out.close()
    assert len(said) == 1
    assert line in said[0]
    assert len(writers.read_metrics(tmp_path / str(number) / writers.FILE_NAME)) == number
  Toy.gate.set()


def test_what_stands_in_the_folder_may_be_anything(toy, tmp_path):
  """A trackers.json that is damaged begins a new run; a tracker that is not known any more is a line."""
  good = {"project": "p", "name": "n", "trackers": ["toy"], "runs": {"toy": {"id": "run 7"}}}
  for content in ("", "[]", '{"runs": 3}', '{"runs": {"toy": {"id": 3}}}', json.dumps({**good, "trackers": 3})):
    (tmp_path / tracking.FILE_NAME).write_text(content)
    tracking.later(tmp_path, pytest.fail, step=1, result=RESULT)
  (tmp_path / tracking.FILE_NAME).write_text(json.dumps({**good, "trackers": ["old"], "runs": {"old": {}}}))
  said = []
  tracking.later(tmp_path, said.append, step=1, result=RESULT)
  assert said == ["warning: old: there is no such tracker; the work goes on without old"]


def test_a_tracker_that_is_not_there_is_one_line_before_the_work(monkeypatch):
  trackers.check(())
  with pytest.raises(InputError, match=r"config\.tracking\.trackers has 'wand'; the trackers are wandb, mlflow"):
    trackers.check(("wand",))
  monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match=r"'mlflow', whose package is not installed: pip install 'catgen\[mlflow\]', or"):
    trackers.check(("mlflow",))


def test_without_trackers_their_packages_are_not_imported(tmp_path, monkeypatch, picture):
  for name in trackers.TRACKERS:
    monkeypatch.setitem(sys.modules, name, None)  # whoever imports it fails
  out = writers.open_writers(tmp_path / "run")
  out.write(1, {"train/bits": 1.0})
  out.show(1, [picture])
  out.close()
  writers.show_pictures(tmp_path / "run", 1, [picture], pytest.fail)
  assert not (tmp_path / "run" / tracking.FILE_NAME).exists()
  said = []
  out = opened(tmp_path / "other", names=tuple(trackers.TRACKERS), say=said.append)
  out.close()
  assert [line.split(":")[1].strip() for line in said] == list(trackers.TRACKERS)  # a warning each


class _Wandb(types.ModuleType):
  """As much of W&B as is called."""

  Settings, Image, Video = dict, staticmethod(lambda image: image.size), staticmethod(lambda *_, format: format)

  def __init__(self):
    super().__init__("wandb")
    self.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    self.asked, self.logged = [], []

  def init(self, **keywords):
    self.asked.append(keywords)
    log = lambda values, step: self.logged.append((step, values))  # noqa: E731
    config, summary = types.SimpleNamespace(update=lambda *_, **__: None), {}
    return types.SimpleNamespace(
      log=log, config=config, summary=summary, step=9, offline=False, url="https://w/r", finish=lambda: None
    )


def test_weights_and_biases_gets_steps_pictures_and_the_same_id(tmp_path, monkeypatch, picture):
  fake, said = _Wandb(), []
  monkeypatch.setitem(sys.modules, "wandb", fake)
  monkeypatch.delenv("WANDB_DIR", raising=False)
  trackers.check(("wandb",))
  Image.new("L", (4, 3)).save(tmp_path / "chain.gif")
  for start in (0, 8):
    out = opened(tmp_path / "run", start, names=("wandb",), say=said.append)
    out.write(start + 1, {"train/bits": 0.5})
    out.show(start + 1, [picture, tmp_path / "chain.gif"])
    out.close()
  first, second = fake.asked
  assert first["id"] == second["id"]
  assert (first["resume"], first["project"], first["name"], first["dir"]) == (
    "allow",
    "catgen",
    "run",
    str(tmp_path / "run"),
  )
  assert first["config"] == CONFIG
  shown = {"pictures/samples": (4, 3), "pictures/chain": "gif"}
  assert fake.logged == [(1, {"train/bits": 0.5}), (9, shown), (9, {"train/bits": 0.5}), (9, shown)]
  assert said == ["wandb: https://w/r"] * 2


@pytest.mark.slow
def test_real_mlflow_has_one_run_with_each_step_once(tmp_path, monkeypatch, picture):
  mlflow = pytest.importorskip("mlflow", reason="no mlflow: pip install 'catgen[mlflow]'")
  monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
  monkeypatch.chdir(tmp_path)
  for start, last in ((0, 4), (2, 6)):  # two steps are made again
    out = opened(tmp_path / "run", start, names=("mlflow",))
    for step in range(start + 1, last + 1):
      out.write(step, {"train/bits": 1 / step})
    out.show(last, [picture])
    out.close()
  tracking.later(tmp_path / "run", print, step=6, result=RESULT)
  client = mlflow.MlflowClient()
  (run,) = client.search_runs([client.get_experiment_by_name("catgen").experiment_id])
  history = client.get_metric_history(run.info.run_id, "train/bits")
  assert [(each.step, each.value) for each in history] == [(step, 1 / step) for step in range(1, 7)]
  assert run.data.params == {"seed": "0", "model.kind": "toy", "model.width": "3"}
  assert run.data.metrics["results/test/elbo/value"] == 2.5
  assert run.info.status == "FINISHED"
  files = {each.path for each in client.list_artifacts(run.info.run_id, "pictures/step_00000006")}
  assert files == {"pictures/step_00000006/samples.png"}


@pytest.mark.slow
def test_real_weights_and_biases_works_without_a_network(tmp_path, monkeypatch, picture):
  pytest.importorskip("wandb", reason="no wandb: pip install 'catgen[wandb]'")
  monkeypatch.setenv("WANDB_MODE", "offline")
  monkeypatch.delenv("WANDB_DIR", raising=False)
  said = []
  for start in (0, 2):
    out = opened(tmp_path / "run", start, names=("wandb",), say=said.append)
    out.write(start + 1, {"train/bits": 0.5})
    out.show(start + 1, [picture])
    out.close()
  tracking.later(tmp_path / "run", said.append, step=3, result=RESULT)
  own = json.loads((tmp_path / "run" / tracking.FILE_NAME).read_text())["runs"]["wandb"]["id"]
  files = list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{own}/run-{own}.wandb"))
  assert len(files) == 3  # which `wandb sync` takes for one run, by its id
  assert all(line.startswith("wandb: offline; wandb sync ") for line in said)
  contents = [path.read_bytes() for path in sorted(files)]
  assert all(b"train/bits" in content for content in contents[:2])
  assert b"results/test/elbo/value" in contents[2]
