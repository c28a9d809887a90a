"""Argmax flow on street scenes with softplus thresholding, and a density that goes from coarse to fine.

  python -m launch.train --config=street_scenes/argmax_softplus --workdir=runs/argmax_softplus

The same density, optimizer and number of maps as the other five flows beside it; as many maps as the diffusion models.

Expected: 0.317 bits per pixel on the test split, an ELBO (measured, docs/RESULTS.md).
Cost: 6 to 16 minutes on one CPU core.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "street_scenes"},
      "model": {
        "kind": "argmax_flow",
        "encoder": {"kind": "densenet", "width": 16, "num_layers": 2, "growth": 16},
        "density": {
          "kind": "pyramid",
          "conditioner": {"kind": "densenet", "width": 48, "num_layers": 2, "growth": 24},
        },
        "num_context": 8,
        "posterior_flow": {
          "kind": "map_coupling",
          "num_layers": 2,
          "squeeze": True,
          "conditioner": {"kind": "densenet", "width": 24, "num_layers": 1, "growth": 24},
        },
      },
      "optimizer": {"kind": "muon", "learning_rate": 5e-3, "warmup_steps": 50, "clip_norm": 1.0},
      "training": {"batch_size": 4, "num_steps": 3000, "validation_examples": 128, "ema_decay": 0.99},
      "sampling": {"num_samples": 16, "batch_size": 16},
    }
  )
