"""A run of seconds through the entry points, and how to start one in a process of its own."""

import os
import pathlib
import sys

from catgen.config import load_config
from tests.compiling import xla_flags

ROOT = pathlib.Path(__file__).parent.parent.parent
SIZES = {
  "data.length": 16,
  "model.num_steps": 20,
  "model.network.width": 16,
  "model.network.num_layers": 1,
  "model.network.num_heads": 2,
  "training.batch_size": 8,
  "training.num_steps": 30,
  "training.report_every": 5,
  "training.validate_every": 10,
  "training.validation_examples": 32,
  "optimizer.warmup_steps": 2,
}
MAP_SIZES = {
  "data.splits": (500, 50, 50),
  "model.process": "uniform",
  "model.schedule": "cosine",
  "training.batch_size": 16,
  "training.num_steps": 160,
  "training.validate_every": 80,
  "optimizer.learning_rate": 0.03,
}
OVERRIDES = [f"--config.{key}={value}" for key, value in SIZES.items()]


def tiny_config(text, **changes):
  return load_config("text_file", {"data.path": str(text), **SIZES, **changes}).values


def tiny_map_config(path, **changes):
  """Uniform diffusion on the maps of a .npy file, 600 of them, trained until it corrects more than it breaks."""
  sizes = {key: value for key, value in SIZES.items() if key != "data.length"}
  return load_config("array_file", {"data.path": str(path), **sizes, **MAP_SIZES, **changes}).values


def command(script, *arguments):
  return [sys.executable, "-m", f"launch.{script}", *arguments]


def environment():
  return {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": xla_flags(num_devices=1)}
