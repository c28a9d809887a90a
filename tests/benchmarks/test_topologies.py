"""The table of programs that were compiled for devices that are not there, from records on the disk."""

import json

from benchmarks.topologies import HEADER, topologies

GIB = 2**30
RECORD = {
  "parameters": 1_500_000,
  "topology": "tpu:v5e:2x2",
  "compile_seconds": 12.3,
  "state_bytes": GIB,
  "temporary_bytes": 2 * GIB,
  "peak_bytes": 3 * GIB,
  "flops": {"float32": 1e12, "bfloat16": 2e12},
  "explained_bytes": 2.0 * GIB,
  "collectives": {"all-reduce": {"runs": 3, "num_bytes": 2 * GIB, "sent_bytes": 3.0 * GIB}},
  "least_seconds": {"products": 0.002, "memory": 0.005, "links": 0.001, "network": 0.0},
  "warnings": [],
}


def test_a_row_says_what_is_sent_and_how_much_more_than_the_ideal_that_is(tmp_path):
  (tmp_path / "paper.json").write_text(json.dumps(RECORD))
  alone = {**RECORD, "explained_bytes": None, "collectives": {}}
  (tmp_path / "sample.json").write_text(json.dumps(alone))

  several, one = topologies(folder=str(tmp_path), rows=("paper", "sample"), say=lambda line: None).rows

  told = dict(zip(HEADER, several, strict=True))
  assert told["exchanged"] == "all-reduce 3: 2.00"
  assert (told["sent"], told["over the ideal"]) == ("3.00", "1.50")
  assert told["least time, by"] == "5.0 ms, memory"
  assert dict(zip(HEADER, one, strict=True))["over the ideal"] == "-"
