"""Norms and gated layers: each form, and its gradient, against the definition in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from catgen.kernels import gated, normalization, platforms

BATCH, LENGTH, WIDTH, HEADS = 3, 5, 8, 2
RNG = np.random.default_rng(0)
ANGLES = RNG.uniform(0, 6, (LENGTH, 2))


def normal(*shape, scale=1.0, start=0.0):
  return start + scale * RNG.normal(size=shape)


def layer_norm(h, scale, shift):
  centered = h - h.mean(axis=-1, keepdims=True)
  return centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-6) * scale + shift


def rotated(x, scale):
  """Pairs of features as complex numbers, turned by a product."""
  x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * scale
  pairs = (x[..., :2] + 1j * x[..., 2:]) * np.exp(1j * ANGLES)[None, :, None]
  return np.concatenate([pairs.real, pairs.imag], axis=-1)


def opened(x, gate, value):
  return (x @ gate) * scipy.special.expit(x @ gate) * (x @ value)


def turned_by(form):
  return lambda x, scale: form(x, scale, jnp.cos(jnp.float32(ANGLES)), jnp.sin(jnp.float32(ANGLES)))


def vectors(examples):
  return normal(BATCH, LENGTH, WIDTH, scale=2.0, start=3.0), normal(examples, 1, WIDTH), normal(examples, 1, WIDTH)


FUNCTIONS = {  # the definition, and arguments
  "layer norm": (layer_norm, vectors(BATCH)),
  "layer norm of shared vectors": (layer_norm, vectors(1)),
  "rotated norm": (rotated, (normal(BATCH, LENGTH, HEADS, 4, scale=3.0), normal(4, start=1.0))),
  "gated": (opened, (normal(BATCH, LENGTH, 4), normal(4, 6), normal(4, 6))),
}
FORMS = {
  "layer norm": (normalization.layer_norm_plainly, normalization._layer_norm),
  "layer norm of shared vectors": (normalization.layer_norm_plainly, normalization._layer_norm),
  "rotated norm": (turned_by(normalization.rotated_norm_plainly), turned_by(normalization._rotated)),
  "gated": (gated.gated_plainly, gated._together),
}


def with_gradient(form, arguments, slope, number=None):
  """Returns the value and the gradients of so many arguments."""

  @jax.jit
  def both(arguments, slope):
    value, pull = jax.vjp(form, *arguments)
    return value, pull(slope)[:number]

  return both(arguments, slope)


@pytest.mark.parametrize("number", [0, 1], ids=["plain", "nvidia"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_form_and_its_gradient_are_those_of_the_definition(name, number):
  """The gradient along one direction of all arguments together, by a central difference."""
  definition, arguments = FUNCTIONS[name]
  expected = definition(*arguments)
  slope, along = RNG.normal(size=expected.shape), [RNG.normal(size=each.shape) for each in arguments]
  value, gradients = with_gradient(FORMS[name][number], [np.float32(each) for each in arguments], np.float32(slope))
  np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
  ahead, behind = (
    definition(*(each + step * way for each, way in zip(arguments, along, strict=True))) for step in (1e-5, -1e-5)
  )
  found = sum((np.float64(each) * way).sum() for each, way in zip(gradients, along, strict=True))
  np.testing.assert_allclose(found, (slope * (ahead - behind)).sum() / 2e-5, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_low_precision_both_forms_agree_with_float32_to_its_rounding(name):
  """Activations are bfloat16, parameters and their gradients float32."""
  definition, arguments = FUNCTIONS[name]
  low = jnp.asarray(arguments[0], jnp.bfloat16)
  others = [np.float32(each) for each in arguments[1:]]
  slope = jnp.asarray(RNG.normal(size=definition(*arguments).shape), jnp.bfloat16)
  wide = np.float32(low), np.float32(slope)
  exact, exact_gradients = with_gradient(FORMS[name][0], [wide[0], *others], wide[1])
  for form in FORMS[name]:
    number = 1 if form is gated._together else len(arguments)  # XLA has no such product of its kernels' for CPUs
    value, gradients = with_gradient(form, [low, *others], slope, number)
    assert [each.dtype for each in (value, *gradients)] == [*["bfloat16"] * 2, *["float32"] * (number - 1)]
    for one, other in zip((value, *gradients), (exact, *exact_gradients[:number]), strict=True):
      difference = np.abs(np.float32(one) - np.float32(other)).max()
      assert difference < 2**-6 * np.abs(np.float32(other)).max()


CALLS = {
  "_layer_norm": lambda x: normalization.layer_norm(x, jnp.ones((1, 1, 4)), jnp.zeros((1, 1, 4))),
  "_rotated": lambda x: normalization.rotated_norm(x[:, :, None], jnp.ones(4), jnp.zeros((3, 2))),
  "_together": lambda x: gated.gated(x, jnp.ones((4, 2)), jnp.ones((4, 2))),
}


@pytest.mark.parametrize("platform", ["cuda", "cpu", "tpu"])
@pytest.mark.parametrize("form", CALLS)
def test_the_form_is_chosen_by_what_a_program_is_compiled_for(monkeypatch, form, platform):
  module = gated if form == "_together" else normalization
  plain = {"_layer_norm": "layer_norm_plainly", "_rotated": "rotated_norm_plainly", "_together": "gated_plainly"}
  monkeypatch.setattr(module, form, getattr(module, plain[form]))
  monkeypatch.setattr(module, plain[form], lambda *x: jnp.tan(getattr(module, form)(*x)))

  def takes_the_plain_form():
    traced = jax.jit(lambda x: CALLS[form](x)).trace(jax.ShapeDtypeStruct((2, 3, 4), jnp.bfloat16))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    return re.search(r"\b(chlo|stablehlo)\.tan\b", text) is not None

  monkeypatch.setattr(platforms, "has_cuda", lambda: True)
  assert takes_the_plain_form() == (platform != "cuda")
  monkeypatch.setattr(platforms, "has_cuda", lambda: False)
  assert takes_the_plain_form()
