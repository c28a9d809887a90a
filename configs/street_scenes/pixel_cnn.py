"""A gated PixelCNN on street scenes: the exact row, each pixel given those before it.

  python -m launch.train --config=street_scenes/pixel_cnn --workdir=runs/pixel_cnn

Expected: 0.182 bits per pixel on the test split, exact (measured, docs/RESULTS.md).
Cost: about 15 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "street_scenes"},
      "model": {"kind": "autoregressive", "network": {"kind": "pixel_cnn", "width": 32, "num_layers": 8}},
      "optimizer": {"kind": "muon", "learning_rate": 5e-3, "warmup_steps": 50, "clip_norm": 1.0},
      "training": {"batch_size": 4, "num_steps": 3000, "validation_examples": 128, "ema_decay": 0.99},
      "sampling": {"num_samples": 16, "batch_size": 16},
    }
  )
