"""CategoricalNF on text8 (Lippe and Gavves, 2021), the row of that name in Table 3 of Hoogeboom et al. (2021).

  python -m launch.train --config=paper/text8_categorical_nf --workdir=runs/text8_categorical_nf

16,086,169 parameters: the original's 16,222,425 less 8,192 second biases of LSTM gates, which are redundant, and less
the zeros of its block-diagonal matrices, 576 and 127,488. 100,000 steps of 128 sequences of 256 characters from
anywhere.

Each character is a logistic in three dimensions; one autoregressive layer of 27 mixtures on a logistic base. As in the
original's code: the prior in Bayes' rule is uniform, the weight of log p(x | z) fades from 2 to 1 in training.

Expected: 1.45 bits per character on the test split, an ELBO of one draw on chunks of 256 characters with nothing
carried over (the paper's number; not run by this project).
Cost: about 3.2e17 FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "latent_emission",
        "encoding": {"kind": "mixture"},
        "density": {
          "kind": "autoregressive",
          "num_features": 512,
          "hidden_width": 256,
          "actnorm": True,
          "base": "logistic",
          "conditioner": {
            "kind": "lstm",
            "hidden_width": 512,
            "width": 512,
            "time_width": 128,
            "lstm_width": 1024,
            "input_dropout": 0.05,
          },
        },
        "weighting": "fading_emission",
      },
      "optimizer": {
        "kind": "radam",
        "learning_rate": 7.5e-4,
        "decay": {"kind": "exponential", "factor": 0.999975, "every": 1},
        "clip_norm": 0.25,
      },
      "training": {"batch_size": 128, "num_steps": 100_000},
    }
  )
