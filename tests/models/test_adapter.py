"""Modules as pure functions: what a call leaves alone, and what parameters alone decide."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.models.adapter import functional


class Affine(nnx.Module):
  """Two drawn kernels and a bias that can be set from data."""

  def __init__(self, *, rngs):
    self.first = nnx.Param(jax.random.normal(rngs.params(), (3, 2)))
    self.second = nnx.Param(jax.random.normal(rngs.params(), (3, 2)))
    self.bias = nnx.Param(jnp.zeros((2,)))

  def __call__(self, x):
    return x @ self.first[...] + self.bias[...][None]

  def other(self, x, *, scale):
    return scale * (x @ self.second[...])

  def initialize(self, x):
    self.bias.set_value(x.mean(axis=0)[:2])


FUNCTIONS = functional(lambda rngs: Affine(rngs=rngs))
X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
PARAMS = FUNCTIONS.init(jax.random.key(0))


def test_parameters_are_a_plain_dict_and_follow_from_the_key():
  assert {name: leaf.shape for name, leaf in PARAMS.items()} == {"first": (3, 2), "second": (3, 2), "bias": (2,)}
  chex.assert_trees_all_equal(FUNCTIONS.init(jax.random.key(0)), PARAMS)
  other = FUNCTIONS.init(jax.random.key(1))
  assert np.all(np.asarray(other["first"]) != np.asarray(PARAMS["first"]))
  assert np.all(np.asarray(PARAMS["first"]) != np.asarray(PARAMS["second"]))  # each draw has a key of its own


@pytest.mark.parametrize(
  ("params", "wrong"),
  [
    ({"first": PARAMS["first"]}, r"lack bias and 1 more arrays"),
    ({**PARAMS, "third": PARAMS["first"]}, r"have third, which the model has not"),
    ({**PARAMS, "bias": jnp.zeros(3)}, r"have bias of shape \(3,\), where the model has \(2,\)"),
  ],
)
def test_parameters_of_another_model_are_refused_by_name(params, wrong):
  with pytest.raises(InputError, match=rf"the parameters {wrong}: .* another version of catgen"):
    FUNCTIONS.apply(params, X)


def test_any_method_is_called_with_the_parameters_that_are_given():
  first, second = (np.asarray(PARAMS[name], np.float64) for name in ("first", "second"))
  np.testing.assert_allclose(FUNCTIONS.apply(PARAMS, X), np.asarray(X) @ first, rtol=1e-5)
  np.testing.assert_allclose(
    FUNCTIONS.apply(PARAMS, X, method="other", scale=2.0), 2 * np.asarray(X) @ second, rtol=1e-5
  )
  moved = {**PARAMS, "bias": jnp.ones(2)}
  np.testing.assert_allclose(FUNCTIONS.apply(moved, X), np.asarray(X) @ first + 1, rtol=1e-5)


def test_initialization_from_data_is_part_of_init_alone():
  found = FUNCTIONS.init(jax.random.key(0), X)
  np.testing.assert_allclose(found["bias"], np.asarray(X).mean(axis=0)[:2], rtol=1e-6)
  np.testing.assert_array_equal(found["first"], PARAMS["first"])


def test_what_a_bound_module_changes_is_its_own():
  before = jax.tree.map(np.array, PARAMS)
  module = FUNCTIONS.bind(PARAMS)
  module.initialize(X)
  assert np.any(module.bias[...] != 0)
  chex.assert_trees_all_equal(jax.tree.map(np.array, PARAMS), before)
  np.testing.assert_array_equal(FUNCTIONS.bind(PARAMS).bias[...], 0.0)


def test_gradients_and_compilation_see_a_function_of_the_parameters():
  slope = jax.jit(jax.grad(lambda params: FUNCTIONS.apply(params, X).sum()))(PARAMS)
  np.testing.assert_allclose(slope["first"], np.broadcast_to(np.asarray(X).sum(axis=0)[:, None], (3, 2)), rtol=1e-5)
  np.testing.assert_array_equal(slope["second"], 0.0)
  np.testing.assert_allclose(slope["bias"], 4.0)
