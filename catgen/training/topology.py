"""Devices that are not there, to compile for: TPU slices by libtpu, GPUs by JAX's CUDA plugin and a description."""

import importlib.util
import math
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from catgen.interfaces import InputError
from catgen.training.accelerators import GPUS, TPUS, Accelerator, gpu_target

_EXAMPLES = "tpu:v5e:4x4, two such slices tpu:v5e:4x4:2, cuda:h100:8, four such hosts cuda:h100:4x8"
_ENVIRONMENT = {  # of libtpu, where no TPU is
  "TPU_SKIP_MDS_QUERY": "1",  # there is no metadata server that would answer
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # by several processes: there is no TPU to quarrel about
  "TPU_ACCELERATOR_TYPE": "v5litepod-1",  # of the machine, which it complains about otherwise
  "TPU_WORKER_HOSTNAMES": "localhost",
}
_GPU_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_AXES = {"v4": 3, "v5p": 3}  # of the torus; of other TPUs two


class Topology(NamedTuple):
  """Devices that a program can be compiled for, and not run on."""

  name: str
  devices: tuple[jax.Device, ...]
  accelerator: Accelerator
  slices: int  # or hosts of GPUs: between these there is only the network


def find_topology(name: str) -> Topology:
  """Returns the devices of a topology.

  Args:
    name: "tpu:KIND:SHAPE" or "tpu:KIND:SHAPE:SLICES", SHAPE being chips along the axes of a slice; "cuda:KIND:GPUS"
      or "cuda:KIND:HOSTSxGPUS". The kinds: `TPUS`, `GPUS`.

  Raises:
    InputError: there is no such topology, or what compiles for it is not installed.
  """
  platform, _, rest = name.partition(":")
  kind, _, size = rest.partition(":")
  finders = {"tpu": (_tpu, TPUS, ("libtpu",), "tpu"), "cuda": (_gpu, GPUS, _GPU_PLUGINS, "cuda12")}
  if platform not in finders:
    raise InputError(f"topology {name!r} does not begin with tpu: or cuda:; give for example {_EXAMPLES}")
  find, known, modules, extra = finders[platform]
  if kind not in known:
    raise InputError(f"topology {name!r}: there is no {platform} {kind!r} here, but {', '.join(known)}")
  if not _present(modules):
    raise InputError(
      f"to compile for {name} the extra {extra} is needed, which is not installed: "
      f"pip install 'jax[{extra}]=={jax.__version__}'"
    )
  if "JAX_PLATFORMS" not in os.environ:
    jax.config.update("jax_platforms", "cpu")  # the program is traced there, and devices that there are stay free
  try:
    return find(name, kind, size)
  except NotImplementedError as error:  # a plugin that finds no driver takes itself back, unless only a CPU is wanted
    raise InputError(
      f"JAX looked for devices before and left out what compiles for {platform} ({error}): begin anew with the "
      "environment variable JAX_PLATFORMS=cpu"
    ) from error
  except (ValueError, jax.errors.JaxRuntimeError) as error:
    raise InputError(f"topology {name!r} cannot be: {_reason(error)}; give for example {_EXAMPLES}") from error


def slices_of(topology: Topology, mesh: Mesh) -> list[int]:
  """Returns the slice (or the host of GPUs) of each device of a mesh, in the order in which a program numbers them."""
  per_slice = len(topology.devices) // topology.slices
  number = {device: place // per_slice for place, device in enumerate(topology.devices)}
  return [number[device] for device in mesh.devices.flat]


def _tpu(name: str, kind: str, size: str) -> Topology:
  shape, _, slices = size.partition(":")
  chips, number = _numbers(shape), _positive(slices or "1")
  if len(chips) not in (2, 3):
    raise ValueError(f"chips of a slice are so many along each axis, and {shape!r} is no such thing")
  if math.prod(chips[_AXES.get(kind, 2) :]) > 1:
    raise ValueError(f"slices of {kind} have two axes")
  for variable, value in _ENVIRONMENT.items():
    os.environ.setdefault(variable, value)
  options: dict[str, Any] = {"num_slices": number} if number > 1 else {}
  if kind == "v4":
    options["chip_config_name"] = "megacore"  # a chip is one device, as on the machines that are lent
  if math.prod(chips) < 4:
    options["chips_per_host_bounds"] = (*chips, 1)[:3]
  found = topologies.get_topology_desc(f"{kind}:{_padded(kind, chips)}", platform="tpu", **options)
  return Topology(name, tuple(found.devices), TPUS[kind], number)


def _gpu(name: str, kind: str, size: str) -> Topology:
  numbers = _numbers(size)
  if len(numbers) > 2:
    raise ValueError(f"{size!r} is no number of GPUs and no number of hosts times GPUs")
  hosts, gpus = numbers if len(numbers) == 2 else (1, numbers[0])
  target = {"target_config": gpu_target(kind), "topology": f"1x{hosts}x{gpus}"}
  found = topologies.get_topology_desc("", platform="cuda", **target)
  return Topology(name, tuple(found.devices), GPUS[kind], hosts)


def _padded(kind: str, chips: tuple[int, ...]) -> str:
  return "x".join(map(str, (*chips, 1)[: max(len(chips), _AXES.get(kind, 2))]))


def _present(modules: Iterable[str]) -> bool:
  return any(importlib.util.find_spec(module) is not None for module in modules)


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(map(_positive, text.split("x")))


def _positive(text: str) -> int:
  if not (text.isascii() and text.isdigit() and 0 < int(text) <= 2**16):
    raise ValueError(f"{text!r} is no number of devices")
  return int(text)


def _reason(error: Exception) -> str:
  return " ".join(str(error).split()).removeprefix("INVALID_ARGUMENT: ")[:300]
