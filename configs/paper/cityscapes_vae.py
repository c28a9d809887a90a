"""Variational autoencoder on Cityscapes (Hoogeboom et al., 2021, appendix B.2); its result stands in no table.

  python -m launch.train --config=paper/cityscapes_vae --workdir=runs/cityscapes_vae

The paper says: p(z) is the flow of four levels of cityscapes_argmax_softplus.py, q(z | x) its flow of eight subflows
without a constraint, p(x | z) a DenseNet with a category for each pixel; trained as the flows are. Decided here, where
the paper is silent: z has eight channels at every pixel, as many as v has there; the decoder is a DenseNet of the size
of the couplings'; the KL divergence has the weight 1 from the first step on.

Expected: nothing that the paper states; its argmax flow with the same parts needs 0.303 bits per pixel (the paper's
number; not run by this project).
Cost: about 1.6e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  whole = like("paper/cityscapes_argmax_softplus")
  noise = {key: whole.model[key].to_dict() for key in ("encoder", "posterior_flow")}
  encoding = {"kind": "learned", **noise, "num_context": 32, "decoder": {"kind": "densenet"}}
  whole.model = {"kind": "latent_emission", "encoding": encoding, "density": whole.model.density}
  return whole
