"""Generative models of categorical data: text, bytes, segmentation maps, any integers.

run = catgen.fit(["a list", "of strings", ...], "runs/mine", minutes=5)     # or catgen.train("quickstart", "runs/a")
print(run.decode(run.sample(1).x[0]))
print(run.evaluate().result["value"])

Importing this costs nothing: each name is imported when it is used.
"""

import importlib
from typing import Any

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
  return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
  return sorted([*globals(), *_HOMES])
