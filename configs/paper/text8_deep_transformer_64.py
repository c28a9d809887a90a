"""The deep character transformer of 64 layers on text8 (Al-Rfou et al., 2019; a row of Hoogeboom et al.'s Table 3).

  python -m launch.train --config=paper/text8_deep_transformer_64 --workdir=runs/text8_deep_64
  python -m launch.evaluate --workdir=runs/text8_deep_64 --context=511

235,471,360 parameters in training, 218,792,704 without the heads that only training needs; see the 12 layers' file.

Expected: 1.13 bits per character on the test split, exact, each character given the 512 before it (the paper's number;
not run by this project). Without --context windows are scored by themselves: another number, and a higher one.
Cost: about 5e19 FLOPs of training; --context=511 takes a pass of 240 GFLOP for every character of the test split.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/text8_deep_transformer_12", {"model.network.num_layers": 64, "model.network.scan_layers": True})
