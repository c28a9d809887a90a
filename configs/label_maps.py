"""Label maps of yours, a folder of PNG files, a .npy or a .npz: by diffusion, or by a row of configs/street_scenes.

  python -m launch.train --config=label_maps --workdir=runs/maps --config.data.path=folder_or_file
  python -m launch.train --config=label_maps:argmax_softplus --workdir=runs/flow --config.data.path=...

Height and width must be multiples of 4, or of 32 for the flows: --config.data.shape="(32, 64)" brings maps to a size.
Ids: --config.data.ignore=255 leaves out void pixels (not for the flows), --config.data.relabel=true numbers ids that
are far apart, --config.data.mapping=table.csv says what ids or colors become; RGB maps need that, or data.colors.

Expected: on CamVid by the rows, 0.385 (multinomial) to 0.936 (round_uniform) bits per pixel on the test split, ELBOs
(measured, docs/RESULTS.md). The exact rows, pixel_cnn, raster_transformer and denoising_flow, and the larger network
without a name after the colon were not run by this project.
Cost: by the rows 4 to 16 minutes on one CPU core for maps of 32 x 64 (raster_transformer: hours); without a name about
10 on two.
"""

from typing import Any

from ml_collections import ConfigDict

from catgen.interfaces import InputError

_MUON = {"kind": "muon", "warmup_steps": 50}
_CONDITIONER = {"kind": "densenet", "width": 48, "num_layers": 2, "growth": 24}
_EXACT: dict[str, dict[str, Any]] = {
  "pixel_cnn": {"kind": "autoregressive", "network": {"kind": "pixel_cnn", "width": 32, "num_layers": 8}},
  "raster_transformer": {
    "kind": "autoregressive",
    "network": {"kind": "transformer", "width": 64, "num_layers": 3, "num_heads": 2},
  },
  "denoising_flow": {"kind": "denoising_flow", "num_levels": 4, "num_sorted": 4, "conditioner": _CONDITIONER},
}


def get_config(row: str = "") -> ConfigDict:
  """Returns the configuration; `row` is the name of a file of configs/street_scenes, whose training it has too."""
  if row:
    return ConfigDict({"data": {"kind": "label_maps"}, **_row(row)})
  return ConfigDict(
    {
      "data": {"kind": "label_maps"},
      "model": {"kind": "diffusion", "network": {"kind": "unet", "patch_size": 2, "widths": (64, 128)}},
      "optimizer": _MUON,
      "training": {"batch_size": 16, "num_steps": 2000, "validate_every": 500, "validation_examples": 64},
      "evaluation": {"num_draws": 4, "max_examples": 64},
    }
  )


def _row(name: str) -> dict[str, Any]:
  rows: dict[str, dict[str, Any]] = {"multinomial": {}, "absorbing": {"process": "absorbing", "schedule": "linear"}}
  training = {"batch_size": 4, "num_steps": 3000, "validation_examples": 128, "ema_decay": 0.99}
  sampling = {"num_samples": 16, "batch_size": 16}
  if name in rows:
    network = {"kind": "unet", "widths": (32, 64, 96), "patch_size": 2, "num_layers": 3}
    return {
      "model": {"kind": "diffusion", "network": network, **rows[name]},
      "optimizer": _MUON,
      "training": training,
      "evaluation": {"num_draws": 4},
      "sampling": {**sampling, "num_steps": 250},
    }
  optimizer = {**_MUON, "learning_rate": 5e-3, "clip_norm": 1.0}
  model = _EXACT[name] if name in _EXACT else _flow(name)
  return {"model": model, "optimizer": optimizer, "training": training, "sampling": sampling}


def _flow(name: str) -> dict[str, Any]:
  """Returns one of the flows, which share a density that goes from coarse to fine."""
  conditioner = {"kind": "densenet", "width": 24, "num_layers": 1, "growth": 24}
  layers = {"kind": "map_coupling", "num_layers": 2, "squeeze": True, "conditioner": conditioner}
  encoder = {"encoder": {"kind": "densenet", "width": 16, "num_layers": 2, "growth": 16}}
  learned = {**encoder, "posterior_flow": layers, "num_context": 8}
  decoder = {"kind": "densenet", "width": 24, "num_layers": 2, "growth": 24}
  rows: dict[str, dict[str, Any]] = {
    "argmax_softplus": {"kind": "argmax_flow", **learned},
    "argmax_bits": {"kind": "argmax_flow", "base": 2, **learned},
    "argmax_gumbel": {"kind": "argmax_flow", "inverse": "gumbel", **encoder},
    "argmax_gumbel_thresholding": {
      "kind": "argmax_flow",
      "inverse": "gumbel_thresholding",
      "noise_base": "logistic",
      **learned,
    },
    "round_uniform": {"kind": "dequantized_flow"},
    "round_variational": {"kind": "dequantized_flow", "noise": "variational", **learned},
    "vae": {"kind": "latent_emission", "encoding": {"kind": "learned", "decoder": decoder, **learned}},
  }
  if name not in rows:
    raise InputError(
      f"--config=label_maps:{name} does not exist; choose one of multinomial, absorbing, {', '.join([*_EXACT, *rows])}"
    )
  return {**rows[name], "density": {"kind": "pyramid", "conditioner": _CONDITIONER}}
