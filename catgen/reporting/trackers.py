"""Experiment trackers: Weights & Biases and MLflow, behind one interface. Their packages are imported late.

Where they send to is theirs to say: `wandb login`, WANDB_MODE=offline, MLFLOW_TRACKING_URI and the like.
"""

import contextlib
import importlib.util
import io
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from catgen.interfaces import InputError
from catgen.paths import ending_of

_PARAMETERS, _METRICS = 100, 1000  # that MLflow takes in one call
_LONGEST = 6000  # characters of a parameter of MLflow


class About(NamedTuple):
  """A run, as a tracker is told of it when it is opened."""

  project: str  # of W&B; the experiment of MLflow
  name: str
  config: Mapping[str, Any]  # by the names of sections; nothing where the tracker has it already
  folder: str | None  # for files that the tracker keeps on disk; None: wherever it likes
  known: Mapping[str, str]  # what `Tracker.identity` was before; nothing for a new run


class Picture(NamedTuple):
  """A picture as it was when it was shown."""

  name: str  # with the ending of its format, "samples.png"
  content: bytes


class Tracker(Protocol):
  """A run of a tracker, open. Each method may raise whatever it likes, and may wait for a network."""

  @property
  def identity(self) -> Mapping[str, str]:
    """By which the run is found again."""

  @property
  def address(self) -> str:
    """Where people look at it."""

  def numbers(self, step: int, values: Mapping[str, float]) -> None:
    """Adds numbers of a step; those that it has already are left out or replaced."""

  def result(self, values: Mapping[str, float], record: Mapping[str, Any], step: int) -> None:
    """Adds an evaluation: its numbers by name, and the whole record."""

  def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
    """Adds pictures of a step."""

  def close(self) -> None:
    """Sends what is not sent yet, and ends."""


class _Wandb:
  """A run of Weights & Biases; what is sent again after a crash is left out by W&B, whose steps only grow."""

  def __init__(self, about: About) -> None:
    import wandb

    own = about.known.get("id") or secrets.token_hex(4)
    folder = {} if about.folder is None or "WANDB_DIR" in os.environ else {"dir": about.folder}
    settings = wandb.Settings(console="off", silent=True)
    self.wandb = wandb
    self.run = wandb.init(
      project=about.project,
      name=about.name,
      id=own,
      config=dict(about.config),
      resume="allow",
      settings=settings,
      **folder,
    )
    if about.config and about.known:
      self.run.config.update(dict(about.config), allow_val_change=True)
    self.identity = {"id": own}
    self.address = str(self.run.url)
    if self.run.offline:
      self.address = f"offline; wandb sync {os.path.relpath(os.path.dirname(self.run.dir))}"

  def numbers(self, step: int, values: Mapping[str, float]) -> None:
    self.run.log(dict(values), step=step)

  def result(self, values: Mapping[str, float], record: Mapping[str, Any], step: int) -> None:
    self.run.summary.update({**values, f"results/{record['split']}/record": dict(record)})

  def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
    shown = {}
    for picture in pictures:
      name = f"pictures/{picture.name.rpartition('.')[0]}"
      if picture.name.endswith(".gif"):
        shown[name] = self.wandb.Video(io.BytesIO(picture.content), format="gif")
      else:
        from PIL import Image

        shown[name] = self.wandb.Image(Image.open(io.BytesIO(picture.content)))
    self.run.log(shown, step=max(step, self.run.step))

  def close(self) -> None:
    self.run.finish()


class _Mlflow:
  """A run of MLflow, by its client alone: the active run of a process is left to whoever uses MLflow besides."""

  def __init__(self, about: About) -> None:
    for name in ("mlflow", "alembic"):  # a new local store speaks of each of its tables
      logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # of each try to reach a server that is away
    import mlflow
    from mlflow import entities

    self.entities = entities
    own = "MLFLOW_TRACKING_URI" not in os.environ and "://" in about.known.get("store", "")
    self.client = mlflow.MlflowClient(about.known["store"] if own else None)
    self.last: dict[str, int] = {}
    if "run_id" in about.known:
      self.id = about.known["run_id"]
      self.client.update_run(self.id, status="RUNNING")
      names = self.client.get_run(self.id).data.metrics
      self.last = {name: self.client.get_metric_history(self.id, name)[-1].step for name in names}
    else:
      self.id = self.client.create_run(self._experiment(about.project), run_name=about.name).info.run_id
    store = self.client.tracking_uri
    self.identity = {"run_id": self.id} if "MLFLOW_TRACKING_URI" in os.environ else {"run_id": self.id, "store": store}
    self.address = f"run {self.id} in {store.rpartition('@')[2]}"
    if about.config:
      self._configure(about.config)

  def _experiment(self, name: str) -> str:
    found = self.client.get_experiment_by_name(name)
    return self.client.create_experiment(name) if found is None else found.experiment_id

  def _configure(self, config: Mapping[str, Any]) -> None:
    """Logs the configuration: all of it as a file, and as parameters, which MLflow does not let change."""
    self.client.log_dict(self.id, dict(config), "config.json")
    there = self.client.get_run(self.id).data.params
    shown = {name: str(value)[:_LONGEST] for name, value in _flat(config).items() if name not in there}
    parameters = [self.entities.Param(name, value) for name, value in shown.items()]
    for start in range(0, len(parameters), _PARAMETERS):
      self.client.log_batch(self.id, params=parameters[start : start + _PARAMETERS])

  def numbers(self, step: int, values: Mapping[str, float]) -> None:
    new = {name: value for name, value in values.items() if step > self.last.get(name, -1)}
    now = int(1000 * time.time())
    metrics = [self.entities.Metric(name, value, now, step) for name, value in new.items()]
    for start in range(0, len(metrics), _METRICS):
      self.client.log_batch(self.id, metrics=metrics[start : start + _METRICS])

  def result(self, values: Mapping[str, float], record: Mapping[str, Any], step: int) -> None:
    self.last = {name: at for name, at in self.last.items() if name not in values}
    self.numbers(step, values)
    self.client.log_dict(self.id, dict(record), f"results/{record['split']}_{record['estimator']}_{step}.json")

  def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
      for picture in pictures:
        path = os.path.join(folder, picture.name)
        with open(path, "wb") as file:
          file.write(picture.content)
        self.client.log_artifact(self.id, path, f"pictures/step_{step:08d}")

  def close(self) -> None:
    self.client.set_terminated(self.id)


TRACKERS: dict[str, Callable[[About], Tracker]] = {"wandb": _Wandb, "mlflow": _Mlflow}


def check(names: Sequence[str]) -> None:
  """Raises InputError where a tracker is not known, or its package is not installed."""
  for name in names:
    if name not in TRACKERS:
      raise InputError(f"config.tracking.trackers has {name!r}; the trackers are {', '.join(TRACKERS)}")
    found = None
    with contextlib.suppress(ImportError, ValueError):
      found = importlib.util.find_spec(name)
    if found is None:
      raise InputError(
        f"config.tracking.trackers has {name!r}, whose package is not installed: pip install 'catgen[{name}]', or "
        "leave it out by --config.tracking.trackers=()"
      )


def is_picture(path: str) -> bool:
  """Returns whether trackers show a file."""
  return ending_of(path) in (".png", ".gif")


def _flat(section: Mapping[str, Any], name: str = "") -> dict[str, Any]:
  found: dict[str, Any] = {}
  for key, value in section.items():
    own = f"{name}.{key}" if name else key
    found |= _flat(value, own) if isinstance(value, Mapping) else {own: value}
  return found
