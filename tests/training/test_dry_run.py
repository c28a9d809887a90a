import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive

from catgen.training.dry_run import describe, flops_by_dtype
from tests import toys
from tests.training.trainer import Setting, build


def flops(function, *arguments):
  return sum(flops_by_dtype(jax.make_jaxpr(function)(*arguments)).values())


def described(trainer, **options):
  batch = trainer.place(toys.first_batch())
  traced = trainer.train_step.trace(trainer.target, batch, trainer.key)
  return describe(traced, trainer.target.params, trainer.target, batch, **options)


def test_products_are_counted_twice_their_multiply_adds():
  a, b = jnp.ones((7, 3, 5)), jnp.ones((7, 5, 4))
  assert flops(jnp.matmul, a, b) == 2 * 7 * 3 * 5 * 4

  def convolve(image, kernel):
    return jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

  image, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 6))
  assert flops(convolve, image, kernel) == 2 * (2 * 8 * 8 * 6) * (3 * 3 * 3)


@pytest.mark.parametrize("precision", [None, "high", "highest"])
def test_products_are_told_apart_by_dtype_and_by_the_precision_that_is_asked_for(precision):
  suffix = f" {precision}" if precision else ""
  for dtype in ("float32", "bfloat16"):
    a, b = jnp.ones((3, 5), dtype), jnp.ones((5, 4), dtype)
    traced = jax.make_jaxpr(lambda a, b: jnp.matmul(a, b, precision=precision))(a, b)
    assert flops_by_dtype(traced) == {dtype + suffix: 2.0 * 3 * 5 * 4}


def test_loops_count_as_often_as_they_run_and_gradients_count():
  x, weights = jnp.ones((4, 5)), jnp.ones((6, 5, 5))

  def loop(weights, x):
    return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, weights)[0].sum()

  once = 2 * 4 * 5 * 5
  assert flops(jax.jit(loop), weights, x) == 6 * once
  assert flops(jax.grad(loop), weights, x) in (6 * 3 * once, 6 * 3 * once - once)


def test_fused_attention_counts_as_its_plain_form_in_the_dtype_of_its_queries():
  kernel = Primitive("dot_product_attention_fwd_wrapper")  # of cuDNN, which is traced only where it is installed
  kernel.def_abstract_eval(lambda query, key: jax.core.ShapedArray((3, 4), query.dtype))

  def fused(query, key):
    return jax.lax.cond(query[0, 0] > 0, kernel.bind, kernel.bind, query, key)

  def plainly(query, key):
    return (query @ key.astype(jnp.float32)).astype(query.dtype)

  def attend(query, key):
    return jax.lax.platform_dependent(query, key, cuda=fused, default=plainly)

  query, key = jnp.ones((3, 5), "bfloat16"), jnp.ones((5, 4), "bfloat16")
  traced = jax.make_jaxpr(jax.jit(attend))(query, key)
  assert flops_by_dtype(traced) == {"bfloat16 x float32": 2.0 * 3 * 5 * 4}
  assert flops_by_dtype(traced, nvidia=True) == {"bfloat16": 2.0 * 3 * 5 * 4}

  def sometimes(query, key):  # a choice that is made while it runs is none of platforms
    return jax.lax.cond(query[0, 0] > 0, attend, lambda q, k: plainly(q, k) + plainly(q, k + 1), query, key)

  assert flops_by_dtype(jax.make_jaxpr(sometimes)(query, key), nvidia=True) == {"bfloat16 x float32": 4.0 * 3 * 5 * 4}


def test_the_description_of_a_run():
  whole, shared = (build("markov", Setting(fsdp=fsdp)) for fsdp in (1, 8))
  batch = whole.place(toys.first_batch())
  one, eight = map(described, (whole, shared))
  number = sum(np.size(leaf) for leaf in jax.tree.leaves(whole.init().params))
  assert one.num_parameters == eight.num_parameters == number
  assert one.parameter_bytes == 4 * number
  # Every kernel of the toy can be divided by eight: so can the average and both moments.
  assert eight.parameter_bytes == one.parameter_bytes // 8
  assert one.state_bytes - eight.state_bytes == 4 * (one.parameter_bytes - eight.parameter_bytes)
  assert one.batch_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(batch)) // 8
  # Two kernels and a head forward, and all three gradients; but the loss goes back through the head alone.
  layer, head = 2 * 16 * 8 * 5 * 16, 2 * 16 * 8 * 16 * 5
  assert one.flops == eight.flops == 2 * (2 * layer + head) + head
  assert one.temporary_bytes is None


def test_temporary_memory_is_known_once_compiled():
  trainer = build("markov", Setting(devices=1))
  assert described(trainer, compile_step=True).temporary_bytes > 0
