"""The runs that faults are thrown at: small, of all parts that a state can have, and the same however often begun."""

import pathlib
from typing import NamedTuple

from tests.tiny_run import SIZES, command, map_ids, words

_SHARED = {
  "training.ema_decay": 0.9,
  "optimizer.learning_rate": 0.01,
  "training.num_steps": 2400,
  "training.report_every": 20,
  "training.validate_every": 200,
  "checkpoint.every": 50,
  "evaluation.num_replicates": 60,
}
TEXT = {**SIZES, **_SHARED, "model.time_sampler": "importance"}  # whose history is the model's state
MAPS = {
  **{key: value for key, value in SIZES.items() if key != "data.length"},
  **_SHARED,
  "data.splits": (500, 50, 50),
  "model.process": "uniform",
  "model.schedule": "cosine",
  "training.validation_samples": 4,
}


class Subject(NamedTuple):
  """A run, as its command line says it."""

  name: str
  config: str
  data: pathlib.Path
  settings: dict[str, object]
  num_processes: int = 1

  @property
  def num_steps(self) -> int:
    return int(self.settings["training.num_steps"])

  def training(self, workdir: pathlib.Path, *more: str) -> list[str]:
    """Returns the words of its command."""
    settings = {"data.path": self.data, **self.settings}
    overrides = [f"--config.{key}={value}" for key, value in settings.items()]
    return command("train", f"--config={self.config}", f"--workdir={workdir}", *overrides, *more)

  def reports(self, until: int) -> set[tuple[str, int]]:
    """Returns which reports a run has made that has come so far."""
    every = int(self.settings["training.report_every"])
    return {("train", step) for step in range(every, until + 1, every)}

  def validations(self, until: int) -> set[tuple[str, int]]:
    """Returns which validations a run has made that has come so far."""
    every = int(self.settings["training.validate_every"])
    steps = {*range(every, until + 1, every), *([until] if until == self.num_steps else [])}
    return {("validation", step) for step in steps}


def make_subjects(folder: pathlib.Path) -> dict[str, Subject]:
  """Writes the data and returns the runs by name."""
  folder.mkdir(parents=True, exist_ok=True)
  text, maps = words(folder / "text.txt"), map_ids(folder / "maps.npy")
  spread = {**TEXT, "mesh.data": 2, "training.num_steps": 600}
  return {
    "text": Subject("text", "text_file", text, TEXT),
    "maps": Subject("maps", "array_file", maps, MAPS),
    "two processes": Subject("two processes", "text_file", text, spread, num_processes=2),
  }
