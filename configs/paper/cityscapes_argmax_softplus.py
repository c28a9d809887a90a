"""Argmax flow on Cityscapes with softplus thresholding (Hoogeboom et al., 2021, Table 4).

  python -m launch.train --config=paper/cityscapes_argmax_softplus --workdir=runs/cityscapes_argmax_softplus

47,794,712 parameters as decided here, 2000 epochs of 40 steps of 64 maps.

The paper says: p(v) has 4 levels of 10 subflows (1 x 1 convolution, affine coupling with a DenseNet) with squeezing in
between; q(u | x) has one level of 8 subflows, whose couplings also read a DenseNet's features of x; Adamax at 1e-3,
times 0.995 an epoch after a linear warm-up of 10. No code was published. Decided here, where the paper is silent:
- the couplings' DenseNets have 64 features, 10 layers and growth 64 with gates, and end in zeros; the one on x has 32
  features, 4 layers and growth 16, and gives 32 features: the same authors' public flow of images;
- log-scales of couplings are 2 tanh(a / 2), as there; no dropout;
- each subflow starts with ActNorm; half of the channels end after each level but the last, at learned normals;
- u starts as a normal, whose location and scale come from the DenseNet on x;
- rates decay as the paper says (in the original's text experiments the warm-up overwrites the decay);
- training maps are flipped and moved as in cityscapes_multinomial.py, test maps are not.

Expected: 0.303 bits per pixel on the test split as an ELBO, 0.290 with 1000 importance weights (the paper's numbers;
not run by this project).
Cost: about 1.6e18 FLOPs.
"""

from ml_collections import ConfigDict

_STEPS_PER_EPOCH = 40


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "cityscapes", "shift": (4, 2)},
      "model": {
        "kind": "argmax_flow",
        "encoder": {"kind": "densenet", "width": 32, "num_layers": 4, "growth": 16},
        "density": {"kind": "multi_scale", "conditioner": {"kind": "densenet"}},
        "num_context": 32,
        "posterior_flow": {"kind": "map_coupling", "conditioner": {"kind": "densenet"}},
      },
      "optimizer": {
        "kind": "adamax",
        "learning_rate": 1e-3,
        "warmup_steps": 10 * _STEPS_PER_EPOCH,
        "decay": {"kind": "exponential", "factor": 0.995, "every": _STEPS_PER_EPOCH},
      },
      "training": {"batch_size": 64, "num_steps": 2000 * _STEPS_PER_EPOCH},
    }
  )
