"""Argmax flow on street scenes over three bits a pixel instead of eight channels: smaller and faster."""

from ml_collections import ConfigDict

from configs.street_scenes import argmax_softplus


def get_config() -> ConfigDict:
  config = argmax_softplus.get_config()
  config.model.base = 2
  return config
