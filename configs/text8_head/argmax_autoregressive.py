"""A small autoregressive argmax flow, for ten minutes on a CPU core.

The same flow, optimizer and number of training characters as the other two autoregressive flows beside it, which only
differ in how categories become latents. Samples by one scan over the positions.
"""

from ml_collections import ConfigDict

from configs import base
from configs.text8_head import diffusion


def get_config() -> ConfigDict:
  config = diffusion.get_config()
  config.model = base.argmax_flow()
  config.model.encoder.update({"width": 128, "lstm_width": 128, "output_width": 64})
  config.model.density.update({"num_mixtures": 8, "num_features": 256, "hidden_width": 64, "channel_features": 16})
  config.model.density.conditioner.update(
    {"hidden_width": 128, "width": 160, "time_width": 32, "lstm_width": 256, "num_layers": 1}
  )
  config.optimizer = base.optimizer()
  config.optimizer.update({"name": "adam", "learning_rate": 5e-3, "warmup_steps": 200, "clip_norm": 1.0})
  config.training.num_steps = 1000
  config.evaluation.num_draws = 1
  return config
