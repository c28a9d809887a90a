"""A bipartite discrete flow on text8 (Tran et al., 2019, quoted in Table 3 of Hoogeboom et al., 2021).

  python -m launch.train --config=paper/text8_discrete_flow_bipartite --workdir=runs/text8_discrete_flow_bipartite

Eight layers that shift and scale every second character given the others, by three transformer layers each, over a base
of independent characters; 256 characters. Width, optimizer and number of steps were not published and are ours, as is
that scales without an inverse are never chosen. 77,498,544 parameters.

Expected: Tran et al. report 1.23 bits per character, without scales 1.29, exact. Nobody could reproduce it: no code for
text was released, and the two attempts that are known to us end at 4.4, above the entropy of single characters (4.12);
not run by this project.
Cost: about 8e18 FLOPs.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text8"},
      "model": {
        "kind": "discrete_flow",
        "coupling": "bipartite",
        "num_layers": 8,
        "conditioner": {"kind": "transformer", "width": 512, "num_layers": 3, "num_heads": 8},
      },
      "optimizer": {"kind": "adam", "learning_rate": 1e-4, "warmup_steps": 4000, "clip_norm": 1.0},
      "training": {"batch_size": 128, "num_steps": 500_000, "validate_every": 10_000},
    }
  )
