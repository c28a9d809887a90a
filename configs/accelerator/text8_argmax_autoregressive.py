"""Autoregressive argmax flow on text8 with transformers instead of LSTMs: a training step has no loop over positions.

  python -m launch.train --config=configs/accelerator/text8_argmax_autoregressive.py --workdir=runs/a

The published flow of configs/paper/text8_argmax_autoregressive.py otherwise, with random crops. A sample is one scan
with a key and value cache. Not run by this project yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.text8()
  config.model = base.argmax_flow()
  config.model.encoder = {"kind": "transformer", "width": 512, "num_layers": 2, "num_heads": 8, "dtype": "bfloat16"}
  config.model.density.conditioner = {
    "kind": "transformer",
    "width": 768,
    "num_layers": 12,
    "num_heads": 12,
    "dropout": 0.05,
    "dtype": "bfloat16",
  }
  config.optimizer.update({"learning_rate": 5e-4, "warmup_steps": 2000, "weight_decay": 0.03, "clip_norm": 1.0})
  config.training.update({"batch_size": 256, "num_steps": 200_000, "validate_every": 5000, "ema_decay": 0.999})
  return config
