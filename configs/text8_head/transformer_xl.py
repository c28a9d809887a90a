"""A small Transformer-XL on the head of text8, which reads 32 streams on and remembers 64 characters of each.

  python -m launch.train --config=text8_head/transformer_xl --workdir=runs/a --config.data.path=text8_head
  python -m launch.evaluate --workdir=runs/a --memory=64 --batch_size=10      # carried over the test part
  python -m launch.evaluate --workdir=runs/a                                  # each 64 characters by themselves

Without memory: --config.model.network.memory_length=0 --config.training.streams=False

Expected: not run by this project yet; both numbers are exact, and differ.
Cost: about 10 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text_file", "length": 64, "alphabet": "text8", "splits": (10_500_000, 600_000, 647_521)},
      "model": {"kind": "autoregressive", "network": {"kind": "transformer_xl"}},
      "optimizer": {"kind": "adam", "learning_rate": 1e-3, "warmup_steps": 200, "clip_norm": 0.25},
      "training": {"num_steps": 2000, "streams": True, "validate_every": 500},
    }
  )
