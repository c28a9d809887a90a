"""Argmax flow on street scenes with softplus thresholding, and a density that goes from coarse to fine.

The same density, optimizer and number of maps as the other four flows beside it; as many maps as the diffusion models.
"""

from ml_collections import ConfigDict

from configs import base
from configs.street_scenes import multinomial


def get_config() -> ConfigDict:
  config = multinomial.get_config()
  config.model = base.argmax_flow()
  config.model.base = 0  # eight channels, no bits
  config.model.encoder = base.densenet_encoder()
  config.model.encoder.update({"width": 16, "num_layers": 2, "growth": 16})
  config.model.density = base.pyramid_density()
  config.model.density.conditioner.update({"width": 48, "num_layers": 2, "growth": 24})
  config.model.posterior_flow, config.model.num_context = base.map_coupling(), 8
  config.model.posterior_flow.update({"num_layers": 2, "squeeze": True})
  config.model.posterior_flow.conditioner.update({"width": 24, "num_layers": 1, "growth": 24})
  config.optimizer.update({"learning_rate": 5e-3, "clip_norm": 1.0})
  config.evaluation.num_draws = 1
  config.sampling = base.sampling()
  config.sampling.update({"num_samples": 16, "batch_size": 16})
  return config
