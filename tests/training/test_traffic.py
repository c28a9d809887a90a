"""Bytes that a program moves within a device, against those that its text must move."""

import jax
import jax.numpy as jnp
import pytest

from catgen.training.hlo import read
from catgen.training.traffic import kept, traffic

MIB = 2**20


def written(body, *, others=""):
  return read(f"HloModule step\n{others}\nENTRY %main (x: f32[1024,1024]) -> f32[1024,1024] {{\n{body}\n}}\n")


WHOLE = "f32[1024,1024]{1,0}"


def test_operands_are_read_and_results_written_once_except_on_the_chip():
  program = written(f"""
  %x = {WHOLE} parameter(0)
  %y = bf16[1024,1024] convert(%x)
  %on_chip = f32[1024,1024]{{1,0:T(8,128)S(1)}} add(%x, %x)
  %b = f32[1048576] bitcast(%x)
  ROOT %r = {WHOLE} add(%on_chip, %y)""")
  assert traffic(program) == (4 + 2 + 8 + 2 + 4) * MIB
  assert [str(each.array) for each in kept(program)] == ["bf16[1024,1024]", "f32[1024,1024]"]


def test_room_that_is_only_set_aside_is_not_written():
  program = written(f"""
  %x = {WHOLE} parameter(0)
  %room = {WHOLE} custom-call(), custom_call_target="AllocateBuffer"
  ROOT %r = {WHOLE} custom-call(%x, %room), custom_call_target="SomeKernel", operands={{}}""")
  assert traffic(program) == (4 + 4 + 4) * MIB
  assert len(list(kept(program))) == 1


def test_what_is_cut_or_filled_in_place_moves_its_piece_also_within_fusions_of_fusions():
  others = f"""
%inner (p: f32[1024,1024], i: s32[]) -> f32[1,1024] {{
  %p = {WHOLE} parameter(0)
  %i = s32[] parameter(1)
  ROOT %cut = f32[1,1024] dynamic-slice(%p, %i, %i)
}}

%outer (p: f32[1024,1024], q: f32[1024,1024], i: s32[]) -> f32[1024,1024] {{
  %p = {WHOLE} parameter(0)
  %q = {WHOLE} parameter(1)
  %i = s32[] parameter(2)
  %piece = f32[1,1024] fusion(%p, %i), calls=%inner
  %twice = f32[1,1024] add(%piece, %piece)
  ROOT %filled = {WHOLE} dynamic-update-slice(%q, %twice, %i, %i)
}}"""
  program = written(
    f"""
  %x = {WHOLE} parameter(0)
  %i = s32[] parameter(1)
  ROOT %f = {WHOLE} fusion(%x, %x, %i), kind=kLoop, calls=%outer""",
    others=others,
  )
  assert traffic(program) == 4096 + 4096 + 4


@pytest.mark.parametrize("length", [1, 7])
def test_the_body_of_a_loop_counts_as_often_as_it_runs(length):
  def loop(x):
    return jax.lax.scan(lambda h, _: (jnp.tanh(h @ h), None), x, None, length=length)[0]

  text = jax.jit(loop).lower(jax.ShapeDtypeStruct((512, 512), jnp.float32)).compile().as_text()
  once = 4 * 512 * 512
  # A product reads its operand twice and writes, the function reads and writes; a few more for the counter and copies.
  assert length * 4 * once <= traffic(read(text)) <= (length * 5 + 3) * once
