"""Multinomial diffusion on Cityscapes (Hoogeboom et al., 2021, Table 4), as published.

  python -m launch.train --config=paper/cityscapes_multinomial --workdir=runs/a --config.data.path=gtFine.zip

The path is that of your licensed copy, which has to be given once for all configurations of these data.
The paper's U-Net, 29,839,184 parameters, T = 4000, 500 epochs of 40 steps of 64 maps. Masked diffusion, which the paper
does not have: --config.model.process=absorbing --config.model.schedule=linear

Training maps are flipped and moved by up to 4 pixels up and down and 2 sideways, as in the original, which did the same
to the maps that it was tested on; here they are as they are, so the numbers do not compare strictly.

Expected: 0.305 bits per pixel on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2e16 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 40


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "cityscapes", "shift": (4, 2)},
      "model": {
        "kind": "diffusion",
        "schedule": "paper_cosine",
        "num_steps": 4000,
        "time_sampler": "importance",
        "network": {"kind": "linear_attention_unet"},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-4, "warmup_steps": 5, "decay": "constant"},
      "training": {"batch_size": 64, "num_steps": 500 * _STEPS_PER_EPOCH},
    }
  )
