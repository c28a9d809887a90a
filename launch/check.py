"""Proves the likelihood of a config's model on a space small enough to enumerate.

  python -m launch.check --config=configs/quickstart.py

Takes the config's family with a small network, a few time steps and events of few positions and categories, trains it
shortly on made-up data, then enumerates all events: probabilities sum to one, ELBO <= log p, samples have the right
frequencies.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import flags

from catgen import experiment
from catgen.batches import batch_of
from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split
from catgen.evaluation import proof
from catgen.interfaces import DataSource, EventSpec, InputError
from catgen.reporting import text
from launch import cli

FLAGS = flags.FLAGS
# Sizes of the small model's parts, where the config has larger ones.
_SMALL = {
  "width": 32,
  "num_heads": 2,
  "dropout": 0.0,
  "time_width": 16,
  "hidden_width": 32,
  "lstm_width": 32,
  "output_width": 32,
  "num_features": 32,
  "num_mixtures": 4,
  "channel_features": 8,
  "input_dropout": 0.0,
  "growth": 8,
  "num_blocks": 1,
  "patch_size": 1,
  "widths": (16, 16),  # of levels: a map of 2 x 2 can be halved once
  "multipliers": (1, 2),
}


def main() -> int:
  given = cli.config()
  shape = event_shape(given["data"])
  config = small_config(given, shape)
  made = experiment.make_experiment(config, made_up_source(shape), jax.devices()[:1])
  state = made.init()
  for step, batch in enumerate(experiment.batches(made, 0)):
    state, _ = made.train_step(state, batch, made.key, step)
  claims = proof.prove(
    made.model, state.params, state.model_state, key=jax.random.key(FLAGS.seed), num_draws=FLAGS.num_draws
  )
  space = f"{FLAGS.num_classes}^{math.prod(shape)} = {FLAGS.num_classes ** math.prod(shape)} events"
  cli.say(f"{config['model']['kind']} on {space}, after {FLAGS.train_steps} training steps")
  answers = {True: "yes", False: "NO", None: "unclear"}
  cli.say(text.table(["claim", "holds", "numbers"], [[c.name, answers[c.passed], c.detail] for c in claims]))
  holding, unclear = (sum(claim.passed is answer for claim in claims) for answer in (True, None))
  cli.say(
    f"{holding} of {len(claims)} claims hold" + (f", {unclear} cannot be told from these draws" if unclear else "")
  )
  return 0 if holding == len(claims) else 1


def event_shape(data: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the shape of the small events: two positions, or two by two where the config's data are maps."""
  if FLAGS.shape is None:
    return (2, 2) if "shape" in data else (2,)
  if not all(size.isdecimal() and int(size) > 0 for size in FLAGS.shape):
    raise InputError(f"--shape={','.join(FLAGS.shape)} must be positive whole numbers, such as 2 or 2,2")
  return tuple(map(int, FLAGS.shape))


def small_config(config: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
  """Returns the config with everything that costs time made small; what defines the model stays."""
  model = small_model(config["model"], math.prod(shape))
  if model.get("num_steps"):
    model["num_steps"] = FLAGS.time_steps
  training = {
    **config["training"],
    "batch_size": 64,
    "num_steps": FLAGS.train_steps,
    "num_microbatches": 1,
    "ema_decay": 0.0,
  }
  optimizer = {"kind": "adamw", "learning_rate": 3e-3, "decay": {"kind": "constant"}}
  mesh = {"data": 1, "fsdp": 1}
  return {**config, "seed": FLAGS.seed, "model": model, "training": training, "optimizer": optimizer, "mesh": mesh}


def small_model(section: Mapping[str, Any], num_positions: int) -> dict[str, Any]:
  """Returns a section of the model and all sections in it with few features and layers (two where layers are flows)."""
  sizes = {**_SMALL, "window": num_positions, "num_layers": 2 if "conditioner" in section else 1}
  sizes["num_levels"] = 1 if section.get("squeeze_first") or section.get("kind") == "pyramid" else 2
  sizes = {key: _smaller(size, section[key]) for key, size in sizes.items() if key in section}
  inner = {key: small_model(value, num_positions) for key, value in section.items() if isinstance(value, Mapping)}
  return {**section, **sizes, **inner, **({"dtype": "float32"} if "dtype" in section else {})}


def _smaller(size: Any, given: Any) -> Any:
  return tuple(map(min, size, given)) if isinstance(size, tuple) else min(size, given)


def made_up_source(shape: tuple[int, ...]) -> DataSource:
  """Returns events whose positions depend on each other: each repeats the one before it with probability 0.8."""
  rng = np.random.default_rng(FLAGS.seed)
  k, length, number = FLAGS.num_classes, math.prod(shape), 4096
  x = rng.integers(0, k, (number, length))
  for position in range(1, length):
    x[:, position] = np.where(rng.random(number) < 0.8, x[:, position - 1], x[:, position])
  x = x.reshape(number, *shape).astype(np.int32)
  split = record_split(number, lambda numbers: batch_of(x[numbers], index=numbers))
  codec = integer_codec(k, shape)
  return DataSource(EventSpec(shape, k), {"train": split}, codec, "value", None, "made up", "dependent positions")


def define_flags() -> None:
  cli.define_config()
  flags.DEFINE_integer("num_classes", 3, "K of the small space")
  flags.DEFINE_list("shape", None, "of events of the small space; default: 2, or 2,2 where the config's data are maps")
  flags.DEFINE_integer("time_steps", 8, "T of the small model, where the config's is discrete")
  flags.DEFINE_integer("train_steps", 300, "training before the proof")
  flags.DEFINE_integer("num_draws", 2000, "draws per event and estimator")
  flags.DEFINE_integer("seed", 0, "of everything")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
