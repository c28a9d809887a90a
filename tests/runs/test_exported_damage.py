"""Exported models that are damaged, changed, incomplete, newer or something else: one line that names the file."""

import json

import numpy as np
import pytest
import safetensors.numpy

from catgen.interfaces import InputError
from catgen.runs.tensors import flat, packed
from tests.runs.exports import (
  on_one_device,
  resealed,
  same,
)


def flipped(path):
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)


def shortened(path):
  path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flipped, shortened])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.md"])
def test_a_changed_file_is_one_line(model_copy, name, damage):
  damage(model_copy / name)
  with pytest.raises(InputError, match=rf"copy/{name} is not what was exported: it has .* get the whole folder again"):
    on_one_device(model_copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.md", "SHA256SUMS"])
def test_a_missing_file_is_one_line(model_copy, name):
  (model_copy / name).unlink()
  with pytest.raises(InputError, match=f"{name} is missing from {model_copy}; get the whole folder again"):
    on_one_device(model_copy)


def test_other_files_may_lie_beside_it(model_copy, model_folder):
  (model_copy / "notes.txt").write_text("mine")
  same(on_one_device(model_copy).params, on_one_device(model_folder).params)


def test_a_newer_format_names_the_version_that_reads_it(model_copy):
  content = json.loads((model_copy / "config.json").read_text())
  content["exported"] = {"format": 2, "catgen": "9.1", "new": "key"}
  (model_copy / "config.json").write_text(json.dumps(content))
  resealed(model_copy)
  with pytest.raises(InputError, match=r"format 2, and this version of catgen reads 1: use catgen 9\.1, which wrote"):
    on_one_device(model_copy)


@pytest.mark.parametrize(
  ("content", "shown"),
  [
    (b"", "is no file of safetensors"),
    (packed(flat({"a": np.zeros(2)}), {}), "holds no parameters"),
    (
      safetensors.numpy.save({"params/a": np.zeros(2), "params/a/b": np.zeros(2)}),
      "names that do not go together .*params/a",
    ),
    (safetensors.numpy.save({"params/a": np.zeros(2, np.complex64)}), "of type C64, which no array of a model has"),
  ],
)
def test_sealed_files_of_something_else_are_one_line(model_copy, content, shown):
  (model_copy / "model.safetensors").write_bytes(content)
  resealed(model_copy)
  with pytest.raises(InputError, match=shown):
    on_one_device(model_copy)
