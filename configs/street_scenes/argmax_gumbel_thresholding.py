"""Argmax flow on street scenes with thresholding by Gumbels."""

from ml_collections import ConfigDict

from configs.street_scenes import argmax_softplus


def get_config() -> ConfigDict:
  config = argmax_softplus.get_config()
  config.model.update({"inverse": "gumbel_thresholding", "noise_base": "logistic"})
  return config
