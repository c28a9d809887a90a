"""Argmax flow of couplings on text8 (Hoogeboom et al., 2021, Table 2), as published.

  python -m launch.train --config=configs/paper/text8_argmax_coupling.py --workdir=runs/a

Published: 1.82 bits per character on the test split, an ELBO (the paper's number). Categories are 5 bits, the noise is
a Gaussian of the position's own category, thresholded by softplus; p(v) is eight couplings of 8 logistic mixtures after
two bidirectional LSTMs of 512. 81,088,907 parameters: the original's 81,154,443 less its second LSTM biases. 40 epochs
of 21,973 steps; not run by this project.

The rate is constant after the warm-up: in the original the warm-up overwrites the decay of 0.995 an epoch that the
paper states.
"""

from ml_collections import ConfigDict

from configs import base

_STEPS_PER_EPOCH = 21_973


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.text8()
  config.model = base.argmax_flow()
  config.model.encoder = {"kind": "per_position", "width": 512, "output_width": 128}
  config.model.density = base.coupling_density()
  config.model.density.conditioner.input_dropout = 0.05
  config.optimizer.update({"name": "adamax", "learning_rate": 1e-3, "warmup_steps": 1000, "decay": "constant"})
  config.training.update(
    {"batch_size": 16, "num_steps": 40 * _STEPS_PER_EPOCH, "crops": False, "validate_every": _STEPS_PER_EPOCH}
  )
  return config
