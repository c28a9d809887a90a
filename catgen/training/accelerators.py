"""What accelerators can do at best, from their makers' tables; and how XLA is told of a GPU that is not there.

Sources. TPU: "How to Scale Your Model" (https://jax-ml.github.io/scaling-book/tpus), its tables of chips and of links,
and its rates of the data center's network; memory is what libtpu 0.0.42 gives to a program ("exceeds available HBM").
A product of float32 numbers is by default one pass in bfloat16, with precision "highest" six. GPU: data sheets of
NVIDIA (A100 80GB SXM, H100 SXM, H200 SXM), without sparsity: float32 is TF32 by default; links are NVLink in one
direction, half of the figure that is advertised; the network is one adapter of 400 Gbit/s (A100: 200) for each GPU.
What XLA must know of a GPU (`gpu_target`): data sheets, and NVIDIA's "CUDA C++ Programming Guide", its table of compute
capabilities.
"""

from collections.abc import Mapping
from typing import NamedTuple

_GIB = 2**30


class Accelerator(NamedTuple):
  """The best of one device: a chip of a TPU, a GPU."""

  kind: str  # as JAX names it
  memory: int  # bytes that a program may use
  flops: Mapping[str, float]  # a second, in products of numbers of this type; see `flops_by_dtype` for the names
  bandwidth: float  # bytes a second from and to its memory
  links: float  # bytes a second that it sends to devices of its slice, or of its host, over all its links
  network: float  # bytes a second that it sends to those of other slices, or of other hosts


def _tpu(kind: str, memory: int, bfloat16: float, bandwidth: float, link: float, network: float) -> Accelerator:
  flops = {"bfloat16": bfloat16, "float32": bfloat16, "float32 high": bfloat16 / 3, "float32 highest": bfloat16 / 6}
  return Accelerator(kind, memory, flops, bandwidth, link, network)


def _gpu(kind: str, memory: int, half: float, tf32: float, single: float, *rates: float) -> Accelerator:
  flops = {"bfloat16": half, "float16": half, "float32": tf32, "float32 high": tf32 / 3, "float32 highest": single}
  return Accelerator(kind, memory, flops, *rates)


TPUS: Mapping[str, Accelerator] = {  # links: of a chip of a two-dimensional torus four, of a three-dimensional one six
  "v4": _tpu("TPU v4", int(30.75 * _GIB), 2.75e14, 1.2e12, 6 * 4.5e10, 6.25e9),
  "v5e": _tpu("TPU v5 lite", int(15.75 * _GIB), 1.97e14, 8.1e11, 4 * 4.5e10, 3.125e9),
  "v5p": _tpu("TPU v5", int(95.74 * _GIB), 4.59e14, 2.8e12, 6 * 9e10, 6.25e9),
  "v6e": _tpu("TPU v6 lite", int(31.25 * _GIB), 9.2e14, 1.6e12, 4 * 9e10, 1.25e10),
}
GPUS: Mapping[str, Accelerator] = {
  "a100": _gpu("NVIDIA A100-SXM4-80GB", 85_100_068_864, 3.12e14, 1.56e14, 1.95e13, 2.039e12, 3e11, 2.5e10),
  "h100": _gpu("NVIDIA H100 80GB HBM3", 84_942_979_072, 9.89e14, 4.95e14, 6.7e13, 3.352e12, 4.5e11, 5e10),
  "h200": _gpu("NVIDIA H200", 151_397_597_184, 9.89e14, 4.95e14, 6.7e13, 4.8e12, 4.5e11, 5e10),
}


_ALSO = {"TPU v5e": "v5e", "TPU v5p": "v5p", "TPU v6e": "v6e"}  # other names of these in JAX


class _Target(NamedTuple):
  capability: tuple[int, int]
  cores: int  # streaming multiprocessors
  units: int  # for float32, of a core
  shared: int  # KiB of shared memory of a core; a block has one less
  cache: int  # MiB
  clock: float  # GHz


_TARGETS = {
  "a100": _Target((8, 0), 108, 64, 164, 40, 1.41),
  "h100": _Target((9, 0), 132, 128, 228, 50, 1.98),
  "h200": _Target((9, 0), 132, 128, 228, 50, 1.98),
}


def gpu_target(name: str) -> str:
  """Returns what XLA must know of a GPU to compile for it: a GpuTargetConfigProto, as text.

  Args:
    name: of `GPUS`.
  """
  gpu, target = GPUS[name], _TARGETS[name]
  return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: {48 * 2**10}
  shared_memory_per_block_optin: {(target.shared - 1) * 2**10}
  shared_memory_per_core: {target.shared * 2**10}
  threads_per_core_limit: 2048
  core_count: {target.cores}
  fpus_per_core: {target.units}
  block_dim_limit_x: {2**31 - 1}
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {int(gpu.bandwidth)}
  l2_cache_size: {target.cache * 2**20}
  clock_rate_ghz: {target.clock}
  device_memory_size: {gpu.memory}
  cuda_compute_capability {{ major: {target.capability[0]} minor: {target.capability[1]} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  runtime_version: "12.8.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{gpu.kind}"
"""


def known(kind: str) -> Accelerator | None:
  """Returns the accelerator that JAX calls so; None where its rates are not known.

  >>> known("TPU v5e") is known("TPU v5 lite"), known("TPU v5 lite").flops["bfloat16"], known("cpu")
  (True, 197000000000000.0, None)
  """
  if kind in _ALSO:
    return TPUS[_ALSO[kind]]
  return next((each for each in (*TPUS.values(), *GPUS.values()) if each.kind == kind), None)


class LeastTime(NamedTuple):
  """Seconds that one run of a program takes at least, by each thing that takes time. They can pass side by side."""

  products: float
  memory: float
  links: float
  network: float

  @property
  def longest(self) -> str:
    """The name of what takes longest."""
    return max(self._fields, key=lambda name: getattr(self, name))


def least_time(
  accelerator: Accelerator, flops: Mapping[str, float], traffic: float, over_links: float, over_network: float
) -> LeastTime:
  """Returns the least time of a program on one device.

  Args:
    accelerator: the device.
    flops: of this device, by what is multiplied; numbers of different types count as the wider one.
    traffic: bytes from and to its memory.
    over_links: bytes that it sends within its slice or host.
    over_network: bytes that it sends to others.
  """
  products = sum(number / _rate(accelerator, kind) for kind, number in flops.items())
  return LeastTime(
    products,
    traffic / accelerator.bandwidth,
    over_links / accelerator.links,
    over_network / accelerator.network,
  )


def _rate(accelerator: Accelerator, kind: str) -> float:
  """Returns the rate of products of this kind; of one that is not listed that of exact float32."""
  if kind in accelerator.flops:
    return accelerator.flops[kind]
  return accelerator.flops["float32" if "float32" in kind and "high" not in kind else "float32 highest"]
