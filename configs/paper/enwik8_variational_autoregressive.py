"""Autoregressive flow on one-hot enwik8 with variational dequantization (Hoogeboom et al., 2021, Table 2).

  python -m launch.train --config=paper/enwik8_variational_autoregressive --workdir=runs/a

The paper says that the flow is the argmax row's, on 256 channels, and no more. Decided here: encoder, density,
optimizer, batch and epochs are those of enwik8_argmax_autoregressive.py; the noise is the sigmoid of a logistic.

With 256 channels the argmax row's channel network would have three billion weights: here it is narrower, 64 hidden and
8 read features per channel: 118,189,920 parameters in all, about as many as text8_variational_autoregressive.py has.
Gradients are accumulated over four parts of a batch, for memory.

Expected: 1.44 bits per byte on the test split, an ELBO (the paper's number; not run by this project).
Cost: about 2.5e18 FLOPs.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  return like(
    "paper/enwik8_argmax_autoregressive",
    {
      "model.kind": "dequantized_flow",
      "model.noise": "variational",
      "model.base": 0,
      "model.density.hidden_width": 64,
      "model.density.channel_features": 8,
      "training.num_microbatches": 4,
    },
  )
