"""Generative models of categorical data: text, bytes, segmentation maps, any integers.

run = catgen.fit(["a list", "of strings", ...], "runs/mine", minutes=5)     # or catgen.train("quickstart", "runs/a")
print(run.decode(run.sample(1).x[0]))
print(run.evaluate().result["value"])

Importing this costs nothing: each name is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for those who read types; a test holds it to what stands below
  from catgen.config import load_config, make_model, make_source
  from catgen.interfaces import Batch, EventSpec, InputError, Model, SampleOptions
  from catgen.models.autoregressive import autoregressive
  from catgen.models.block_diffusion import block_diffusion
  from catgen.models.diffusion import diffusion, learned_masking
  from catgen.models.discrete.denoising import denoising_flow
  from catgen.models.discrete.modular import discrete_flow
  from catgen.models.emission.model import latent_emission
  from catgen.models.flow.argmax import argmax_flow
  from catgen.models.flow.dequantized import dequantized_flow
  from catgen.runs.baselines import baselines
  from catgen.runs.check import check
  from catgen.runs.compare import compare
  from catgen.runs.fit import fit, train
  from catgen.runs.load import Run, load

__version__ = "0.1.0"

_HOMES = {
  # from data, a configuration or a work directory to a trained model
  "fit": "catgen.runs.fit",
  "train": "catgen.runs.fit",
  "load": "catgen.runs.load",
  "Run": "catgen.runs.load",
  # what else is done with configurations and runs
  "baselines": "catgen.runs.baselines",
  "check": "catgen.runs.check",
  "compare": "catgen.runs.compare",
  "load_config": "catgen.config",
  "make_model": "catgen.config",
  "make_source": "catgen.config",
  # families, built from sizes
  "argmax_flow": "catgen.models.flow.argmax",
  "autoregressive": "catgen.models.autoregressive",
  "block_diffusion": "catgen.models.block_diffusion",
  "denoising_flow": "catgen.models.discrete.denoising",
  "dequantized_flow": "catgen.models.flow.dequantized",
  "diffusion": "catgen.models.diffusion",
  "discrete_flow": "catgen.models.discrete.modular",
  "learned_masking": "catgen.models.diffusion",
  "latent_emission": "catgen.models.emission.model",
  # the words that all share
  "Batch": "catgen.interfaces",
  "EventSpec": "catgen.interfaces",
  "InputError": "catgen.interfaces",
  "Model": "catgen.interfaces",
  "SampleOptions": "catgen.interfaces",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
  if name not in _HOMES:
    raise AttributeError(f"module 'catgen' has no attribute {name!r}")
  found = getattr(importlib.import_module(_HOMES[name]), name)
  if isinstance(found, type):
    return found
  # those who call a function here do it in Python: its messages speak of arguments, and not of flags
  is_family = _HOMES[name].startswith("catgen.models.")
  module, wrap = ("catgen.config.families", "family") if is_family else ("catgen.runs.methods", "spoken")
  return getattr(importlib.import_module(module), wrap)(found)


def __dir__() -> list[str]:
  return sorted([*(name for name in globals() if name.startswith("__")), *_HOMES])
