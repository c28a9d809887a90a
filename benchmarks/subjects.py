"""What the benchmarks measure: configurations by name, on made-up data, so that nothing needs to be downloaded."""

import resource
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np

from catgen.batches import batch_of
from catgen.config import load_config
from catgen.data.codecs import integer_codec
from catgen.data.splits import record_split, stream_split
from catgen.interfaces import EventSpec, InputError
from catgen.kinds import nearest
from catgen.runs.experiment import Experiment, make_experiment
from catgen.sources import DataSource

Dtype = Literal["float32", "bfloat16"]
_CLASSES = {"text8": 27, "enwik8": 256, "stdlib_docs": 27, "text_file": 27, "cityscapes": 8, "street_scenes": 8}


_DEFAULT = "accelerator/text8_diffusion"  # the default transformer, 12 layers of 768
_MODERN = {"kind": "transformer", "width": 512, "num_layers": 12, "num_heads": 8}
SUBJECTS: dict[str, tuple[str, dict[str, Any]]] = {  # a configuration and what is changed of it
  "paper_text8": ("paper/text8_multinomial", {}),
  "paper_enwik8": ("paper/enwik8_multinomial", {}),
  "modern": ("paper/text8_multinomial", {"model.network": _MODERN}),  # at the size of the paper's network
  "default_masked": (_DEFAULT, {}),
  "default_uniform": (_DEFAULT, {"model.process": "uniform", "model.schedule": "cosine"}),
  "paper_argmax_autoregressive": ("paper/text8_argmax_autoregressive", {}),
  "paper_argmax_coupling": ("paper/text8_argmax_coupling", {}),
  "small_autoregressive": ("text8_head/autoregressive", {}),
  "small_block_diffusion": ("text8_head/block_diffusion", {}),
  "small_multinomial": ("text8_head/diffusion", {}),
  "small_absorbing": ("text8_head/diffusion", {"model.process": "absorbing", "model.schedule": "linear"}),
  "small_argmax_autoregressive": ("text8_head/argmax_autoregressive", {}),
  "small_argmax_coupling": ("text8_head/argmax_coupling", {}),
  "paper_categorical_nf": ("paper/text8_categorical_nf", {}),
  "paper_af_af": ("paper/text8_af_af", {}),
  "paper_iaf_scf": ("paper/text8_iaf_scf", {}),
  "paper_maps_vae": ("paper/cityscapes_vae", {}),
  "small_categorical_nf": ("text8_head/categorical_nf", {}),
  "small_af_af": ("text8_head/af_af", {}),
  "small_af_scf": ("text8_head/af_scf", {}),
  "small_iaf_scf": ("text8_head/iaf_scf", {}),
  "small_maps_vae": ("street_scenes/vae", {}),
  "quickstart": ("quickstart", {}),
  "quickstart_autoregressive": ("quickstart_autoregressive", {"model.network.conv_width": 0}),
  "paper_deep_12": ("paper/text8_deep_transformer_12", {}),
  "paper_deep_64": ("paper/text8_deep_transformer_64", {}),
  "paper_xl_12": ("paper/text8_transformer_xl_12", {}),
  "paper_xl_24": ("paper/text8_transformer_xl_24", {}),
  "small_deep": ("text8_head/deep_transformer", {}),
  "small_xl": ("text8_head/transformer_xl", {}),
  "paper_maps": ("paper/cityscapes_multinomial", {"training.batch_size": 16}),  # as the original was timed
  "paper_maps_argmax": ("paper/cityscapes_argmax_softplus", {}),
  "small_maps": ("street_scenes/multinomial", {}),
  "small_maps_argmax": ("street_scenes/argmax_softplus", {}),
  "paper_discrete_autoregressive": ("paper/text8_discrete_flow_autoregressive", {}),
  "paper_discrete_bipartite": ("paper/text8_discrete_flow_bipartite", {}),
  "small_discrete": ("text8_head/discrete_flow", {}),
  "small_denoising": ("text8_head/denoising_flow", {}),
  "paper_maps_pixelcnn": ("paper/cityscapes_pixelcnn", {}),
  "small_maps_pixelcnn": ("street_scenes/pixel_cnn", {}),
  "small_maps_raster": ("street_scenes/raster_transformer", {}),
  "small_maps_denoising": ("street_scenes/denoising_flow", {}),
}


def experiment_of(
  name: str,
  *,
  batch_size: int | None = None,
  length: int | None = None,
  dtype: Dtype = "float32",
  changes: Mapping[str, Any] | None = None,
  source: DataSource | None = None,
) -> Experiment:
  """Returns the experiment of a subject on one device; None = the configuration's.

  Args:
    name: of `SUBJECTS`.
    batch_size: examples of a step.
    length: positions of a sequence.
    dtype: of the network's arithmetic.
    changes: further keys of the configuration and their values.
    source: the data; None: random categories.

  Raises:
    InputError: there is no such subject, or a length is given for maps.
  """
  if name not in SUBJECTS:
    raise InputError(f"there is no subject {name!r}; {nearest(name, SUBJECTS)}")
  configuration, own = SUBJECTS[name]
  config = load_config(configuration, {**own, **(changes or {})}).values
  _set_dtype(config["model"], dtype)
  config["training"]["batch_size"] = batch_size or config["training"]["batch_size"]
  config["mesh"] = {"data": 1, "fsdp": 1}
  data = config["data"]
  if "shape" in data and length:
    raise InputError(f"{name} draws maps, which have no length; leave --lengths out")
  shape = tuple(data["shape"]) if "shape" in data else (length or data["length"],)
  classes = 256 if data.get("as_bytes") else _CLASSES[data["kind"]]
  source = random_source(shape, classes) if source is None else source
  return make_experiment(config, source, jax.devices()[:1])


def _set_dtype(section: dict[str, Any], dtype: str) -> None:
  """Changes the dtype of every network that has one."""
  for key, value in section.items():
    if isinstance(value, dict):
      _set_dtype(value, dtype)
    elif key == "dtype":
      section[key] = dtype


def random_source(shape: tuple[int, ...], num_classes: int, number: int = 1024) -> DataSource:
  """Returns uniformly drawn categories: a stream, or maps."""
  x = np.random.default_rng(0).integers(0, num_classes, (number, *shape), np.int32)
  if len(shape) == 1:
    split = stream_split(x.reshape(-1), *shape)
  else:
    split = record_split(number, lambda numbers: batch_of(x[numbers], index=numbers), whole=True)
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
