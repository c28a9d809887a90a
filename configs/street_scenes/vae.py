"""Variational autoencoder on street scenes: a flow as p(z), a conditional flow as q(z | x), a DenseNet as p(x | z).

  python -m launch.train --config=street_scenes/vae --workdir=runs/vae

The densities, optimizer and number of maps are those of argmax_softplus.py; a pixel is drawn given eight channels.

Expected: 0.294 bits per pixel of the test maps, an ELBO (measured, docs/RESULTS.md).
Cost: 25 to 60 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  whole = like("street_scenes/argmax_softplus")
  noise = {key: whole.model[key].to_dict() for key in ("encoder", "posterior_flow")}
  encoding = {
    "kind": "learned",
    **noise,
    "num_context": 8,
    "decoder": {"kind": "densenet", "width": 24, "num_layers": 2, "growth": 24},
  }
  whole.model = {"kind": "latent_emission", "encoding": encoding, "density": whole.model.density}
  return whole
