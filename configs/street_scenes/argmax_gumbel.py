"""Argmax flow on street scenes with Gumbels conditioned on their argmax: no flow in q(v | x)."""

from ml_collections import ConfigDict

from configs.street_scenes import argmax_softplus


def get_config() -> ConfigDict:
  config = argmax_softplus.get_config()
  config.model.inverse = "gumbel"
  del config.model.posterior_flow, config.model.num_context
  return config
