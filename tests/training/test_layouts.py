"""Which device holds what, read from shapes alone, and what else needs no step: fingerprints, differences, signals."""

import errno
import os
import signal
import threading
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from catgen.interfaces import InputError
from catgen.training import distributed, integrity
from catgen.training.distributed import make_agreement
from catgen.training.sharding import batch_sharding, check_batch_size, make_mesh, shard_state
from catgen.training.signals import catch_signals
from catgen.training.state import TrainState


def leaf(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def layout(params, opt_state=(), rules=((".*", "fsdp"),), fsdp=4, min_size=1):
  state = TrainState(leaf(), params, params, opt_state, {"history": leaf(8)})
  return shard_state(state, make_mesh(fsdp=fsdp), rules, min_size=min_size)


SHAPES = {
  (8,): ("fsdp",),
  (4, 8): (None, "fsdp"),
  (8, 4): ("fsdp",),
  (8, 8): (None, "fsdp"),  # the last of the largest
  (16, 9): ("fsdp",),
  (7, 12, 4): (None, "fsdp"),
  (7, 9): (),
  (6, 2): (),
  (): (),
}


@pytest.mark.parametrize(("shape", "spec"), SHAPES.items(), ids=str)
def test_the_largest_axis_that_the_devices_divide_is_spread(shape, spec):
  found = layout({"kernel": leaf(*shape)})
  assert found.params["kernel"].spec == PartitionSpec(*spec)
  assert found.ema["kernel"].spec == found.params["kernel"].spec
  assert found.step.is_fully_replicated
  assert found.model_state["history"].is_fully_replicated


@pytest.mark.parametrize("min_size", [1, 64, 65])
def test_small_arrays_are_copied(min_size):
  spec = layout({"kernel": leaf(8, 8)}, min_size=min_size).params["kernel"].spec
  assert (spec == PartitionSpec()) == (min_size > 64)


def test_with_one_device_a_copy_nothing_is_spread():
  assert layout({"kernel": leaf(8, 8)}, fsdp=1).params["kernel"].spec == PartitionSpec()


def test_a_leaf_of_the_optimizer_follows_the_parameter_of_its_path_and_shape():
  params = {"a": {"kernel": leaf(8, 4)}, "b": {"kernel": leaf(4, 8)}, "kernel": leaf(12)}
  moments = {"mu": params, "factored": {"a": {"kernel": leaf(8)}}, "count": leaf()}
  found = layout(params, moments).opt_state
  assert found["mu"]["a"]["kernel"].spec == PartitionSpec("fsdp")
  assert found["mu"]["b"]["kernel"].spec == PartitionSpec(None, "fsdp")
  assert found["mu"]["kernel"].spec == PartitionSpec("fsdp")
  assert found["factored"]["a"]["kernel"].spec == PartitionSpec()  # another shape
  assert found["count"].spec == PartitionSpec()


def test_the_first_rule_that_is_found_counts_and_without_one_all_is_copied():
  params = {"head": {"kernel": leaf(8, 8)}, "body": {"kernel": leaf(8, 8), "bias": leaf(8)}}
  rules = ((r"^head", "replicate"), (r"kernel", ("fsdp", None)))
  found = layout(params, rules=rules).params
  assert found["head"]["kernel"].spec == PartitionSpec()
  assert found["body"]["kernel"].spec == PartitionSpec("fsdp", None)
  assert found["body"]["bias"].spec == PartitionSpec()


@pytest.mark.parametrize(("fsdp", "data"), [(1, 8), (2, 4), (8, 1)])
def test_examples_are_spread_over_both_axes(fsdp, data):
  mesh = make_mesh(fsdp=fsdp)
  assert dict(mesh.shape) == {"data": data, "fsdp": fsdp, "tensor": 1}
  assert batch_sharding(mesh).shard_shape((16, 3)) == (2, 3)


@pytest.mark.parametrize(
  ("batch_size", "num_microbatches", "advice"), [(20, 1, "use 16"), (4, 1, "use 8"), (24, 2, "use 16")]
)
def test_a_batch_that_does_not_divide_is_told_the_next_smaller_one(batch_size, num_microbatches, advice):
  with pytest.raises(InputError, match=advice):
    check_batch_size(batch_size, make_mesh(), num_microbatches)
  check_batch_size(int(advice.split()[1]), make_mesh(), num_microbatches)


def test_one_process_agrees_with_itself_at_once():
  assert make_agreement(make_mesh())(15) == 15


def test_one_process_tells_itself_and_stops_at_once():
  asked = []
  stop = distributed.Stop(make_mesh(), lambda: asked[-1] if asked else 0)
  assert (stop(), stop.exit_code) == (0, 0)
  asked.append(15)
  assert (stop(), stop.exit_code) == (15, 143)
  assert distributed.first_tells(lambda: b"found") == b"found"
  assert distributed.worst(2) == 2


def reference_fingerprint(tree):
  total = np.uint64(0)
  for name, array in tree.items():
    bits = array.view(f"u{array.itemsize}").astype(np.uint64).ravel()
    weight = np.uint64(zlib.crc32(name.encode()) | 1)
    total += weight * np.uint64(((2 * np.arange(bits.size, dtype=np.uint64) + 1) * bits).sum() % 2**32)
  return int(total % 2**32)


def test_a_fingerprint_is_a_weighted_sum_of_bits_modulo_two_to_the_32():
  rng = np.random.default_rng(0)
  tree = {"a": rng.normal(size=(3, 4, 2)).astype(np.float32), "b": rng.integers(-9, 9, 5).astype(np.int32)}
  with np.errstate(over="ignore"):
    expected = reference_fingerprint(tree)
  assert int(integrity.fingerprint(tree)) == expected
  assert int(integrity.fingerprint(dict(reversed(tree.items())))) == expected
  assert int(integrity.fingerprint({**tree, "empty": np.zeros((0, 3), np.float32)})) == expected
  minus_zero = {"a": np.array([-0.0], np.float32)}
  assert int(integrity.fingerprint(minus_zero)) != int(integrity.fingerprint({"a": np.array([0.0], np.float32)}))


KERNEL = ((3, 4), "float32")


@pytest.mark.parametrize(
  ("there", "here", "said"),
  [
    ({"a": KERNEL}, {"a": KERNEL}, None),
    ({"a": KERNEL}, {}, "a is stored but not used by this run"),
    ({}, {"a": KERNEL}, "a is not stored"),
    ({"a": ((3, 5), "float32")}, {"a": KERNEL}, "a is float32[3,5] there and float32[3,4] here"),
    ({"a": ((3, 4), "bfloat16")}, {"a": KERNEL}, "a is bfloat16[3,4] there and float32[3,4] here"),
    ({"b": ((), "int32"), "a": KERNEL}, {"a": KERNEL, "c": KERNEL}, "b is stored but not used by this run"),
  ],
)
def test_the_first_difference_of_two_trees_is_said_in_words(there, here, said):
  assert integrity.tree_difference(there, here) == said


def test_a_full_disk_is_found_behind_other_errors():
  outer = RuntimeError("could not save")
  outer.__context__ = ValueError("inner")
  outer.__context__.__cause__ = OSError(errno.ENOSPC, "no space")
  assert integrity.storage_problem(outer) == os.strerror(errno.ENOSPC)
  assert integrity.storage_problem(OSError(errno.ENOENT, "no such file")) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_request_and_the_handlers_come_back(number):
  before = signal.getsignal(number)
  with catch_signals() as request:
    assert request.signal is None
    signal.raise_signal(number)
    assert request.signal == number
    assert signal.getsignal(number) is not before
  assert signal.getsignal(number) is before


def test_outside_the_main_thread_no_handler_is_set():
  before, seen = signal.getsignal(signal.SIGTERM), []

  def other():
    with catch_signals() as request:
      seen.append((request.signal, signal.getsignal(signal.SIGTERM)))

  thread = threading.Thread(target=other)
  thread.start()
  thread.join()
  assert seen == [(None, before)]
