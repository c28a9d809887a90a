"""The deep character transformer of 64 layers on enwik8 (Al-Rfou et al., 2019; a row of Hoogeboom et al.'s Table 3).

  python -m launch.train --config=paper/enwik8_deep_transformer_64 --workdir=runs/enwik8_deep_64
  python -m launch.evaluate --workdir=runs/enwik8_deep_64 --context=511

All is as in text8_deep_transformer_64.py, which reads bytes too: 235,471,360 parameters in training, 218,792,704 after.

Expected: 1.06 bits per byte on the test split, exact, each byte given the 512 before it (the paper's number; not run by
this project). Without --context windows are scored by themselves: another number, and a higher one.
Cost: about 5e19 FLOPs of training; --context=511 takes a pass of 240 GFLOP for every byte of the test split.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like("paper/enwik8_deep_transformer_12", {"model.network.num_layers": 64, "model.network.scan_layers": True})
