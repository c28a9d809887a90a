"""A small modern network on the first 11,747,521 characters of text8, for an hour on one CPU core.

  head -c 11747521 text8 > text8_head       # MD5 149517feb7492de2961f1b75e3039474
  python -m launch.train --config=configs/text8_head.py --workdir=runs/uniform --config.data.path=text8_head
  ... --config.model.process=absorbing --config.model.schedule=linear

All of it lies in the training part of text8's usual split: its numbers do not compare with published ones. Results
are in docs/RESULTS.md.
"""

from ml_collections import ConfigDict

from configs import base, quickstart


def get_config() -> ConfigDict:
  config = quickstart.get_config()
  config.data = base.text_file()
  config.data.update({"length": 128, "alphabet": "text8"})
  config.data.splits = (10_500_000, 600_000, 647_521)
  config.training.update({"num_steps": 4000, "validate_every": 500})
  return config
