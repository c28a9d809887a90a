"""A run of seconds through the entry points, and how to start one in a process of its own."""

import importlib
import os
import pathlib
import sys

from launch.cli import resolved

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
OVERRIDES = [f"--config.{key}={value}" for key, value in SIZES.items()]


def tiny_config(text, **changes):
  module = importlib.import_module("configs.text_file")
  config = module.get_config()
  config.data.path = str(text)
  config.update_from_flattened_dict({**SIZES, **changes})
  return resolved(config)


def command(script, *arguments):
  return [sys.executable, "-m", f"launch.{script}", *arguments]


def environment():
  return {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
