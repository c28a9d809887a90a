"""What can have happened to a work directory, as functions of its folder."""

import json
import os
import shutil

import numpy as np

HUGE = 10**30
DEEP = "[" * 100_000
RECORD = {
  "split": "test",
  "estimator": "elbo",
  "unit": "bits per character",
  "value": 1.0,
  "step": 20,
  "num_draws": 4,
  "num_replicates": 4,
  "num_examples": 3,
  "monte_carlo_error": 0.1,
  "data_fingerprint": "f",
  "ema": False,
}
SCORES = {"nats": np.zeros((4, 3)), "numbers": np.arange(3), "positions": np.full(3, 16)}


class Touching:
  """Whoever unpickles it makes a file in the working directory."""

  def __reduce__(self):
    return os.mkdir, ("code was run",)


def key(name, value=...):
  """Sets a key of config.json, "config.seed", or takes it away."""

  def damage(folder):
    content = json.loads((folder / "config.json").read_text())
    *sections, last = name.split(".")
    inner = content
    for section in sections:
      inner = inner[section]
    if value is ...:
      del inner[last]
    else:
      inner[last] = value
    (folder / "config.json").write_text(json.dumps(content))

  return damage


def written(name, content=b""):
  """Writes a file in place of what there was."""

  def damage(folder):
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

  return damage


def folder_for(name):
  """Makes a folder in place of what there was."""

  def damage(folder):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()

  return damage


def every(pattern, content):
  """Writes the same into all files of a pattern."""

  def damage(folder):
    paths = [path for path in folder.glob(pattern) if path.is_file()]
    assert paths
    for path in paths:
      path.write_bytes(content if isinstance(content, bytes) else content.encode())

  return damage


def without(name):
  """Removes a file or a folder."""

  def damage(folder):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()

  return damage


def evaluated(scores=None, **changes):
  """Leaves an evaluation; a change to None takes a key, or an array, away; scores are bytes or arrays."""

  def damage(folder):
    record = {name: value for name, value in {**RECORD, **changes}.items() if value is not None}
    (folder / "results.json").write_text(json.dumps([record]))
    path = folder / "scores" / "test_20_elbo_4.npz"
    path.parent.mkdir(exist_ok=True)
    if isinstance(scores, bytes):
      path.write_bytes(scores)
    else:
      arrays = {name: array for name, array in {**SCORES, **(scores or {})}.items() if array is not None}
      np.savez(path, **arrays)

  return damage
