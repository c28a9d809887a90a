"""Masked diffusion on a table with columns of all kinds, from a CSV or Parquet file; a small network for CPUs.

  python -m launch.train --config=table --workdir=runs/people --config.data.path=people.csv

What the columns are is found, by the rules of docs/TABLES.md: `python -m launch.columns --data=people.csv` lists them,
`--output=schema.json` writes them for --config.data.schema=schema.json. Labels: --config.data.labels=income.

Expected: no number yet; not run by this project.
Cost: about 2 minutes on two CPU cores where the table has 15 columns, in proportion where it has others.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "table_file"},
      "model": {
        "kind": "diffusion",
        "process": "absorbing",
        "schedule": "linear",
        "network": {"kind": "transformer"},
      },
      "optimizer": {"kind": "muon", "learning_rate": 1.2e-2, "adam_learning_rate": 3e-3, "warmup_steps": 50},
      "training": {"num_steps": 1600, "validate_every": 400},
      "evaluation": {"num_draws": 4},
    }
  )
