"""Counts of collectives against programs whose exchanges are known by construction."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from catgen.interfaces import InputError
from catgen.training.collectives import by_kind, collectives

ROUNDS, ROWS, COLUMNS = 5, 64, 4
WHOLE, PART = 4 * ROWS * COLUMNS, 4 * ROWS * COLUMNS // 8  # bytes of float32


def compiled(function, *shapes):
  """Returns the text of a function that each of eight devices runs on its part of the arrays' first axis."""
  mesh = jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Auto,))
  spread = PartitionSpec("devices")
  mapped = jax.shard_map(function, mesh=mesh, in_specs=spread, out_specs=spread)
  given = [jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spread)) for shape in shapes]
  return jax.jit(mapped).lower(*given).compile().as_text()


def exchange(part):
  """Gathers, sums and scatters in a loop, sums a row in a loop within it, and passes on once."""

  def inner(part, _):
    return part * jax.lax.psum(part[:1], "devices"), None

  def outer(part, _):
    gathered = jax.lax.all_gather(part, "devices", tiled=True)
    part += jax.lax.psum_scatter(jnp.sin(gathered), "devices", tiled=True)
    return jax.lax.scan(inner, part, None, length=3)

  part, _ = jax.lax.scan(outer, part, None, length=ROUNDS)
  return jax.lax.ppermute(part, "devices", [(i, (i + 1) % 8) for i in range(8)])


@functools.cache
def text():
  return compiled(exchange, (ROWS, COLUMNS))


@pytest.mark.parametrize("annotated", [True, False], ids=["lengths written", "lengths from conditions"])
def test_collectives_count_as_often_as_their_loops_run(annotated):
  known = re.compile(r'"known_trip_count":\{"n":"\d+"\}')
  assert len(known.findall(text())) == 2
  totals = by_kind(collectives(text() if annotated else known.sub("", text())))
  assert {kind: total.runs for kind, total in totals.items()} == {
    "all-gather": ROUNDS,
    "reduce-scatter": ROUNDS,
    "all-reduce": 3 * ROUNDS,
    "collective-permute": 1,
  }
  assert {kind: total.num_bytes for kind, total in totals.items()} == {
    "all-gather": ROUNDS * WHOLE,
    "reduce-scatter": ROUNDS * PART,
    "all-reduce": 3 * ROUNDS * 4 * COLUMNS,
    "collective-permute": PART,
  }
  assert next(iter(totals)) == "all-gather"


def test_each_says_what_it_moves_among_how_many_and_who_asked_for_it():
  found = {each.kind: each for each in collectives(text())}
  assert {each.group for each in found.values() if each.kind != "collective-permute"} == {8}
  assert str(found["all-gather"].arrays[0]) == f"f32[{ROWS},{COLUMNS}]"
  assert found["reduce-scatter"].source.endswith("reduce_scatter")
  assert all(each.bounded for each in found.values())
  # Of a ring of eight each sends seven eighths of what is gathered, twice that of what is summed everywhere.
  assert found["all-gather"].sent_bytes == pytest.approx(ROUNDS * WHOLE * 7 / 8)
  assert found["reduce-scatter"].sent_bytes == pytest.approx(ROUNDS * WHOLE * 7 / 8)
  assert found["all-reduce"].sent_bytes == pytest.approx(3 * ROUNDS * 4 * COLUMNS * 2 * 7 / 8)
  assert found["collective-permute"].sent_bytes == PART


def test_a_loop_of_unknown_length_is_said_to_be_one_and_a_conditional_counts_its_dearest_branch():
  def function(part):
    def more(carry):
      return jax.lax.psum(carry.sum(), "devices") > 0

    part = jax.lax.while_loop(more, lambda carry: carry - jax.lax.all_gather(carry, "devices").mean(), part)
    dear = lambda x: jax.lax.all_to_all(x, "devices", 0, 0, tiled=True)  # noqa: E731
    return jax.lax.cond(jax.lax.axis_index("devices") < 9, dear, jnp.cos, part)

  found = collectives(compiled(function, (ROWS, COLUMNS)))
  assert {(each.kind, each.bounded) for each in found} == {("all-gather", False), ("all-to-all", True)}
  assert all(each.runs == 1 for each in found)


def test_a_program_without_exchanges_has_none_and_other_text_is_refused():
  assert collectives(compiled(jnp.sin, (ROWS,))) == ()
  with pytest.raises(InputError, match="no text of a compiled program"):
    collectives("HloModule nothing")


def written(body, *, others=""):
  """Returns a program on 16 devices whose ENTRY has this body."""
  return f"HloModule step, num_partitions=16\n{others}\nENTRY %main (x: f32[8]) -> f32[8] {{\n{body}\n}}\n"


def test_the_start_and_the_end_of_one_exchange_are_one():
  body = """
  %x = f32[8]{0} parameter(0)
  %s = ((f32[8]{0}), bf16[32,2]{1,0:T(8,128)(2,1)}) all-gather-start(%x), replica_groups=[4,4]<=[16], dimensions={0}, metadata={op_name="jit(step)/gather"}
  %a = ((f32[8]{0}), f32[2]{0}, u32[]) async-start(%x), calls=%scattered
  ROOT %d = bf16[32,2]{1,0:T(8,128)(2,1)} all-gather-done(%s)
  %e = f32[2]{0} async-done(%a), calls=%scattered"""  # noqa: E501
  other = """
%scattered (p: f32[8]) -> f32[2] {
  %p = f32[8]{0} parameter(0)
  ROOT %r = f32[2]{0} reduce-scatter(%p), replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}, to_apply=%add
}"""
  scattered, gathered = collectives(written(body, others=other))
  assert (gathered.kind, str(gathered.arrays[0]), gathered.group) == ("all-gather", "bf16[32,2]", 4)
  assert gathered.num_bytes == 2 * 32 * 2
  assert gathered.source == "jit(step)/gather"
  assert (scattered.kind, scattered.num_bytes, scattered.group) == ("reduce-scatter", 8, 4)


GATHER = (
  "all-gather(%p), channel_id=9, replica_groups=mesh['a'=1,'b'=8,'c'=2], device_ids=([2,8]T(1,0)) {'b'}, "
  'dimensions={0}, frontend_attributes={chain_id="0"}'
)


def test_a_chain_of_fusions_of_a_tpu_is_one_exchange_and_a_sum_that_is_cut_in_a_fusion_is_a_reduce_scatter():
  others = f"""
%begin (p: f32[8]) -> (f32[8], f32[64]) {{
  %p = f32[8] parameter(0)
  %g = f32[64] {GATHER}
  ROOT %c = (f32[8], f32[64], u32[]) custom-call(%g), custom_call_target="AsyncCollectiveStart"
}}

%between (p: f32[8]) -> f32[64] {{
  %p = f32[8] parameter(0)
  ROOT %g = f32[64] {GATHER}
}}

%end (p: f32[8]) -> f32[64] {{
  %p = f32[8] parameter(0)
  %g = f32[64] {GATHER}
  ROOT %c = f32[64] custom-call(%g), custom_call_target="AsyncCollectiveDone"
}}

%all-reduce-scatter (p: f32[64]) -> f32[16] {{
  %p = f32[64] parameter(0)
  %sum = f32[64] all-reduce(%p), replica_groups={{{{0,1,2,3}},{{4,5,6,7}}}}, to_apply=%add
  %i = u32[] partition-id()
  ROOT %cut = f32[16] dynamic-slice(%sum, %i), dynamic_slice_sizes={{16}}
}}"""
  body = """
  %x = f32[8] parameter(0)
  %s = (f32[8], f32[64], u32[]) fusion(%x), kind=kCustom, calls=%begin
  %m = f32[64] fusion(%s), kind=kOutput, calls=%between
  %e = f32[64] fusion(%m), kind=kCustom, calls=%end
  ROOT %r = f32[16] fusion(%e), kind=kCustom, calls=%all-reduce-scatter"""
  gathered, scattered = collectives(written(body, others=others))
  assert (gathered.kind, gathered.num_bytes, gathered.group) == ("all-gather", 256, 8)
  assert (scattered.kind, scattered.num_bytes, scattered.group) == ("reduce-scatter", 64, 4)
  assert scattered.sent_bytes == 256 * 3 / 4


@pytest.mark.parametrize(
  ("dtype", "num_bytes"),
  [("f32", 4), ("bf16", 2), ("pred", 1), ("s8", 1), ("f8e4m3fn", 1), ("u64", 8), ("c64", 8), ("s4", 0.5)],
)
def test_bytes_follow_from_dtype_and_shape(dtype, num_bytes):
  body = f"  %x = {dtype}[6,4] parameter(0)\n  ROOT %r = {dtype}[6,4] all-to-all(%x), replica_groups={{{{0,1}}}}"
  (found,) = collectives(written(body))
  assert found.num_bytes == 24 * num_bytes
  assert np.prod(found.arrays[0].shape) == 24


def test_all_devices_take_part_where_no_groups_are_given():
  (found,) = collectives(written("  ROOT %r = (f32[2], bf16[3]) all-reduce(%x, %y), replica_groups={}, to_apply=%add"))
  assert (found.group, found.num_bytes, len(found.arrays)) == (16, 14, 2)
