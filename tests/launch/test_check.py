"""What launch.check makes of a config's model: the same family and parts, small."""

import jax
import jax.numpy as jnp
import pytest

from catgen.build import make_model
from catgen.interfaces import Batch, EventSpec
from configs import base
from launch.check import small_model


def with_coupling(section):
  section.density = base.coupling_density()
  return section


SECTIONS = {
  "diffusion": base.diffusion(),
  "autoregressive": base.autoregressive(),
  "argmax_flow": base.argmax_flow(),
  "argmax_flow_coupling": with_coupling(base.argmax_flow()),
  "dequantized_flow": base.dequantized_flow(),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_family_gets_small_and_keeps_its_parts(name):
  section = SECTIONS[name].to_dict()
  small = small_model(section, 2)
  assert small["kind"] == section["kind"]
  assert small.keys() == section.keys()
  model = make_model(small, EventSpec((2,), 3))
  batch = Batch(jnp.zeros((4, 2), jnp.int32), jnp.ones((4, 2), bool), jnp.arange(4))
  params = jax.eval_shape(lambda key: model.init(batch, key)[0], jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) < 150_000
