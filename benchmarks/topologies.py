"""The table of docs/RESULTS.md, "Compiled for accelerators that were not there".

  python -m benchmarks.topologies --folder=runs/topologies --rows=paper,masked_h100

Each row is a dry run of `launch.train` in a process of its own, one after another; what is in the folder is not
compiled again. Needs the extras tpu and cuda12. Rows take from half a minute to ten on two quiet cores.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from catgen.interfaces import InputError
from catgen.reporting import terminal
from catgen.runs.command import Command
from launch import cli

_SCAN = ("--config.model.network.scan_layers=True",)
_MASKED = ("--config=accelerator/text8_diffusion",)
_SUBWORDS = (  # as many tokens as GPT-2 has
  "--config.data=array_file",
  "--config.data.path=tokens.npy",
  "--config.data.num_classes=50257",
  "--config.data.length=256",
)
_BILLION = ("--config=accelerator/text8_billion",)
_V5E16, _FSDP16 = ("--topology=tpu:v5e:4x4",), ("--topology=tpu:v5e:4x4", "--config.mesh.fsdp=16")
ROWS: Mapping[str, tuple[str, ...]] = {
  "paper": ("--config=paper/text8_multinomial", "--topology=tpu:v5e:2x2"),
  "masked": (*_MASKED, *_V5E16),
  "masked_scanned": (*_MASKED, *_SCAN, *_V5E16),
  "masked_scanned_full": (*_MASKED, *_SCAN, "--config.model.network.remat=full", *_V5E16),
  "masked_scanned_fsdp": (*_MASKED, *_SCAN, *_FSDP16),
  "masked_scanned_two_slices": (*_MASKED, *_SCAN, "--topology=tpu:v5e:4x4:2", "--config.mesh.fsdp=16"),
  "subwords": (*_MASKED, *_SCAN, *_SUBWORDS, *_FSDP16),
  "masked_h100": (*_MASKED, "--topology=cuda:h100:8"),
  "billion_fsdp": (*_BILLION, *_FSDP16),
  "billion_tensor": (*_BILLION, "--topology=tpu:v5e:4x4", "--config.mesh.fsdp=4", "--config.mesh.tensor=4"),
  "billion_fsdp64": (
    *_BILLION,
    "--topology=tpu:v5e:8x8",
    "--config.mesh.fsdp=64",
    "--config.training.batch_size=512",
  ),
  "billion_h100": (
    *_BILLION,
    "--topology=cuda:h100:8",
    "--config.mesh.fsdp=8",
    "--config.training.batch_size=128",
  ),
  "coupling_fsdp": ("--config=accelerator/text8_argmax_coupling", *_FSDP16),
  "paper_coupling": ("--config=paper/text8_argmax_coupling", "--topology=tpu:v5e:2x2"),
  "paper_autoregressive": ("--config=paper/text8_argmax_autoregressive", "--topology=tpu:v5e:2x2"),
  "paper_unet": ("--config=paper/cityscapes_multinomial", "--topology=tpu:v5e:2x2"),
  "sample": (
    *_MASKED,
    *_SCAN,
    "--topology=tpu:v5e:1x1",
    "--program=sample",
    "--config.sampling.num_steps=100",
    "--config.sampling.batch_size=64",
  ),
  "sample_16": (
    *_MASKED,
    *_SCAN,
    *_V5E16,
    "--program=sample",
    "--config.sampling.num_steps=100",
    "--config.sampling.batch_size=64",
  ),
  "evaluate": (*_MASKED, *_SCAN, "--topology=tpu:v5e:1x1", "--program=evaluate"),
  "billion_evaluate_fsdp": (*_BILLION, *_FSDP16, "--program=evaluate", "--config.evaluation.batch_size=64"),
}
HEADER = ["row", "parameters", "topology", "compiling, s", "state", "temporaries", "peak", "FLOPs", "exchanged", "sent"]
HEADER += ["over the ideal", "least time, by"]
_GIB = 2.0**30


class Table(NamedTuple):
  """What was compiled."""

  rows: list[list[str]]
  warnings: list[str]


def topologies(*, folder: str, rows: tuple[str, ...] = (), say: Callable[[str], None] = print) -> Table:
  """Compiles what the folder lacks and returns the table. Sizes are GiB of one device.

  Args:
    folder: of the records, one JSON file a row.
    rows: names of `ROWS`; default: all.
    say: receives the name of each row that is compiled.
  """
  chosen = rows or tuple(ROWS)
  if unknown := [name for name in chosen if name not in ROWS]:
    raise InputError(f"there is no row {unknown[0]!r}; the rows: {', '.join(ROWS)}")
  os.makedirs(folder, exist_ok=True)
  records = {name: _record(name, os.path.join(folder, f"{name}.json"), say) for name in chosen}
  warnings = [f"{name}: {line}" for name, record in records.items() for line in record["warnings"]]
  return Table([_row(name, record) for name, record in records.items()], warnings)


def describe(table: Table) -> str:
  """Returns the table and the warnings."""
  return "\n".join([terminal.table(HEADER, table.rows), *table.warnings])


def _record(name: str, path: str, say: Callable[[str], None]) -> dict[str, Any]:
  if not os.path.exists(path):
    say(f"{name}: {' '.join(ROWS[name])}")
    command = [sys.executable, "-m", "launch.train", "--dry_run", f"--output={path}", *ROWS[name]]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not os.path.exists(path):
      return {"warnings": [done.stdout.strip().splitlines()[-1]]}
  with open(path, encoding="utf-8") as file:
    return json.load(file)


def _row(name: str, record: Mapping[str, Any]) -> list[str]:
  if "peak_bytes" not in record:
    return [name, *["-"] * (len(HEADER) - 1)]
  least, moved, ideal = record["least_seconds"], record["collectives"], record["explained_bytes"]
  sent = sum(total["sent_bytes"] for total in moved.values())
  return [
    name,
    f"{record['parameters'] / 1e6:.1f} M",
    record["topology"],
    f"{record['compile_seconds']:.0f}",
    *(f"{record[key] / _GIB:.2f}" for key in ("state_bytes", "temporary_bytes", "peak_bytes")),
    f"{sum(record['flops'].values()):.2e}",
    ", ".join(f"{kind} {total['runs']:,}: {total['num_bytes'] / _GIB:.2f}" for kind, total in moved.items()) or "none",
    f"{sent / _GIB:.2f}",
    f"{sent / ideal:.2f}" if ideal else "-",
    f"{1e3 * max(least.values()):.1f} ms, {max(least, key=least.get)}",
  ]


if __name__ == "__main__":
  sys.exit(cli.main(__doc__, None, Command(topologies, describe)))
