"""Multinomial diffusion on Cityscapes (Hoogeboom et al., 2021, Table 4), as published.

  python -m launch.train --config=configs/paper/cityscapes_multinomial.py --workdir=runs/a --config.data.path=gtFine.zip

The path is that of your licensed copy, which has to be given once for all configurations of these data.
Published: 0.305 bits per pixel on the test split, an ELBO (the paper's number). The paper's U-Net, 29,839,184
parameters, T = 4000, 500 epochs of 40 steps of 64 maps; not run by this project. Masked diffusion, which the paper does
not have: --config.model.process=absorbing --config.model.schedule=linear

Training maps are flipped and moved by up to 4 pixels up and down and 2 sideways, as in the original, which did the same
to the maps that it was tested on; here they are as they are, so the numbers do not compare strictly.
"""

from ml_collections import ConfigDict

from configs import base

_STEPS_PER_EPOCH = 40


def get_config() -> ConfigDict:
  config = base.get_config()
  config.data = base.cityscapes()
  config.data.update({"flip": True, "shift": (4, 2)})
  config.model.update({"schedule": "paper_cosine", "num_steps": 4000, "time_sampler": "importance"})
  config.model.network = base.linear_attention_unet()
  config.optimizer.update({"name": "adam", "learning_rate": 1e-4, "warmup_steps": 5, "decay": "constant"})
  config.training.update(
    {"batch_size": 64, "num_steps": 500 * _STEPS_PER_EPOCH, "validate_every": 25 * _STEPS_PER_EPOCH}
  )
  return config
