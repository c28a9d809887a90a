"""Masked diffusion on records, one a line: sentences, proteins, DNA; a small network for CPUs.

  python -m launch.train --config=text_lines --workdir=runs/mine --config.data.path=proteins.txt

Other records: --config.data=fasta (sequences), --config.data=text_table (a column of a .csv, .tsv or .jsonl file). With
--config.data.end=True the length of records is part of the model.

Expected: bits per character below those of counts (`launch.baselines`); not run by this project.
Cost: about 14 minutes on two CPU cores.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "text_lines", "length": 128},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {"kind": "transformer", "conv_width": 5},
      },
      "optimizer": {"kind": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50},
      "training": {"num_steps": 1600, "validate_every": 400},
      "evaluation": {"num_draws": 4},
    }
  )
