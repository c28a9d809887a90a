"""Gradients of parameters are summed over examples, and so over devices, in float32 where a network is bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.keys import example_keys
from tests.training.spread_members import MAP, autoregressive, diffusion, trunk

NETWORKS = {
  "transformer": lambda: diffusion(trunk("transformer", dtype="bfloat16", scan_layers=True, conv_width=3)),
  "local_linear_transformer": lambda: diffusion(
    trunk("local_linear_transformer", width=32, num_layers=1, num_heads=4, window=2, dtype="bfloat16")
  ),
  "unet": lambda: diffusion(
    trunk("unet", widths=(16, 32), num_layers=1, time_width=16, patch_size=2, dtype="bfloat16"), MAP
  ),
  "linear_attention_unet": lambda: diffusion(
    trunk("linear_attention_unet", width=16, multipliers=(1, 2), dtype="bfloat16"), MAP
  ),
  "densenet": lambda: diffusion(trunk("densenet", dtype="bfloat16"), MAP),
  "lstm": lambda: diffusion(trunk("lstm", dtype="bfloat16")),
  "pixel_cnn": lambda: autoregressive(trunk("pixel_cnn", width=16, num_layers=2, dtype="bfloat16"), MAP),
  "deep_transformer": lambda: autoregressive(trunk("deep_transformer", dtype="bfloat16")),
  "transformer_xl": lambda: autoregressive(trunk("transformer_xl", dtype="bfloat16")),
}
SUMS = {"dot_general", "conv_general_dilated", "reduce_sum", "scatter-add"}
CARRIED = {
  "convert_element_type",
  "transpose",
  "reshape",
  "squeeze",
  "broadcast_in_dim",
  "mul",
  "add_any",
  "pad",
  "neg",
}


def sums(jaxpr, index):
  """Returns the sums that output `index` of a program is made of, as equations, through what only rearranges them."""
  made = {var: (equation, place) for equation in jaxpr.eqns for place, var in enumerate(equation.outvars)}
  found, open_ends = [], [jaxpr.outvars[index]]
  while open_ends:
    var = open_ends.pop()
    equation, place = made.get(var, (None, 0)) if not isinstance(var, jax.extend.core.Literal) else (None, 0)
    if equation is None:
      continue
    inner = list(jax.core.jaxprs_in_params(equation.params))
    if equation.primitive.name in SUMS:
      found.append(equation)
    elif inner and len(inner[0].outvars) == len(equation.outvars):
      found += sums(inner[0], place)
    elif equation.primitive.name in CARRIED:
      open_ends += [each for each in equation.invars if getattr(each.aval, "shape", ()) != ()]
  return found


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=() if name == "transformer" else pytest.mark.slow) for name in NETWORKS]
)
def test_no_gradient_is_bfloat16_where_examples_are_added_up(name):
  model = NETWORKS[name]()
  batch = batch_of(np.zeros((4, *model.event.shape), np.int32))
  params, state = jax.eval_shape(model.init, batch, jax.random.key(0))

  def loss(params, batch):
    return model.bound(params, batch, example_keys(jax.random.key(0), batch.index), state=state, train=True).nats.sum()

  jaxpr = jax.make_jaxpr(jax.grad(loss))(params, batch).jaxpr
  names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
  dtypes = {each: {sum_.outvars[0].aval.dtype for sum_ in sums(jaxpr, i)} for i, each in enumerate(names)}
  assert sum(bool(each) for each in dtypes.values()) > 0.8 * len(names)  # the others are added up by what is not seen
  assert {name: found for name, found in dtypes.items() if jnp.dtype(jnp.bfloat16) in found} == {}
