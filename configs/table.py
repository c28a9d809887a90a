"""Masked diffusion on a table with columns of all kinds, from a CSV or Parquet file; a small network for CPUs.

  python -m launch.train --config=table --workdir=runs/people --config.data.path=people.csv

What the columns are is found, by the rules of docs/TABLES.md: `python -m launch.columns --data=people.csv` lists them,
`--output=schema.json` writes them for --config.data.schema=schema.json. Labels: --config.data.labels=income.

Expected: 20.67 bits per row of the table Wage, an ELBO (measured, docs/RESULTS.md), by `catgen.fit`, which chooses
the same; columns by themselves need 21.07.
Cost: about 1 to 2 minutes on two CPU cores where the table has 10 columns, in proportion where it has others.
The network is one for up to some ten thousand rows. For more: --config.model.network.width=128
--config.model.network.num_layers=4 --config.model.network.dropout=0, and 30 times the rows / 128 as training.num_steps.
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
        "network": {"kind": "transformer", "width": 64, "num_layers": 2, "dropout": 0.2},
      },
      "optimizer": {"kind": "adam", "learning_rate": 2e-3, "warmup_steps": 50},
      "training": {"batch_size": 128, "num_steps": 600, "validate_every": 60},
      "evaluation": {"num_draws": 4},
    }
  )
