"""A small Transformer-XL on the head of text8, which reads 32 streams on and remembers 64 characters of each.

  python -m launch.train --config=text8_head/transformer_xl --workdir=runs/a --config.data.path=text8_head
  python -m launch.evaluate --workdir=runs/a --memory=64 --batch_size=10      # carried over the test part
  python -m launch.evaluate --workdir=runs/a                                  # each 64 characters by themselves

Without memory: --config.model.network.memory_length=0 --config.training.streams=False

Expected: 2.26 bits per character on the test part with the memory, and 2.42 of each 64 characters by themselves: exact,
two protocols and two numbers (measured, docs/RESULTS.md).
Cost: about 15 minutes on one CPU core that is not disturbed.
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
