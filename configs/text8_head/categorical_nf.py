"""A small CategoricalNF on the head of text8: three latents a character, drawn back by Bayes' rule.

  python -m launch.train --config=text8_head/categorical_nf --workdir=runs/c --config.data.path=text8_head

The conditioner, the optimizer and the number of training characters are those of argmax_autoregressive.py.

Expected: 2.22 bits per character on the test part, an ELBO (measured, docs/RESULTS.md).
Cost: 7 to 13 minutes on one CPU core.
"""

from ml_collections import ConfigDict

from catgen.config import like


def get_config() -> ConfigDict:
  density = {"num_mixtures": 27, "actnorm": True, "base": "logistic"}
  return like(
    "text8_head/argmax_autoregressive",
    {
      "model.kind": "latent_emission",
      "model.encoding": {"kind": "mixture"},
      "model.weighting": {"kind": "fading_emission", "half_life_steps": 200},
      **{f"model.density.{key}": value for key, value in density.items()},
    },
  )
