"""The prepared run, at tiny sizes: every measurement has its row, and nothing fails."""

import json
import os
import subprocess
import sys

import pytest

from tests import compiling
from tests.tiny_run import ROOT


@pytest.mark.slow
def test_the_smoke_run_measures_everything(tmp_path):
  environment = {**os.environ, **compiling.cached(), "XLA_FLAGS": compiling.xla_flags(1), "PYTHON": sys.executable}
  command = [str(ROOT / "benchmarks" / "accelerator.sh"), "--smoke", "--output=found"]
  done = subprocess.run(
    command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads((tmp_path / "found" / "results.json").read_text())["rows"]
  assert done.stdout.rstrip().splitlines()[-1].startswith(rows[-1]["name"])  # the table comes last
  assert not (tmp_path / "found" / "log.txt").read_text()
  missing = {row["name"]: row["note"] for row in rows if row["seconds"] is None}
  assert missing.keys() <= {"its kernels", "the same in plain PyTorch"}  # of a GPU's profile; where it is installed
  assert all(note.startswith("left out: ") for note in missing.values())
  trained = [row for row in rows if row["name"].startswith("train")]
  assert len(trained) == 6
  for row in trained:
    assert 0 < row["utilization"] < 1, row
    assert row["compile_seconds"] > 0, row
    assert row["flops"] > 0, row
  assert "NOT FINITE" not in done.stdout
  assert [row["note"].split(":")[0] for row in rows if row["name"].startswith("curve")] == ["6 steps of 2"] * 2
  assert (tmp_path / "found" / "curves.png").stat().st_size > 1000
