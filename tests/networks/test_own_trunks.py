"""Trunks of a user's own that break their contract: each mistake is a line that names the trunk and what is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Causal, Denoiser
from catgen.networks.trunk import Abilities


class Mine(nnx.Module):
  """A trunk that gives on what it reads."""

  abilities = Abilities(causal=True)

  def __init__(self, ends, *, rngs, width: int = 4):
    self.num_inputs = self.num_outputs = width
    self.read_in, self.head = None, None

  def __call__(self, h, conditions):
    return h


def built(**members):
  return type("Mine", (Mine,), members)


def returning(function):
  return built(__call__=lambda self, h, conditions: function(h))


def without(*names):
  def init(self, ends, *, rngs):
    Mine.__init__(self, ends, rngs=rngs)
    for name in names:
      delattr(self, name)

  return built(__init__=init)


def dropping(self, ends, *, rngs):
  Mine.__init__(self, ends, rngs=rngs)
  self.drop = nnx.Dropout(0.5, rngs=rngs)


FEATURES = r"float32 \[2, 6, 4\], features of every position"
BROKEN = {
  "no abilities": (built(abilities=None), "trunk Mine has no abilities"),
  "another constructor": (
    built(__init__=lambda self, *, rngs: None),
    r"called as Mine\(\.\.\., rngs=\.\.\.\), and its",
  ),
  "another call": (built(__call__=lambda self, h: h), "and its signature is another: too many positional arguments"),
  "no number of inputs": (without("num_inputs"), "trunk Mine has no num_inputs that is a whole number"),
  "no head": (without("head"), "trunk Mine has no head that is None, or a module or function"),
  "other axes": (returning(lambda h: h.mean(axis=1)), rf"trunk Mine returns float32 \[2, 4\]; it must be {FEATURES}"),
  "another width": (returning(lambda h: h[..., :2]), rf"returns float32 \[2, 6, 2\]; it must be {FEATURES}"),
  "whole numbers": (returning(lambda h: h.astype(jnp.int32)), rf"returns int32 \[2, 6, 4\]; it must be {FEATURES}"),
  "nothing": (returning(lambda h: None), f"returns NoneType .*; it must be {FEATURES}"),
  "random numbers of its own": (built(__init__=dropping), "the network holds stack/trunk/drop/rngs/.*no nnx.Param"),
}


def called(make):
  """Calls a denoiser of a trunk without computing anything."""
  found = functional(lambda rngs: Denoiser(Recipe(make, {}), (6,), 3, 3, rngs=rngs))
  key, x, conditions = jax.random.key(0), np.zeros((2, 6), np.int32), Conditions(time=np.zeros(2, np.float32))
  return jax.eval_shape(lambda *data: found.apply(found.init(key), *data), x, conditions)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_is_a_line(name):
  make, message = BROKEN[name]
  with pytest.raises(InputError, match=message) as caught:
    called(make)
  assert "\n" not in str(caught.value)


def test_a_kept_contract_is_taken():
  assert called(Mine).shape == (2, 6, 3)


def test_a_causal_trunk_has_the_methods_of_one():
  with pytest.raises(InputError, match="trunk Mine says that it can be causal, but has no init_cache"):
    Causal(Recipe(Mine, {}), (6,), 3, 3, rngs=nnx.Rngs(0))
