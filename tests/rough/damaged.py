"""Damaged work directories: what was done to them, the command that meets it, and a part of the one line that answers.

The words in braces are those of table.py.
"""

import numpy as np

from tests.rough.damage import (
  DEEP,
  HUGE,
  Touching,
  evaluated,
  every,
  folder_for,
  key,
  without,
  written,
)

_SAMPLE = "sample --workdir={damaged}"
_COMPARE = "compare --workdirs={damaged} --sampling_repeats=0 --num_maps=0"
_SCORES = "cannot read {damaged}/scores/test_20_elbo_4.npz ("


def _config(name, value, shown):
  return (key(name, value), _SAMPLE, shown)


DAMAGED = {
  # config.json
  "config.json of nothing": (written("config.json"), _SAMPLE, "config.json cannot be read (Expecting value"),
  "config.json of bytes": (written("config.json", b"\xff"), _SAMPLE, "config.json cannot be read"),
  "config.json nested too deeply": (written("config.json", DEEP), _SAMPLE, "it is nested too deeply"),
  "config.json that is a list": (written("config.json", "[]"), _SAMPLE, "it is no JSON object"),
  "config.json of the future": (written("config.json", '{"format": 99}'), _SAMPLE, "has format 99"),
  "config.json of format true": (written("config.json", '{"format": true}'), _SAMPLE, "has format True"),
  "config.json with a number of 31 digits": _config("config.seed", HUGE, "has 31 digits"),
  "config.json that is a folder": (folder_for("config.json"), _SAMPLE, "Is a directory"),
  "a configuration that is no section": _config("config", 3, "config is 3; an object is needed"),
  "a word for a count": _config("config.training.batch_size", "many", "config.training.batch_size is 'many'"),
  "NaN for a count": _config("config.training.batch_size", float("nan"), "config.training.batch_size is nan"),
  "a kind that is a path": _config("config.model.kind", "../x", "config.model.kind is '../x'"),
  "a width below 0": _config("config.model.network.width", -3, "describes another model"),
  "another width": _config("config.model.network.width", 32, "describes another model"),
  "temperature NaN in the record": _config("config.sampling.temperature", float("nan"), "temperature is nan"),
  "no event": _config("event", ..., "there is no 'event'"),
  "an event of no positions": _config("event.shape", [], "event.shape is missing or empty"),
  "a larger event": _config("event.shape", [10**12], "describes another model"),
  "no categories in the record": _config("event.num_classes", 0, "event.num_classes is 0"),
  "no codec": _config("codec", ..., "there is no 'codec'"),
  "another alphabet": _config("codec.alphabet", "abcdefghij", "codec differs"),
  "an alphabet that is a number": _config("codec.alphabet", 3, "codec is {'kind': 'alphabet'"),
  "a codec of another kind": _config("codec.kind", "nosuch", "codec kind 'nosuch' is unknown"),
  "a legend that is a number": _config(
    "codec", {"kind": "integers", "num_classes": 9, "shape": [16], "legend": 3}, "describes none"
  ),
  "an end that is a number": _config("codec.end", 3, "describes none"),
  "a position that is a number": _config("position", 3, "position is 3; a text is needed"),
  "bytes NaN": _config("bytes_per_position", float("nan"), "bytes_per_position is nan"),
  "labels that are numbers": _config("attributes", [{"name": 1, "values": []}], "a name and a list of texts"),
  "a change of nothing": _config("changes", [{"step": 1}], "an object with step, key, before, after"),
  "a lineage of numbers": _config("lineage", [{"how": 1, "workdir": 2, "step": 3}], "lineage holds the how 1"),
  "a record of no length": _config("longest", -1, "longest is -1"),
  "other data": (key("fingerprint", "x"), "score --workdir={damaged} --split=test", "are not those of the run"),
  "data with a zero in their path": (
    key("config.data.path", "a\0b"),
    "score --workdir={damaged} --split=test",
    "a\\x00b does not exist",
  ),
  "a split that is a path": (
    key("config.evaluation.split", "../../x"),
    "evaluate --workdir={damaged}",
    "split '../../x' does not exist",
  ),
  "batches of none": (
    key("config.evaluation.batch_size", 0),
    "evaluate --workdir={damaged}",
    "batch size 0 must be a positive multiple",
  ),
  # checkpoints
  "no checkpoints": (without("checkpoints"), _SAMPLE, "no checkpoint in"),
  "checkpoints that are a file": (written("checkpoints"), _SAMPLE, "no checkpoint in"),
  "checkpoints of nothing": (every("checkpoints/*/model/**/*", b""), _SAMPLE, "no readable checkpoint"),
  "checkpoints of garbage": (every("checkpoints/*/model/**/*", b"garbage"), _SAMPLE, "no readable checkpoint"),
  "checkpoints nested too deeply": (every("checkpoints/*/run/**/*", DEEP), _SAMPLE + " --top_k=0", "top_k is 0"),
  "checkpoints that do not say of what": (
    every("checkpoints/*/run/metadata", '{"x": 1}'),
    _SAMPLE,
    "says of its run cannot be read ('model')",
  ),
  "checkpoints that say a number": (
    every("checkpoints/*/run/metadata", '{"model": 3, "event": 3}'),
    _SAMPLE,
    "says of its run cannot be read",
  ),
  "numbers of a validation nested too deeply": (
    every("checkpoints/*/metrics/metrics", DEEP),
    _SAMPLE + " --top_k=0",
    "top_k is 0",
  ),
  "a validation of 400 digits": (
    every("checkpoints/*/metrics/metrics", '{"bits": 1' + "0" * 400 + "}"),
    _SAMPLE + " --top_k=0",
    "top_k is 0",
  ),
  "a checkpoint in superscript": (written("checkpoints/²"), _SAMPLE + " --top_k=0", "top_k is 0"),
  # files of exported models
  "an exported model without sums": (written("model.safetensors"), _SAMPLE, "SHA256SUMS is missing from {damaged}"),
  "sums that are none": (written("SHA256SUMS", "x"), _SAMPLE, "SHA256SUMS is no list of SHA-256 sums"),
  "sums of no file": (written("SHA256SUMS"), _SAMPLE, "SHA256SUMS does not name config.json"),
  "sums of another file": (written("SHA256SUMS", "0" * 64 + "  config.json\n"), _SAMPLE, "is not what was exported"),
  "an exported model that is a number": _config("exported", 3, "exported is 3"),
  "an exported model of no step": _config("exported", {"format": 1, "catgen": "a"}, "exported.step is None"),
  # results.json and scores/
  "results.json of nothing": (written("results.json"), _COMPARE, "cannot read {damaged}/results.json"),
  "results.json nested too deeply": (written("results.json", DEEP), _COMPARE, "it is nested too deeply"),
  "results.json of bytes": (written("results.json", b"\xff"), _COMPARE, "cannot read {damaged}/results.json"),
  "results.json that is a folder": (folder_for("results.json"), _COMPARE, "cannot read {damaged}/results.json"),
  "results.json that is no list": (written("results.json", "{}"), _COMPARE, "is no list of results"),
  "a result that is a word": (evaluated(value="x"), _COMPARE, "value of record 1 is 'x'"),
  "a result without its error": (evaluated(monte_carlo_error=None), _COMPARE, "has no 'monte_carlo_error'"),
  "a result of no data": (evaluated(data_fingerprint=None), _COMPARE, "has no 'data_fingerprint'"),
  "a result of no step": (evaluated(step=None), _COMPARE, "has no 'step'"),
  "an estimator that is a path": (evaluated(estimator="/../../x"), _COMPARE, "is no name of a file of scores"),
  "a step of 31 digits": (evaluated(step=HUGE), _COMPARE, "has 31 digits"),
  "scores of nothing": (evaluated(b""), _COMPARE, _SCORES),
  "scores of garbage": (evaluated(b"PK\3\4garbage"), _COMPARE, _SCORES),
  "scores without nats": (evaluated({"nats": None}), _COMPARE, "it has no 'nats'"),
  "scores of one axis": (evaluated({"nats": np.zeros(3)}), _COMPARE, "its arrays are no scores of examples"),
  "scores of fewer examples": (evaluated({"nats": np.zeros((4, 2))}), _COMPARE, "are no scores of examples"),
  "scores of no replicate": (evaluated({"nats": np.zeros((0, 3))}), _COMPARE, "are no scores of examples"),
  "scores in words": (evaluated({"nats": np.array([["a"] * 3])}), _COMPARE, "are no scores of examples"),
  "scores that are code": (
    evaluated({"nats": np.array([[Touching()] * 3])}),
    _COMPARE,
    "Object arrays cannot be loaded",
  ),
  "scores of no positions": (evaluated({"positions": np.zeros(3, int)}), _COMPARE, "are no scores of examples"),
  "scores of fractional numbers": (evaluated({"numbers": np.zeros(3)}), _COMPARE, "are no scores of examples"),
  # metrics.jsonl
  "metrics.jsonl of garbage": (
    written("metrics.jsonl", "x\nx\n"),
    "fork --workdir=new --origin={damaged}",
    "line 1 of {damaged}/metrics.jsonl is damaged",
  ),
  "metrics.jsonl of words": (
    written("metrics.jsonl", '{"step": "a"}\n\n'),
    "fork --workdir=new --origin={damaged}",
    "line 1 of {damaged}/metrics.jsonl is damaged",
  ),
}
