import dataclasses

import jax
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.training.sharding import check_batch_size, make_mesh, most_of_a_copy, place, shard_state
from catgen.trees import leaves
from tests import toys
from tests.training.trainer import Setting, build


def specs(tree):
  return {name: leaf.sharding.spec for name, leaf in leaves(tree)}


def test_moments_and_average_lie_where_their_parameters_do():
  target = build("denoiser", Setting(fsdp=4, optimizer="adamw")).target
  params = specs(target.params)
  assert any("fsdp" in spec for spec in params.values())
  assert specs(target.ema) == params
  moments = [(name, spec) for name, spec in specs(target.opt_state).items() if "/mu/" in name or "/nu/" in name]
  assert len(moments) == 2 * len(params)
  for name, spec in moments:
    assert spec == params[name.split("/mu/")[-1].split("/nu/")[-1]]


def test_fsdp_lessens_the_bytes_of_a_device_and_the_rule_takes_the_largest_axis():
  kernel = build("markov", Setting(fsdp=8)).init().params["layers"]["kernel"]
  assert kernel.addressable_shards[0].data.shape == (2, 5, 2)


def test_rules_are_read_in_order_and_small_leaves_are_copied():
  target = build("markov", Setting(fsdp=2)).target
  mesh = make_mesh(fsdp=2)
  rules = ((r"^head/", (None, None)), (r"kernel$", ("data", None, "fsdp")))
  sharded = shard_state(target, make_mesh(data=2, fsdp=2, devices=jax.devices()[:4]), rules)
  assert sharded.params["head"]["kernel"].is_fully_replicated
  assert tuple(sharded.params["layers"]["kernel"].spec) == ("data", None, "fsdp")
  assert shard_state(target, mesh, min_size=10**6).params["layers"]["kernel"].is_fully_replicated


@pytest.mark.parametrize(
  ("rules", "said"),
  [
    (((".*", "spread"),), "choose"),
    (((".*", ("model",)),), "model"),
    ((("layers", (None, "fsdp")),), "does not fit"),
    ((("layers", (None,) * 4),), "does not fit"),
  ],
)
def test_rules_that_cannot_hold_are_refused(rules, said):
  with pytest.raises(InputError, match=said):
    shard_state(build("markov", Setting(fsdp=2)).target, make_mesh(fsdp=2), rules)


@pytest.mark.parametrize("sizes", [{"data": 3}, {"fsdp": 3}, {"data": 0}, {"fsdp": 16}, {"data": 8, "fsdp": 2}])
def test_a_mesh_that_does_not_fit_the_devices_is_refused(sizes):
  with pytest.raises(InputError, match="mesh"):
    make_mesh(**sizes)


@dataclasses.dataclass(frozen=True)
class Chip:
  """A device of several slices, as far as a mesh looks at it."""

  id: int
  slice_index: int
  process_index: int = 0
  platform: str = "cpu"
  device_kind: str = "cpu"


def test_each_slice_has_whole_copies_of_the_parameters():
  chips = [Chip(id, id % 2, id % 2) for id in range(16)]  # the order of ids is not that of slices
  mesh = make_mesh(fsdp=4, tensor=2, devices=chips)
  assert dict(mesh.shape) == {"data": 2, "fsdp": 4, "tensor": 2}
  assert [{chip.slice_index for chip in copy.flat} for copy in mesh.devices] == [{0}, {1}]
  assert make_mesh(fsdp=2, devices=chips).devices.shape == (8, 2, 1)


@pytest.mark.parametrize(
  ("sizes", "slices", "said"),
  [
    ({"fsdp": 16}, [0] * 8 + [1] * 8, "2 slices of 8 [+] 8; each must hold equally many whole copies"),
    ({"fsdp": 2}, [0] * 4 + [1] * 12, "2 slices of 4 [+] 12"),
    ({"data": 3, "fsdp": 4}, [0] * 6 + [1] * 6, "lessen fsdp"),
  ],
)
def test_slices_that_do_not_hold_whole_copies_are_refused(sizes, slices, said):
  with pytest.raises(InputError, match=said):
    make_mesh(**sizes, devices=[Chip(id, each) for id, each in enumerate(slices)])


@pytest.mark.parametrize(("gpus", "sizes"), [([4, 4], {"fsdp": 8}), ([2, 6], {"fsdp": 4, "tensor": 2})])
def test_a_copy_of_the_parameters_may_lie_on_several_hosts_of_gpus(gpus, sizes):
  """XLA numbers hosts of GPUs as it numbers slices of TPUs, but for those of a topology, which are all of one."""
  hosts = [host for host, number in enumerate(gpus) for _ in range(number)]
  mesh = make_mesh(**sizes, devices=[Chip(id, host, host, "gpu", "NVIDIA H200") for id, host in enumerate(hosts)])
  assert [gpu.id for gpu in mesh.devices.flat] == list(range(8))
  assert mesh.shape["fsdp"] == sizes["fsdp"]
  assert most_of_a_copy(list(mesh.devices.flat)) == 8


def test_a_copy_of_the_parameters_lies_within_a_slice_as_far_as_devices_at_hand_allow():
  assert most_of_a_copy([Chip(id, id // 4) for id in range(8)]) == 4  # a run of fsdp 8 is restored over 4
  assert most_of_a_copy([Chip(id, 0) for id in range(8)]) == 8


def test_the_devices_of_a_tensor_axis_are_of_one_process():
  chips = [Chip(id, 0, id % 2) for id in range(4)]
  mesh = make_mesh(tensor=2, devices=chips)
  assert [[chip.id for chip in row] for row in mesh.devices[:, 0]] == [[0, 2], [1, 3]]
  with pytest.raises(InputError, match=r"mesh\.tensor is 4, and would join devices of several processes"):
    make_mesh(tensor=4, devices=chips)


def test_a_batch_that_cannot_be_divided_is_refused():
  mesh = make_mesh()
  check_batch_size(32, mesh, 4)
  with pytest.raises(InputError, match="batch_size 48"):
    check_batch_size(48, mesh, 4)
  with pytest.raises(InputError, match="batch_size 4"):
    check_batch_size(4, mesh)


def test_placing_spreads_the_batch_over_all_devices_in_order():
  batch = toys.first_batch()
  placed = place(batch, make_mesh(fsdp=4))
  assert len({shard.device for shard in placed.x.addressable_shards}) == 8
  assert placed.x.addressable_shards[0].data.shape == (2, 8)
  jax.tree.map(np.testing.assert_array_equal, placed, batch)
