"""Proves the likelihood of a config's model on a space small enough to enumerate.

  python -m launch.check --config=configs/quickstart.py

Takes the config's family with a small network, a few time steps and events of few positions and categories, trains it
shortly on made-up data, then enumerates all events: probabilities sum to one, ELBO <= log p, samples have the right
frequencies.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import flags

from catgen import experiment
from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split
from catgen.evaluation import proof
from catgen.interfaces import DataSource, EventSpec
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
}


def main() -> int:
  config = small_config(cli.config())
  made = experiment.make_experiment(config, made_up_source(), jax.devices()[:1])
  state = made.init()
  for step, batch in enumerate(experiment.batches(made, 0)):
    state, _ = made.train_step(state, batch, made.key, step)
  claims = proof.prove(
    made.model, state.params, state.model_state, key=jax.random.key(FLAGS.seed), num_draws=FLAGS.num_draws
  )
  space = f"{FLAGS.num_classes}^{FLAGS.length} = {FLAGS.num_classes**FLAGS.length} events"
  cli.say(f"{config['model']['kind']} on {space}, after {FLAGS.train_steps} training steps")
  cli.say(text.table(["claim", "holds", "numbers"], [[c.name, "yes" if c.passed else "NO", c.detail] for c in claims]))
  failed = [claim.name for claim in claims if not claim.passed]
  cli.say(f"{len(claims) - len(failed)} of {len(claims)} claims hold")
  return 1 if failed else 0


def small_config(config: dict[str, Any]) -> dict[str, Any]:
  """Returns the config with everything that costs time made small; what defines the model stays."""
  model = small_model(config["model"], FLAGS.length)
  if model.get("num_steps"):
    model["num_steps"] = FLAGS.time_steps
  training = {
    **config["training"],
    "batch_size": 64,
    "num_steps": FLAGS.train_steps,
    "num_microbatches": 1,
    "ema_decay": 0.0,
  }
  optimizer = {**config["optimizer"], "name": "adamw", "learning_rate": 3e-3, "warmup_steps": 0, "decay": "constant"}
  optimizer["adam_learning_rate"] = None
  mesh = {"data": 1, "fsdp": 1}
  return {**config, "seed": FLAGS.seed, "model": model, "training": training, "optimizer": optimizer, "mesh": mesh}


def small_model(section: Mapping[str, Any], length: int) -> dict[str, Any]:
  """Returns a section of the model and all sections in it with few features and layers (two where layers are flows)."""
  sizes = {**_SMALL, "window": length, "num_layers": 2 if "conditioner" in section else 1}
  sizes = {key: min(size, section[key]) for key, size in sizes.items() if key in section}
  inner = {key: small_model(value, length) for key, value in section.items() if isinstance(value, Mapping)}
  return {**section, **sizes, **inner, **({"dtype": "float32"} if "dtype" in section else {})}


def made_up_source() -> DataSource:
  """Returns events whose positions depend on each other: each repeats its neighbor with probability 0.8."""
  rng = np.random.default_rng(FLAGS.seed)
  k, length, number = FLAGS.num_classes, FLAGS.length, 4096
  x = rng.integers(0, k, (number, length))
  for position in range(1, length):
    x[:, position] = np.where(rng.random(number) < 0.8, x[:, position - 1], x[:, position])
  valid = np.ones(x.shape, bool)
  split = record_split(number, lambda numbers: (x[numbers].astype(np.int32), valid[numbers]))
  return DataSource(
    EventSpec((length,), k),
    {"train": split},
    integer_codec(k, (length,)),
    "value",
    None,
    "made up",
    "dependent positions",
  )


def define_flags() -> None:
  cli.define_config()
  flags.DEFINE_integer("num_classes", 3, "K of the small space")
  flags.DEFINE_integer("length", 2, "positions of the small space")
  flags.DEFINE_integer("time_steps", 8, "T of the small model, where the config's is discrete")
  flags.DEFINE_integer("train_steps", 300, "training before the proof")
  flags.DEFINE_integer("num_draws", 2000, "draws per event and estimator")
  flags.DEFINE_integer("seed", 0, "of everything")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
