"""What the benchmarks measure: configurations by name, on made-up data, so that nothing needs to be downloaded."""

import resource
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split
from catgen.runs.experiment import Experiment, make_experiment
from catgen.interfaces import DataSource, EventSpec, InputError
from configs import base, quickstart
from configs.paper import (
  cityscapes_argmax_softplus,
  cityscapes_multinomial,
  enwik8_multinomial,
  text8_argmax_autoregressive,
  text8_argmax_coupling,
  text8_multinomial,
)
from configs.street_scenes import argmax_softplus, multinomial
from configs.text8_head import argmax_autoregressive, argmax_coupling
from launch.cli import resolved

_CLASSES = {"text8": 27, "enwik8": 256, "stdlib_docs": 27, "text_file": 27, "cityscapes": 8, "street_scenes": 8}


def _modern() -> Any:
  """The modern network at the size of the paper's, on text8's events."""
  config = text8_multinomial.get_config()
  config.model.network = base.transformer()
  config.model.network.num_layers = 12
  return config


def _paper_maps() -> Any:
  """The paper's U-Net at the batch that the original was timed at."""
  config = cityscapes_multinomial.get_config()
  config.training.batch_size = 16
  return config


def _quickstart_autoregressive() -> Any:
  config = quickstart.get_config()
  config.model = base.autoregressive()
  config.model.network.update({"width": 128, "num_layers": 4, "num_heads": 4})
  return config


SUBJECTS: dict[str, Callable[[], Any]] = {
  "paper_text8": text8_multinomial.get_config,
  "paper_enwik8": enwik8_multinomial.get_config,
  "modern": _modern,
  "paper_argmax_autoregressive": text8_argmax_autoregressive.get_config,
  "paper_argmax_coupling": text8_argmax_coupling.get_config,
  "small_argmax_autoregressive": argmax_autoregressive.get_config,
  "small_argmax_coupling": argmax_coupling.get_config,
  "quickstart": quickstart.get_config,
  "quickstart_autoregressive": _quickstart_autoregressive,
  "paper_maps": _paper_maps,
  "paper_maps_argmax": cityscapes_argmax_softplus.get_config,
  "small_maps": multinomial.get_config,
  "small_maps_argmax": argmax_softplus.get_config,
}


def experiment_of(
  name: str, *, batch_size: int | None = None, length: int | None = None, dtype: str = "float32"
) -> Experiment:
  """Returns the experiment of a subject on random categories, on one device; None = the configuration's.

  Raises:
    InputError: a length for maps.
  """
  config = resolved(SUBJECTS[name]())
  _set_dtype(config["model"], dtype)
  config["training"]["batch_size"] = batch_size or config["training"]["batch_size"]
  config["mesh"] = {"data": 1, "fsdp": 1}
  data = config["data"]
  if "shape" in data and length:
    raise InputError(f"{name} draws maps, which have no length; leave --lengths out")
  shape = tuple(data["shape"]) if "shape" in data else (length or data["length"],)
  source = random_source(shape, _CLASSES[data["kind"]])
  return make_experiment(config, source, jax.devices()[:1])


def _set_dtype(section: dict[str, Any], dtype: str) -> None:
  """Changes the dtype of every network that has one (recurrent networks compute in float32)."""
  for key, value in section.items():
    if isinstance(value, dict):
      _set_dtype(value, dtype)
    elif key == "dtype":
      section[key] = dtype


def random_source(shape: tuple[int, ...], num_classes: int, number: int = 1024) -> DataSource:
  """Returns uniformly drawn categories."""
  x = np.random.default_rng(0).integers(0, num_classes, (number, *shape), np.int32)
  split = record_split(number, lambda numbers: (x[numbers], np.ones((len(numbers), *shape), bool)))
  splits = {"train": split, "validation": split, "test": split}
  codec = integer_codec(num_classes, shape)
  return DataSource(EventSpec(shape, num_classes), splits, codec, "position", None, "random", "uniform categories")


def describe_machine() -> str:
  """Returns versions, device, and the memory that this process and the device had in use at their peak."""
  device = jax.devices()[0]
  statistics = device.memory_stats() or {}
  peaks = [f"process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"]
  if "peak_bytes_in_use" in statistics:
    peaks.append(f"device {statistics['peak_bytes_in_use'] / 2**30:.1f} GiB")
  return f"jax {jax.__version__} on {device.device_kind}, peak memory: {', '.join(peaks)}"
