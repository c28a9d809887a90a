"""A small U-Net in multinomial diffusion on street scenes."""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.street_scenes()
  config.model.schedule = "cosine"
  config.model.network = base.unet()
  config.model.network.update({"widths": (32, 64, 96), "patch_size": 2, "num_layers": 3})
  config.optimizer.update({"name": "muon", "learning_rate": 1e-2, "adam_learning_rate": 2e-3, "warmup_steps": 50})
  config.training.update(
    {"batch_size": 4, "num_steps": 3000, "validate_every": 1000, "validation_examples": 128, "ema_decay": 0.99}
  )
  config.evaluation.num_draws = 4
  config.sampling.update({"num_samples": 16, "batch_size": 16, "num_steps": 250})
  return config
