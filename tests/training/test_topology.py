"""Devices that are not there: which topologies there are, and what is said of others."""

import importlib.util

import jax
import pytest

from catgen.interfaces import InputError
from catgen.training import topology
from catgen.training.accelerators import GPUS, TPUS, gpu_target, least_time
from catgen.training.sharding import make_mesh
from catgen.training.topology import find_topology, slices_of

needs_tpu = pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="the extra tpu is not installed")
needs_cuda = pytest.mark.skipif(not importlib.util.find_spec("jax_cuda12_plugin"), reason="the extra cuda12 is not")


@pytest.mark.parametrize(
  ("name", "said"),
  [
    ("v5e:4x4", "does not begin with tpu: or cuda:"),
    ("tpu:v9:4x4", "there is no tpu 'v9' here, but v4, v5e, v5p, v6e"),
    ("cuda:v5e:8", "there is no cuda 'v5e' here, but a100, h100, h200"),
    ("tpu", "there is no tpu ''"),
  ],
)
def test_what_is_no_topology_is_one_line(name, said):
  with pytest.raises(InputError, match=said):
    find_topology(name)


@pytest.mark.parametrize(("name", "extra"), [("tpu:v5e:4x4", "tpu"), ("cuda:h100:8", "cuda12")])
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch, name, extra):
  monkeypatch.setattr(topology.importlib.util, "find_spec", lambda module: None)
  with pytest.raises(InputError) as caught:
    find_topology(name)
  assert str(caught.value).endswith(f"pip install 'jax[{extra}]=={jax.__version__}'")


def test_a_compiler_that_jax_has_left_out_is_one_line(monkeypatch):
  """As it does with the plugin of CUDA where it looked for devices, and there is no driver."""

  def left_out(*words):
    raise NotImplementedError("topology not implemented for cuda")

  monkeypatch.setattr(topology.importlib.util, "find_spec", lambda module: module)
  monkeypatch.setattr(topology, "_gpu", left_out)
  with pytest.raises(InputError, match=r"left out what compiles for cuda .*: begin anew with .* JAX_PLATFORMS=cpu$"):
    find_topology("cuda:h100:8")


@pytest.mark.parametrize("size", ["", "4", "axb", "4x-4", "4x4:0", "4x4x4x4", "99999999x1", "3x3", "2x2x2"])
@needs_tpu
def test_a_slice_that_cannot_be_is_one_line(size):
  with pytest.raises(InputError, match=r"^topology 'tpu:v5e:.*' cannot be: .*; give for example tpu:v5e:4x4"):
    find_topology(f"tpu:v5e:{size}")


@pytest.mark.parametrize(
  ("name", "number"),
  [
    ("v5e:1x1", 1),
    ("v5e:1x2", 2),
    ("v5e:4x4", 16),
    ("v5p:2x2x1", 4),
    ("v4:2x2x2", 8),
    ("v6e:2x4", 8),
    ("v5e:2x2:3", 12),
  ],
)
@needs_tpu
def test_slices_of_tpus_have_their_chips_as_the_table_names_them(name, number):
  found = find_topology(f"tpu:{name}")
  assert len(found.devices) == number
  assert {device.device_kind for device in found.devices} == {TPUS[name.split(":")[0]].kind}
  assert found.slices == (3 if name.endswith(":3") else 1)


@pytest.mark.parametrize(("name", "number", "hosts"), [("a100:1", 1, 1), ("h100:8", 8, 1), ("h200:2x4", 8, 2)])
@needs_cuda
def test_hosts_of_gpus_have_theirs(name, number, hosts):
  found = find_topology(f"cuda:{name}")
  assert len(found.devices) == number
  assert {device.device_kind for device in found.devices} == {GPUS[name.split(":")[0]].kind}
  assert sorted(slices_of(found, make_mesh(devices=found.devices))) == sorted([*range(hosts)] * (number // hosts))


def test_every_gpu_of_the_table_is_described_to_xla():
  for name, gpu in GPUS.items():
    text = gpu_target(name)
    assert f"device_memory_size: {gpu.memory}\n" in text
    assert gpu.kind in text
    assert text.count("{") == text.count("}")


def test_the_least_time_is_each_amount_over_its_rate():
  chip = TPUS["v5e"]
  flops = {"bfloat16": chip.flops["bfloat16"], "float32 highest": chip.flops["bfloat16"] / 3}
  least = least_time(chip, flops, 2 * chip.bandwidth, chip.links / 2, chip.network / 4)
  assert least == pytest.approx((1 + 6 / 3, 2.0, 0.5, 0.25))
  assert least.longest == "products"
  # Mixed operands are multiplied as the wider ones are; what nobody lists, as exactly as float32 can be.
  mixed, other = (least_time(GPUS["h100"], {kind: 1e15}, 0.0, 0.0, 0.0) for kind in ("bfloat16 x float32", "float64"))
  assert mixed.products == pytest.approx(1e15 / GPUS["h100"].flops["float32"])
  assert other.products == pytest.approx(1e15 / GPUS["h100"].flops["float32 highest"])
