"""Warnings on programs made to deserve them, and none on those that do not."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from catgen.training import findings
from catgen.training.collectives import Collective
from catgen.training.compiled import Compiled, compile_program
from catgen.training.findings import Placed
from catgen.training.hlo import ArrayType
from catgen.training.sharding import make_mesh
from catgen.training.traffic import Kept

MIB = 2**20
WIDTH, BATCH, LENGTH = 512, 64, 48


def placed(*, fsdp, spread=True, passes=1):
  """One matrix [512, 512], spread over `fsdp` unless it is copied, on 8 devices."""
  mesh = make_mesh(fsdp=fsdp)
  spec = PartitionSpec("fsdp") if spread and fsdp > 1 else PartitionSpec()
  matrix = jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32, sharding=NamedSharding(mesh, spec))
  return Placed(mesh, {"matrix": matrix}, {"params": {"matrix": matrix}}, BATCH, (LENGTH,), passes)


def compiled(*, collectives=(), kept=()):
  return Compiled(0.0, 0, 0, 0, 0, 0, tuple(collectives), tuple(kept))


def exchange(kind, shape, runs, members, dtype="f32"):
  return Collective(kind, (ArrayType(dtype, shape),), runs, tuple(members), "jit(step)/somewhere")


def test_a_program_fits_into_a_memory_of_its_size_and_into_none_that_is_smaller():
  assert not list(findings.too_large(2**34, 2**34))
  (line,) = findings.too_large(2**34 + 2**33, 2**34)
  assert line == "out of memory: 24.00 GiB are needed on a device that has 16.00 GiB"


def test_wide_products_are_named_where_narrow_ones_were_asked_for_and_exact_ones_were_not():
  flops = {"bfloat16": 90.0, "bfloat16 x float32": 8.0, "float32": 1.0, "float32 highest": 50.0}
  (line,) = findings.wide_products(flops, "bfloat16")
  assert line.startswith("5.4% of the operations are products of bfloat16 x float32, though")
  assert not list(findings.wide_products(flops, "float32"))


@pytest.mark.parametrize(
  ("shape", "whole"),
  [
    ((BATCH, LENGTH, 100), True),
    ((BATCH * LENGTH, 100), True),
    ((3, BATCH, 12, LENGTH, LENGTH), True),
    ((BATCH // 8, LENGTH, BATCH), False),  # as wide as the batch is large
    ((BATCH // 8, BATCH * LENGTH), False),  # as many features as the batch has positions
    ((WIDTH, WIDTH), False),
    ((BATCH, 100), False),  # nothing of an example but its number
    ((BATCH // 8, LENGTH, 100), False),
  ],
)
def test_arrays_with_all_examples_are_found_by_their_axes(shape, whole):
  kept = [Kept(ArrayType("f32", shape), "jit(step)/attention")]
  lines = list(findings.whole_batches(compiled(kept=kept), placed(fsdp=8)))
  assert len(lines) == whole
  if whole:
    assert "all 64 examples on each device, which should have 8: jit(step)/attention" in lines[0]


def test_an_axis_that_parameters_have_too_is_taken_for_features():
  around = placed(fsdp=8)
  around = around._replace(batch_size=16, event=(WIDTH // 16,))
  kept = [Kept(ArrayType("f32", shape), "jit(step)/gates") for shape in ((WIDTH, 100), (16, WIDTH // 16, 100))]
  (line,) = findings.whole_batches(compiled(kept=kept), around)
  assert line.startswith("f32[16,32,100]")


def test_no_more_is_explained_than_gathers_of_parameters_and_sums_of_gradients():
  size = 4 * WIDTH * WIDTH
  assert findings.explained_bytes(placed(fsdp=1)) == 2 * size * 7 / 8
  assert findings.explained_bytes(placed(fsdp=8)) == 3 * size * 7 / 8
  assert findings.explained_bytes(placed(fsdp=4)) == 3 * size * 3 / 4 + 2 * size / 4 / 2
  assert findings.explained_bytes(placed(fsdp=8, passes=3)) == 9 * size * 7 / 8
  assert findings.explained_bytes(placed(fsdp=8)._replace(updates=2)) == 5 * size * 7 / 8
  mesh = make_mesh(fsdp=2, tensor=2)  # of what is spread over "tensor" a device needs its half alone
  for spec, explained in ((("fsdp", "tensor"), 3 * size / 4 + size / 4), ((None, "tensor"), 2 * size / 2 * 3 / 4)):
    matrix = jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
    assert findings.explained_bytes(placed(fsdp=2)._replace(mesh=mesh, params=[matrix])) == explained


def test_exchanges_beyond_that_are_named_with_the_largest():
  everyone = range(8)
  step = [
    exchange("all-gather", (WIDTH, WIDTH), 2, everyone),
    exchange("reduce-scatter", (WIDTH // 8, WIDTH), 1, everyone),
  ]
  assert not list(findings.unexplained(compiled(collectives=step), placed(fsdp=8)))
  whole_batch = exchange("all-reduce", (BATCH, LENGTH, WIDTH), 12, everyone)
  (line,) = findings.unexplained(compiled(collectives=[*step, whole_batch]), placed(fsdp=8))
  assert "times what parameters and gradients explain; the most by all-reduce of f32[64,48,512], 12 times" in line
  assert "jit(step)/somewhere" in line


def test_of_a_program_of_many_passes_only_an_exchange_larger_than_the_parameters_is_named():
  often = exchange("all-gather", (WIDTH, WIDTH), 1000, range(8))
  large = exchange("all-gather", (3, WIDTH, WIDTH), 1, range(8))
  assert not list(findings.unexplained(compiled(collectives=[often]), placed(fsdp=8, passes=None)))
  (line,) = findings.unexplained(compiled(collectives=[often, large]), placed(fsdp=8, passes=None))
  assert line.startswith("one exchange moves more than the parameters hold: all-gather of f32[3,512,512], once")


def test_what_is_whole_on_every_device_is_named_where_it_is_large(monkeypatch):
  assert not list(findings.repeated(placed(fsdp=8, spread=False), 100 * MIB))
  monkeypatch.setattr(findings, "_LARGE_LEAF", MIB // 2)
  (line,) = findings.repeated(placed(fsdp=8, spread=False), 100 * MIB)
  assert line.startswith("params/matrix (512 x 512, 1 MiB) is whole on every device")
  assert not list(findings.repeated(placed(fsdp=8), 100 * MIB))
  (line,) = findings.repeated(placed(fsdp=1), 2 * MIB)
  assert "50% of its memory: config.mesh.fsdp above 1 spreads it" in line
  assert not list(findings.repeated(placed(fsdp=1), 100 * MIB))


@pytest.mark.parametrize("columns", [256, 4096], ids=["more temporaries than arguments", "more arguments"])
def test_the_peak_has_room_for_what_a_product_is_made_of(columns):
  x = jax.ShapeDtypeStruct((256, columns), jnp.float32)
  made = compile_program(jax.jit(lambda x: (jnp.sin(x[:, :256]) @ jnp.cos(x[:, -256:])).sum()).trace(x))
  assert made.temporary_bytes >= 256 * 256 * 4
  assert (made.argument_bytes > made.temporary_bytes) == (columns > 256)
  assert made.peak_bytes >= made.argument_bytes + made.temporary_bytes


def test_a_compiled_program_that_gathers_the_batch_is_found_out_and_one_that_does_not_is_not():
  around = placed(fsdp=8)
  spread, everywhere = (NamedSharding(around.mesh, spec) for spec in (PartitionSpec(("data", "fsdp")), PartitionSpec()))
  x = jax.ShapeDtypeStruct((BATCH, LENGTH, 4 * WIDTH), jnp.float32, sharding=spread)

  def found(sharding):
    step = jax.jit(lambda x: jnp.sin(jax.lax.with_sharding_constraint(jnp.tanh(x), sharding)))
    return compile_program(step.trace(x))

  good, bad = found(spread), found(everywhere)
  assert not [*findings.whole_batches(good, around), *findings.unexplained(good, around)]
  assert bad.collectives[0].kind == "all-gather"
  assert any("f32[64,48,2048]" in line for line in findings.whole_batches(bad, around))
  assert any("all-gather of f32[64,48,2048]" in line for line in findings.unexplained(bad, around))
  assert bad.peak_bytes > 0
  assert bad.argument_bytes == x.size * 4 // 8
