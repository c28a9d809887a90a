"""A gated PixelCNN on Cityscapes: the exact row that Table 4 of Hoogeboom et al. (2021) does not have.

  python -m launch.train --config=paper/cityscapes_pixelcnn --workdir=runs/pixelcnn --config.data.path=gtFine.zip

The path is that of your licensed copy, which has to be given once for all configurations of these data. 15 gated layers
of 128 features and windows of 5 (van den Oord et al., 2016), 9,616,776 parameters; 2,500 maps are few for it, hence
half of the gated features are dropped, and the best checkpoint by validation is kept. Maps are seen as often as by
cityscapes_multinomial.py, and as there those of the test are not augmented; the paper's were.

Expected: nothing was reported by anyone; not run by this project.
Cost: about 1.5e17 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 40


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "cityscapes", "shift": (4, 2)},
      "model": {
        "kind": "autoregressive",
        "network": {"kind": "pixel_cnn", "width": 128, "num_layers": 15, "size": 5, "dropout": 0.5},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-3, "warmup_steps": 500, "clip_norm": 1.0},
      "training": {"batch_size": 64, "num_steps": 500 * _STEPS_PER_EPOCH, "ema_decay": 0.999},
      "sampling": {"batch_size": 16},
    }
  )
