"""Kernels are counted once, by kind, and their shares sum to one."""

from collections import Counter, namedtuple

import pytest

from benchmarks import kernels

Plane = namedtuple("Plane", "name lines")
Line = namedtuple("Line", "name events")
Event = namedtuple("Event", "name duration_ns")


def test_only_what_ran_on_streams_of_devices_counts():
  line = [Event("gemm", 2e6), Event("loop_fusion", 1e6)]
  planes = [
    Plane("/device:GPU:0", [Line("Stream #1(Compute)", line), Line("XLA Ops", [])]),
    Plane("/device:GPU:0", [Line("XLA Modules", line), Line("Steps", line)]),
    Plane("/host:CPU", [Line("Stream of a thread", line)]),
  ]
  assert list(kernels.kernels(planes)) == [("gemm", pytest.approx(2e-3)), ("loop_fusion", pytest.approx(1e-3))]


@pytest.mark.parametrize(
  ("kernel", "kind"),
  [
    ("nvjet_sm90_tst_128x256_64x4_2x1_v_bz_coopA_NNT", "products"),
    ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma", "attention"),
    ("input_reduce_fusion_12", "sums and norms"),
    ("loop_multiply_fusion", "elementwise"),
    ("loop_add_convert_fusion", "elementwise"),
    ("wrapped_convert", "elementwise"),
    ("sm90_xmma_fprop_implicit_gemm_bf16", "products"),
    ("input_transpose_fusion", "transposes and copies"),
    ("something_new", "other"),
  ],
)
def test_a_kernel_is_of_one_kind(kernel, kind):
  assert kernels.kind_of(kernel) == kind


def test_kinds_share_the_time_of_all_kernels():
  spent = Counter({"nvjet_a": 3e-3, "nvjet_b": 2e-3, "loop_fusion": 4e-3, "something": 1e-3})
  first, *rows = kernels.rows(spent, longest=1)
  assert first.seconds == pytest.approx(10e-3)
  kinds = rows[:3]
  assert [row.name.strip() for row in kinds] == ["products", "elementwise", "other"]
  assert sum(row.seconds for row in kinds) == pytest.approx(first.seconds)
  assert (rows[3].name.strip(), rows[3].seconds) == ("loop_fusion", 4e-3)


def test_a_profile_without_kernels_says_so():
  (row,) = kernels.rows(Counter())
  assert row.seconds is None
  assert "left out" in row.note
